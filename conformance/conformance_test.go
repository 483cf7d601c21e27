package conformance

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// TestReference runs the suite on a store that keeps every rule, in each of
// the settings that a store can have.
func TestReference(t *testing.T) {
	all := abilityNames()
	open := func(*testing.T) store.Store { return newReference() }
	reopen := func(_ *testing.T, s store.Store) store.Store { return s.(*reference).second() }

	t.Run("bubble", func(t *testing.T) {
		b := new(backend)
		limited := func(*testing.T) store.Store {
			r := newReference()
			r.backend, r.maxValue = b, faultMaxValue
			return r
		}
		run(t, limited, Options{Want: all, Bubble: true, Reopen: reopen, MaxValue: faultMaxValue, Fault: b.fault()}, 11) // ten Unsupported, Live/NeverEncodes
	})
	t.Run("real time", func(t *testing.T) {
		run(t, open, Options{Want: all, Reopen: reopen}, -1)
	})
	t.Run("advanced", func(t *testing.T) {
		var clock fakeClock
		ticking := func(*testing.T) store.Store {
			r := newReference()
			r.now = clock.now
			r.ownClock = true
			clock.eachTime(r.sweep)
			return r
		}
		run(t, ticking, Options{Want: without(all, "LiveAt"), Reopen: reopen, Advance: clock.advance}, -1)
	})
	t.Run("watched from afar", func(t *testing.T) {
		remote := func(*testing.T) store.Store {
			r := newReference()
			r.afar = true
			return r
		}
		run(t, remote, Options{Want: all, Bubble: true, Reopen: reopen}, -1)
		run(t, remote, Options{Want: all, Reopen: reopen}, -1)
	})
	t.Run("bare", func(t *testing.T) {
		bare := func(t *testing.T) store.Store { return storetest.Bare(open(t)) }
		run(t, bare, Options{Want: []string{}, Bubble: true}, -1)
	})
	t.Run("view", func(t *testing.T) {
		view := func(t *testing.T) store.Store { return store.Prefix(open(t), "p*:") }
		run(t, view, Options{Want: without(all, "Clear"), Bubble: true, MaxKey: store.MaxKeyLen - 3}, -1)
	})
	t.Run("view of a bare store", func(t *testing.T) {
		view := func(t *testing.T) store.Store { return store.Prefix(storetest.Bare(open(t)), "p:") }
		run(t, view, Options{Want: []string{}, Bubble: true, MaxKey: store.MaxKeyLen - 2}, -1)
	})
	t.Run("behind a recorder", func(t *testing.T) {
		recorder := func(t *testing.T) store.Store { return storetest.NewRecorder(open(t)) }
		run(t, recorder, Options{Want: all, Bubble: true}, -1)
	})
	t.Run("declining", func(t *testing.T) {
		for _, name := range all {
			t.Run(name, func(t *testing.T) {
				declining := func(*testing.T) store.Store {
					f := newFaulty(newReference(), nil)
					f.decline(name)
					return f
				}
				run(t, declining, Options{Want: without(all, name), Bubble: true}, -1)
			})
		}
	})
	t.Run("with a default ttl", func(t *testing.T) {
		configured := func(*testing.T) store.Store {
			r := newReference()
			r.defaultTTL = 5 * time.Minute
			return r
		}
		run(t, configured, Options{Bubble: true}, -1)
		run(t, configured, Options{Bubble: true, DefaultTTL: 5 * time.Minute}, -1)
	})
	t.Run("in whole seconds", func(t *testing.T) {
		coarse := func(*testing.T) store.Store {
			f := newFaulty(newReference(), nil)
			f.mapTTL(finite(func(ttl time.Duration) time.Duration {
				if ttl > store.Forever-time.Second {
					return ttl
				}
				return (ttl + time.Second - 1).Truncate(time.Second)
			}))
			return f
		}
		run(t, coarse, Options{Bubble: true, TTLStep: time.Second}, -1)
	})
	t.Run("without TTL", func(t *testing.T) {
		silent := func(*testing.T) store.Store {
			f := newFaulty(newReference(), nil)
			f.decline("GetWithTTL")
			f.decline("GetManyWithTTL")
			f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
				left, err := f.ref.TTL(ctx, key)
				if err == nil {
					left = store.UnknownTTL
				}
				return left, err
			}
			f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
				found, err := f.ref.GetOrLease(ctx, key, token, life, despite)
				if found.Live != nil {
					found.TTL = store.UnknownTTL
				}
				return found, err
			}
			return f
		}
		run(t, silent, Options{Bubble: true}, -1)
	})
}

// run runs the suite and sees that nothing is left out that could be tried:
// all cases are in the report, and skipped of them at most (-1: any number).
func run(t *testing.T, open func(*testing.T) store.Store, o Options, skipped int) {
	t.Helper()
	o.Report = func(r Report) {
		if len(r.Cases) != len(allCases) && !strings.Contains(filter(), "/") {
			t.Errorf("the report has %d cases of %d", len(r.Cases), len(allCases))
		}
		if skipped >= 0 && r.Count(Skipped) > skipped {
			t.Errorf("%d cases were skipped, not %d:\n%s", r.Count(Skipped), skipped, r.Text())
		}
		if o.Want != nil && len(r.Abilities) != len(o.Want) {
			t.Errorf("the report has the abilities %v, not %v", r.Abilities, o.Want)
		}
	}
	Run(t, open, &o)
}

func without(names []string, name string) []string {
	var rest []string
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}

// A fakeClock stands still but when it is advanced.
type fakeClock struct {
	mu    sync.Mutex
	d     time.Duration
	moved []func()
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(1_000_000_000, 0).Add(c.d)
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.d += d
	moved := slices.Clone(c.moved)
	c.mu.Unlock()
	for _, f := range moved {
		f()
	}
}

// eachTime has f called when the clock was advanced.
func (c *fakeClock) eachTime(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = append(c.moved, f)
}

// An entry, a lease or a lock that ends between two readings of the clock is
// either there, with some time left, or not.
func TestReferenceAtTheEnd(t *testing.T) {
	for ttl := time.Duration(1); ttl < 20; ttl++ {
		r := newReference()
		clock := time.Now()
		r.now = func() time.Time { clock = clock.Add(1); return clock } // no two readings are alike
		for name, left := range map[string]func() (time.Duration, bool){
			"TTL": func() (time.Duration, bool) {
				left, err := r.TTL(bg, "k")
				return left, err == nil
			},
			"GetWithTTL": func() (time.Duration, bool) {
				_, left, err := r.GetWithTTL(bg, "k")
				return left, err == nil
			},
			"GetManyWithTTL": func() (time.Duration, bool) {
				found, _ := r.GetManyWithTTL(bg, []string{"k"})
				e, there := found["k"]
				return e.TTL, there
			},
			"GetOrLease of an entry": func() (time.Duration, bool) {
				found, _ := r.GetOrLease(bg, "k", "reader", time.Hour, nil)
				return found.TTL, found.Live != nil
			},
			"GetOrLease of a lease": func() (time.Duration, bool) {
				found, _ := r.GetOrLease(bg, "leased", "reader", time.Hour, nil)
				return found.TTL, found.Lease == store.LeaseTaken
			},
			"TryLock": func() (time.Duration, bool) {
				locked, _ := r.TryLock(bg, "k", "second", time.Hour)
				return locked.Remaining, !locked.Acquired
			},
		} {
			_ = r.Delete(bg, "leased")
			_ = r.Set(bg, "k", nil, ttl)
			_, _ = r.GetOrLease(bg, "leased", "first", ttl, nil)
			_, _ = r.Unlock(bg, "k", "second")
			_, _ = r.TryLock(bg, "k", "first", ttl)
			for {
				got, there := left()
				if !there {
					break
				}
				if got <= 0 {
					t.Errorf("%s, after %v: %v are left, want more than 0, or no entry", name, ttl, got)
				}
			}
		}
	}
}
