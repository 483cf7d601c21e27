package layered

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestDegraded(t *testing.T) {
	now := time.Now()
	closed := store.Errorf("get", "k", store.ErrClosed, "closed")
	for name, test := range map[string]struct {
		d      Degraded
		err    error
		proven time.Time
		serves bool
		misses bool
	}{
		"fail":                   {Degraded{}, errRefused, now, false, false},
		"miss":                   {AnswerMiss(), errRefused, now, false, true},
		"miss, another error":    {AnswerMiss(), closed, now, false, false},
		"serve":                  {ServeStale(time.Second), errRefused, now.Add(-time.Second), true, false},
		"serve, another error":   {ServeStale(time.Second), closed, now, false, false},
		"serve, too old":         {ServeStale(time.Second), errRefused, now.Add(-time.Second - 1), false, false},
		"serve, never proven":    {ServeStale(time.Hour), errRefused, time.Time{}, false, false},
		"serve, always proven":   {ServeStale(time.Second), errRefused, store.AlwaysProven, true, false},
		"fail, though proven":    {Degraded{}, errRefused, store.AlwaysProven, false, false},
		"miss, though never was": {AnswerMiss(), errRefused, time.Time{}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.d.serves(test.err, now, test.proven); got != test.serves {
				t.Errorf("serves is %v", got)
			}
			err, masked := test.d.answer(test.err)
			if masked != test.misses || (err == store.ErrNotFound) != test.misses || !masked && !errors.Is(err, test.err) {
				t.Errorf("the answer is %v, %v", err, masked)
			}
		})
	}
}

func TestDegradedProblems(t *testing.T) {
	for _, test := range []struct {
		d     Degraded
		delta time.Duration
		want  string
	}{
		{Degraded{}, 0, ""},
		{AnswerMiss(), 0, ""},
		{ServeStale(10 * time.Second), time.Second, ""},
		{ServeStale(0), time.Second, "is not positive"},
		{ServeStale(-1), time.Second, "is not positive"},
		{ServeStale(time.Second), 0, "needs Watch"},
		{ServeStale(time.Second), time.Second, "not longer than the 1s"},
	} {
		got := test.d.problem(test.delta)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%v with %v: %q, want %q", test.d, test.delta, got, test.want)
		}
	}
}
