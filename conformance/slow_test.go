package conformance

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// Behind a slow link a store passes as it does elsewhere, and no case takes
// longer than callsInTurn, but for what it waits for. The suite takes the time
// of the bubble for real.
func TestSlowLink(t *testing.T) {
	const latency = 200 * time.Millisecond
	for name, test := range map[string]struct {
		behind func(*reference) store.Store
		reopen func(context.Context, store.Store) (store.Store, error)
	}{
		"every ability": {func(r *reference) store.Store { r.afar = true; return r }, func(_ context.Context, s store.Store) (store.Store, error) {
			return s.(*reference).second(), nil
		}},
		"bare": {func(r *reference) store.Store { return storetest.Bare(r) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				link := &backend{latency: latency}
				report, err := Check(t.Context(), func(context.Context) (store.Store, error) {
					r := newReference()
					r.backend = link
					return test.behind(r), nil
				}, &Options{CheckReopen: test.reopen})
				if err != nil {
					t.Error(err)
				}
				for _, c := range report.Cases {
					ways := time.Duration(1)
					if _, isAbility := findAbility(strings.Split(c.ID, "/")[0]); isAbility {
						ways = 2
					}
					if most := ways * callsInTurn * latency; c.Elapsed > most {
						t.Errorf("%s takes %v, want at most %v", c.ID, c.Elapsed, most)
					}
				}
			})
		})
	}
}
