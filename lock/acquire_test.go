package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestTryLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k, other := newLock(t, f, nil), newLock(t, f, nil)
		l, err := k.TryLock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for _, k := range []*Locker{k, other} {
			calls := f.calls("trylock")
			_, err := k.TryLock(t.Context(), "a")
			var held *HeldError
			if !errors.Is(err, ErrHeld) || !errors.As(err, &held) || held.Name != "a" || held.RetryAfter != 9*time.Second {
				t.Errorf("got %#v, want held for 9 s", err)
			}
			if f.calls("trylock") != calls+1 || f.calls("watchlock") != 0 {
				t.Errorf("calls: %v", f.count)
			}
		}
		if other.Stats().Refused != 1 {
			t.Errorf("%+v", other.Stats())
		}
		mustUnlock(t, l)
		l, err = other.TryLock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		mustUnlock(t, l)
	})
}

func TestBadArguments(t *testing.T) {
	f := newFake(t)
	k := newLock(t, f, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var none context.Context
	for what, bad := range map[string]struct {
		ctx  context.Context
		name string
		want error
	}{
		"no context":    {none, "a", store.ErrInvalid},
		"no name":       {t.Context(), "", store.ErrInvalid},
		"ended context": {ended, "a", context.Canceled},
	} {
		if _, err := k.Lock(bad.ctx, bad.name); !errors.Is(err, bad.want) {
			t.Errorf("%s: Lock: %v", what, err)
		}
		if _, err := k.TryLock(bad.ctx, bad.name); !errors.Is(err, bad.want) {
			t.Errorf("%s: TryLock: %v", what, err)
		}
		if _, err := k.Acquire(bad.ctx, bad.name); !errors.Is(err, bad.want) {
			t.Errorf("%s: Acquire: %v", what, err)
		}
		err := Do(bad.ctx, k, bad.name, func(context.Context, uint64) error { t.Error("called"); return nil })
		if !errors.Is(err, bad.want) {
			t.Errorf("%s: Do: %v", what, err)
		}
	}
	if f.calls("trylock")+f.calls("unlock") != 0 {
		t.Errorf("calls: %v", f.count)
	}
}

// One who waits is woken when another process unlocks.
func TestLockIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		l := mustLock(t, newLock(t, f, nil), "a")
		time.AfterFunc(10*time.Millisecond, func() { mustUnlock(t, l) })
		start := time.Now()
		mustUnlock(t, mustLock(t, newLock(t, f, nil), "a"))
		within(t, "the lock", time.Since(start), 10*time.Millisecond, 10*time.Millisecond)
		if f.calls("trylock") != 4 || f.calls("watchlock") != 1 {
			t.Errorf("calls: %v", f.count)
		}
		synctest.Wait()
		if f.calls("unwatchlock") != 1 {
			t.Error("it is still watching")
		}
	})
}

// What is freed between the first attempt and the watch is not missed.
func TestLockWatchesBeforeItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		l := mustLock(t, newLock(t, f, nil), "a")
		f.faults(nil, only("trylock", once(func(context.Context, string, string) error { mustUnlock(t, l); return nil })))
		start := time.Now()
		mustUnlock(t, mustLock(t, newLock(t, f, nil), "a"))
		within(t, "the lock", time.Since(start), 0, 0)
	})
}

// unwatched hides that the store tells of locks that are freed.
type unwatched struct{ store.LockStore }

func TestLockWithoutWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		here, there := newLock(t, unwatched{f}, nil), newLock(t, unwatched{f}, nil)
		l := mustLock(t, here, "a")
		time.AfterFunc(1500*time.Millisecond, func() { mustUnlock(t, l) })
		start := time.Now()
		l = mustLock(t, there, "a")
		within(t, "another process", time.Since(start), 2*time.Second, 2500*time.Millisecond)
		time.AfterFunc(10*time.Millisecond, func() { mustUnlock(t, l) })
		start = time.Now()
		mustUnlock(t, mustLock(t, there, "a"))
		within(t, "the same process", time.Since(start), 10*time.Millisecond, 10*time.Millisecond)
	})
}

// The holder has died.
func TestLockAtTheEndOfTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		if _, err := f.TryLock(t.Context(), "a", "dead", 2300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		mustUnlock(t, mustLock(t, newLock(t, f, nil), "a"))
		within(t, "the lock", time.Since(start), 2300*time.Millisecond, 2450*time.Millisecond)
	})
}

func TestLastAttemptAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		for range 20 {
			if _, err := f.TryLock(t.Context(), "a", "dead", 590*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
			l, err := k.Lock(ctx, "a")
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			mustUnlock(t, l)
		}
		if _, err := f.TryLock(t.Context(), "a", "alive", time.Hour); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := k.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrHeld) {
			t.Errorf("got %v", err)
		}
		within(t, "the error", time.Since(start), 600*time.Millisecond, 600*time.Millisecond)
	})
}

func TestCancelIsPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		mine := mustLock(t, k, "mine")
		if _, err := f.TryLock(t.Context(), "theirs", "other", time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"mine", "theirs"} {
			var waiters sync.WaitGroup
			for range 3 { // the first contends, the others are in line
				waiters.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(100*time.Millisecond, cancel)
					start := time.Now()
					if _, err := k.Lock(ctx, name); !errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", name, err)
					}
					within(t, name, time.Since(start), 100*time.Millisecond, 100*time.Millisecond)
				})
			}
			waiters.Wait()
		}
		mustUnlock(t, mine)
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.lines) != 0 {
			t.Errorf("%d lines are left", len(k.lines))
		}
	})
}

func TestLocalWaitersAreServedInOrder(t *testing.T) {
	for _, s := range []struct {
		name string
		open func(t *testing.T) store.Store
	}{
		{"watched", func(t *testing.T) store.Store { return newFake(t) }},
		{"not watched", func(t *testing.T) store.Store { return unwatched{newFake(t)} }},
		{"entries", func(t *testing.T) store.Store { return newEntries(t) }},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newLock(t, s.open(t), nil)
				first := mustLock(t, k, "a")
				var order []int
				var waiters sync.WaitGroup
				for i := range 20 {
					ctx, cancel := context.WithCancel(t.Context())
					if i%3 == 0 { // leaves before its turn
						time.AfterFunc(time.Second, cancel)
					}
					waiters.Go(func() {
						defer cancel()
						l, err := k.Lock(ctx, "a")
						if err == nil {
							order = append(order, i)
							time.Sleep(10 * time.Millisecond)
							mustUnlock(t, l)
						}
					})
					synctest.Wait()
				}
				time.Sleep(2 * time.Second)
				start := time.Now()
				mustUnlock(t, first)
				waiters.Wait()
				within(t, "all", time.Since(start), 130*time.Millisecond, 131*time.Millisecond)
				if len(order) != 13 || !slices.IsSorted(order) {
					t.Errorf("served in the order %v", order)
				}
			})
		})
	}
}

// However many wait in a process, one contends, and an acquisition costs what it
// does without others.
func TestOneContenderForEachProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		first := mustLock(t, k, "a")
		var waiters sync.WaitGroup
		const n = 50
		for range n {
			waiters.Go(func() {
				l := mustLock(t, k, "a")
				time.Sleep(10 * time.Millisecond)
				mustUnlock(t, l)
			})
		}
		synctest.Wait()
		if f.calls("trylock") != 1 || k.Stats().Waiting != n {
			t.Errorf("calls: %v, %+v", f.count, k.Stats())
		}
		mustUnlock(t, first)
		waiters.Wait()
		if f.calls("trylock") != n+1 || f.calls("unlock") != n+1 {
			t.Errorf("calls: %v", f.count)
		}
		if s := k.Stats(); s.Waiting != 0 || s.Held != 0 || s.Acquired != n+1 || s.WaitTime < n*n/2*10*time.Millisecond-time.Second {
			t.Errorf("%+v", s)
		}
	})
}

func TestErrorOfTheStoreEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		f.faults(refuse, nil)
		if _, err := k.Lock(t.Context(), "a"); !errors.Is(err, errFault) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		f.faults(hang, nil)
		start := time.Now()
		_, err := k.Lock(t.Context(), "a")
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		within(t, "the error", time.Since(start), 9*time.Second, 10*time.Second)
		f.faults(nil, nil)
	})
}

// A lock that is granted when it is over already is not acquired.
func TestLateGrantIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, &Options{TTL: time.Second})
		slow := func(context.Context, string, string) error { time.Sleep(990 * time.Millisecond); return nil }
		f.faults(nil, only("trylock", once(slow)))
		if _, err := k.TryLock(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("TryLock: %v", err)
		}
		synctest.Wait()
		if f.holder("a") != "" {
			t.Error("it has not been given back")
		}
		f.faults(nil, only("trylock", once(slow)))
		l := mustLock(t, k, "a") // in a second attempt
		if l.Validity() < 900*time.Millisecond {
			t.Errorf("valid for %v", l.Validity())
		}
		mustUnlock(t, l)
	})
}

// One at a time, in 64 goroutines of two Lockers.
func TestExclusion(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) []store.Store{
		"watched":     func(t *testing.T) []store.Store { return []store.Store{newFake(t)} },
		"not watched": func(t *testing.T) []store.Store { return []store.Store{unwatched{newFake(t)}} },
		"entries":     func(t *testing.T) []store.Store { return []store.Store{newEntries(t)} },
		"memory":      func(t *testing.T) []store.Store { return []store.Store{newFake(t).Store} },
		"quorum":      func(t *testing.T) []store.Store { return []store.Store{newFake(t), newFake(t), newFake(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stores := open(t)
				var inside, sections int
				var last uint64
				var all sync.WaitGroup
				for i := range 2 {
					k, err := New(stores[0], nil)
					if len(stores) > 1 {
						k, err = NewQuorum(stores, nil)
					}
					if err != nil {
						t.Fatal(err)
					}
					defer func() {
						if err := k.Close(context.Background()); err != nil {
							t.Error(err)
						}
					}()
					for range 64 / 2 {
						all.Go(func() {
							err := Do(t.Context(), k, "a", func(_ context.Context, fence uint64) error {
								inside++ // the race detector sees who is not alone
								time.Sleep(time.Millisecond)
								if inside != 1 || fence <= last {
									return fmt.Errorf("%d inside, fence %d after %d", inside, fence, last)
								}
								inside--
								sections++
								last = fence
								return nil
							})
							if err != nil {
								t.Errorf("Locker %d: %v", i, err)
							}
						})
					}
				}
				all.Wait()
				if sections != 64 {
					t.Errorf("%d sections, want 64", sections)
				}
			})
		})
	}
}
