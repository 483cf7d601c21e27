package memo_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// fleet is two processes that load together, each with a Func of its own.
type fleet struct {
	s     store.Store
	fake  *fleetStore // the same; nil if it is not one
	a, b  *memo.Func[int, int64]
	loads atomic.Int64 // that have begun
}

// onFleet runs a test in a bubble: over a store that tells of changes, over one
// that does not, and in memory. The values are the numbers of the loads.
func onFleet(t *testing.T, policy memo.Policy, load func(ctx context.Context, n int64) error, test func(t *testing.T, f *fleet)) {
	t.Helper()
	for _, name := range []string{"watched", "unwatched", "memory"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := new(fleet)
				if name == "memory" {
					f.s = newMemory(t)
				} else {
					f.fake = newFleetStore(name == "watched")
					f.s = f.fake
				}
				one := func() *memo.Func[int, int64] {
					m := newMemo(t, f.s, nil)
					return wrap(t, m, "f", func(ctx context.Context, k int) (int64, error) {
						if k == 0 {
							return 0, nil
						}
						n := f.loads.Add(1)
						return n, load(ctx, n)
					}, &memo.FuncOptions[int, int64]{Policy: policy})
				}
				f.a, f.b = one(), one()
				get(t, f.a, 0) // both know the generation
				get(t, f.b, 0)
				test(t, f)
			})
		})
	}
}

func lasting(d time.Duration) func(context.Context, int64) error {
	return func(ctx context.Context, _ int64) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin calls Get in a goroutine of its own and waits until it waits.
func begin(f *memo.Func[int, int64], call func(context.Context, int) (int64, error)) <-chan answered {
	c := make(chan answered, 1)
	start := time.Now()
	go func() {
		v, err := call(context.Background(), 7)
		c <- answered{v, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

type answered struct {
	value int64
	err   error
	after time.Duration
}

// want checks what was answered, and when: at the earliest, and no more than
// the longest pause later.
func (f *fleet) want(t *testing.T, what string, c <-chan answered, value int64, after time.Duration) {
	t.Helper()
	const pause = 250 * time.Millisecond
	if a := <-c; a.err != nil || a.value != value || a.after < after || a.after > after+pause {
		t.Errorf("%s: got %+v, want %d after %v", what, a, value, after)
	}
}

// watched reports whether the processes are told of changes.
func (f *fleet) watched() bool { return f.fake == nil || f.fake.watched }

// lease takes the lease of the key for another process.
func (f *fleet) lease(t *testing.T, life time.Duration) {
	t.Helper()
	key, _ := f.a.Key(7)
	live, _ := store.GetLive(t.Context(), f.s, key)
	if l, err := store.GetOrLease(t.Context(), f.s, key, "other", life, live); err != nil || l.Lease != store.LeaseGranted {
		t.Fatalf("got %v, %v", l, err)
	}
}

func (f *fleet) wantLoads(t *testing.T, n int64) {
	t.Helper()
	if got := f.loads.Load(); got != n {
		t.Errorf("%d loads, want %d", got, n)
	}
}

func TestFleetLoadsOnce(t *testing.T) {
	const load = 2 * time.Second
	onFleet(t, memo.Policy{TTL: time.Minute}, lasting(load), func(t *testing.T, f *fleet) {
		var all sync.WaitGroup
		start := time.Now()
		for range 50 {
			for _, one := range []*memo.Func[int, int64]{f.a, f.b} {
				all.Go(func() {
					if v := get(t, one, 7); v != 1 {
						t.Errorf("got %d", v)
					}
				})
			}
		}
		all.Wait()
		took := time.Since(start)
		if f.watched() && took != load || took > load+300*time.Millisecond {
			t.Errorf("took %v", took)
		}
		f.wantLoads(t, 1)
		most := int64(25)
		if !f.watched() {
			most = 240
		}
		if f.fake != nil && f.fake.asked.Load() > most {
			t.Errorf("asked for leases %d times", f.fake.asked.Load())
		}
		a, b := f.a.Stats(), f.b.Stats()
		if a.Loaded+b.Loaded != 2 || a.Voided+b.Voided != 0 {
			t.Errorf("Stats: %+v, %+v", a, b)
		}
	})
}

// pauseAfter is how late who has waited for so long may notice that a load has
// ended.
func (f *fleet) pauseAfter(waited time.Duration) time.Duration {
	if f.watched() {
		return 0
	}
	return min(max(waited/50, 3*time.Millisecond), 250*time.Millisecond)
}

// Without a watch, who waits is late by a part of the load.
func TestFleetIsHardlyLate(t *testing.T) {
	for _, load := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond, time.Second, 10 * time.Second, time.Minute} {
		onFleet(t, memo.Policy{TTL: time.Hour}, lasting(load), func(t *testing.T, f *fleet) {
			begin(f.a, f.a.Get)
			b := <-begin(f.b, f.b.Get)
			if late := b.after - load; b.err != nil || b.value != 1 || late < 0 || late > f.pauseAfter(load) {
				t.Errorf("load of %v: got %+v, want 1 at most %v later", load, b, f.pauseAfter(load))
			}
		})
	}
}

// While a load takes many lives of its lease, nobody else loads.
func TestFleetLeaseIsRenewed(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute}, lasting(time.Minute), func(t *testing.T, f *fleet) {
		a := begin(f.a, f.a.Get)
		b := begin(f.b, f.b.Get)
		f.want(t, "a", a, 1, time.Minute)
		f.want(t, "b", b, 1, time.Minute)
		f.wantLoads(t, 1)
	})
}

// A process that is gone renews nothing.
func TestFleetOwnerDies(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute}, lasting(time.Second), func(t *testing.T, f *fleet) {
		f.lease(t, memo.LeaseLife)
		for _, c := range []<-chan answered{begin(f.a, f.a.Get), begin(f.b, f.b.Get)} {
			const served = memo.LeaseLife + time.Second
			got := <-c
			if late := got.after - served; got.err != nil || got.value != 1 || late < 0 || late > f.pauseAfter(time.Second) {
				t.Errorf("got %+v, want 1 after %v, at most %v later", got, served, f.pauseAfter(time.Second))
			}
		}
		f.wantLoads(t, 1)
	})
}

// A load that brings nothing lets the next begin at once.
func TestFleetOwnerFails(t *testing.T) {
	failed := errors.New("failed")
	for name, fail := range map[string]func() error{
		"error":  func() error { return failed },
		"panic":  func() error { panic("boom") },
		"absent": func() error { return store.ErrNotFound },
	} {
		t.Run(name, func(t *testing.T) {
			onFleet(t, memo.Policy{TTL: time.Minute}, func(ctx context.Context, n int64) error {
				time.Sleep(time.Second)
				if n == 1 {
					return fail()
				}
				return nil
			}, func(t *testing.T, f *fleet) {
				a := begin(f.a, func(ctx context.Context, k int) (v int64, err error) {
					defer func() {
						if p := recover(); p != nil {
							err = p.(error)
						}
					}()
					return f.a.Get(ctx, k)
				})
				b := begin(f.b, f.b.Get)
				if got := <-a; got.err == nil || got.after != time.Second {
					t.Errorf("a: %+v", got)
				}
				f.want(t, "a again", begin(f.a, f.a.Get), 2, time.Second)
				f.want(t, "b", b, 2, 2*time.Second)
				f.wantLoads(t, 2)
			})
		})
	}
}

// What is not to be stored is not waited for by the next, and neither is a load
// that nobody waits for any more, or that has timed out, whatever it does.
func TestFleetOwnerGivesUp(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute}, func(ctx context.Context, n int64) error {
		time.Sleep(time.Second)
		if n == 1 {
			memo.NoStore(ctx)
		}
		return nil
	}, func(t *testing.T, f *fleet) {
		a, b := begin(f.a, f.a.Get), begin(f.b, f.b.Get)
		f.want(t, "a", a, 1, time.Second)
		f.want(t, "b", b, 2, 2*time.Second)
	})
	stubborn := func(_ context.Context, n int64) error {
		if n == 1 {
			time.Sleep(time.Hour)
		}
		return nil
	}
	onFleet(t, memo.Policy{TTL: 2 * time.Hour}, stubborn, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.a.Get(ctx, 7); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		f.want(t, "b", begin(f.b, f.b.Get), 2, 0)
		time.Sleep(time.Hour)
		f.want(t, "a, which was late", begin(f.a, f.a.Get), 2, 0)
	})
	onFleet(t, memo.Policy{TTL: 2 * time.Hour, LoadTimeout: time.Second}, stubborn, func(t *testing.T, f *fleet) {
		if _, err := f.a.Get(t.Context(), 7); !errors.Is(err, memo.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		f.want(t, "a again", begin(f.a, f.a.Get), 2, 0)
		time.Sleep(time.Hour)
		f.want(t, "a, which was late", begin(f.a, f.a.Get), 2, 0)
	})
}

// What was loaded before another process has deleted it is for those alone who
// had joined.
func TestFleetInvalidatedWhileLoading(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute}, lasting(8*time.Second), func(t *testing.T, f *fleet) {
		first, joined := begin(f.a, f.a.Get), begin(f.a, f.a.Get)
		time.Sleep(time.Second)
		if err := f.b.Delete(t.Context(), 7); err != nil {
			t.Error(err)
		}
		if !f.watched() {
			time.Sleep(3 * time.Second) // so long it takes until the lease is to be renewed
		}
		later := begin(f.a, f.a.Get)
		f.want(t, "first", first, 1, 8*time.Second)
		f.want(t, "joined", joined, 1, 8*time.Second)
		if _, err := f.b.Meta(t.Context(), 7); err != store.ErrNotFound {
			t.Errorf("stored: %v", err)
		}
		f.want(t, "later", later, 2, 8*time.Second)
		f.want(t, "b", begin(f.b, f.b.Get), 2, 0)
		f.wantLoads(t, 2)
		if n := f.a.Stats().Voided; n != 1 {
			t.Errorf("%d loads were voided", n)
		}
	})
}

// A lease that the store has lost is as good as one that was taken away.
func TestFleetLeaseIsLost(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute}, lasting(8*time.Second), func(t *testing.T, f *fleet) {
		key, _ := f.a.Key(7)
		first := begin(f.a, f.a.Get)
		time.Sleep(time.Second)
		if f.fake == nil {
			_ = f.s.Delete(t.Context(), key) // memory loses none
		} else {
			f.fake.lose(key)
		}
		time.Sleep(3 * time.Second)
		later := begin(f.a, f.a.Get)
		f.want(t, "first", first, 1, 8*time.Second)
		f.want(t, "later", later, 2, 8*time.Second)
		f.want(t, "b", begin(f.b, f.b.Get), 2, 0)
	})
}

// With a stale value nobody waits, and one process refreshes it.
func TestFleetStale(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute, Stale: time.Hour}, lasting(5*time.Second), func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		time.Sleep(2 * time.Minute)
		for range 10 {
			f.want(t, "a", begin(f.a, f.a.Get), 1, 0)
			f.want(t, "b", begin(f.b, f.b.Get), 1, 0)
		}
		time.Sleep(6 * time.Second)
		f.want(t, "a", begin(f.a, f.a.Get), 2, 0)
		f.want(t, "b", begin(f.b, f.b.Get), 2, 0)
		f.wantLoads(t, 2)
	})
}

func TestFleetRefresh(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Hour}, lasting(time.Second), func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		a := begin(f.a, f.a.Refresh)
		time.Sleep(time.Second / 2)
		b := begin(f.b, f.b.Refresh)
		f.want(t, "a", a, 2, time.Second)
		f.want(t, "b, that wants a load that begins after it", b, 3, 1500*time.Millisecond)
		f.want(t, "a, what is stored", begin(f.a, f.a.Get), 3, 0)
	})
}

// The value that was there is not lost when a load fails that was to replace
// it.
func TestFleetRefreshFails(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Hour}, func(_ context.Context, n int64) error {
		if n == 2 {
			return errors.New("failed")
		}
		return nil
	}, func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		if _, err := f.a.Refresh(t.Context(), 7); err == nil {
			t.Error("no error")
		}
		f.want(t, "b", begin(f.b, f.b.Get), 1, 0)
		f.want(t, "b again", begin(f.b, f.b.Refresh), 3, 0)
	})
}

// A background refresh that waits for another process does not hold up Close.
func TestFleetCloseWhileWaiting(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Minute, Stale: time.Hour}, lasting(time.Second), func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		time.Sleep(2 * time.Minute)
		m := newMemo(t, f.s, nil)
		g := wrap(t, m, "f", func(context.Context, int) (int64, error) {
			t.Error("loaded")
			return 0, nil
		}, &memo.FuncOptions[int, int64]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour}})
		f.lease(t, time.Minute)
		f.want(t, "stale", begin(g, g.Get), 1, 0)
		start := time.Now()
		if err := m.Close(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
	})
}
