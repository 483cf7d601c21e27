package layered

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// ParseCoherence reads the form that configurations have a Coherence in: watch,
// which is watch:1s, or bounded:5s, with a length of time as
// store.ParseDuration reads it. The error, which matches no sentinel, says what
// would be right.
func ParseCoherence(text string) (Coherence, error) {
	if text == "watch" {
		return Watch(defaultDelta), nil
	}
	kind, length, stated := strings.Cut(text, ":")
	if !stated || kind != "watch" && kind != "bounded" {
		return Coherence{}, fmt.Errorf("%q is no coherence; write watch, watch:2s or bounded:5s", text)
	}
	d, err := positiveDuration(length)
	switch {
	case err != nil:
		return Coherence{}, err
	case kind == "watch":
		return Watch(d), nil
	}
	return Bounded(d), nil
}

// ParseDegraded reads what Degraded.String returns: fail, miss or serve:10s.
// The error, which matches no sentinel, says what would be right.
func ParseDegraded(text string) (Degraded, error) {
	switch length, serve := strings.CutPrefix(text, "serve:"); {
	case text == "fail":
		return Degraded{}, nil
	case text == "miss":
		return AnswerMiss(), nil
	case serve:
		max, err := positiveDuration(length)
		if err != nil {
			return Degraded{}, err
		}
		return ServeStale(max), nil
	}
	return Degraded{}, errors.New("it is fail, miss, or serve: and a length of time, as in serve:10s")
}

func positiveDuration(text string) (time.Duration, error) {
	d, err := store.ParseDuration(text)
	if err == nil && d == 0 {
		err = errors.New("0 is no length of time here; write 1s, for example")
	}
	return d, err
}
