package conformance

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// TestProofsAreMonotonic is no fault like the others, as times in a bubble have
// no monotonic clock reading.
func TestProofsAreMonotonic(t *testing.T) {
	t.Parallel()
	others := make(map[string]string)
	for _, c := range allCases {
		if c.id != "Watch/Proven" {
			others[c.id] = "not about proofs"
		}
	}
	_, err := Check(t.Context(), func(context.Context) (store.Store, error) {
		f := newFaulty(newReference(), nil)
		f.ref.afar = true
		mishear(func(_ *faulty, m *misheard) {
			m.proven = func(sent time.Time) { m.Watcher.Proven(sent.Round(0)) }
		})(f)
		return f, nil
	}, &Options{Skip: others})
	if err == nil || !strings.Contains(err.Error(), "without a monotonic clock reading") {
		t.Errorf("the error is %v", err)
	}
}
