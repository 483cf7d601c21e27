package lock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestLockAndUnlockAreOneCallEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		l := mustLock(t, k, "a")
		if l.Fence() == 0 || l.Context().Err() != nil || f.holder("a") == "" {
			t.Errorf("fence %d, %v", l.Fence(), l.Context().Err())
		}
		if got, want := l.Validity(), 10*time.Second-102*time.Millisecond; got != want {
			t.Errorf("valid for %v, want %v", got, want)
		}
		mustUnlock(t, l)
		if err := context.Cause(l.Context()); err != ErrReleased || l.Validity() != 0 {
			t.Errorf("the Context ended with %v, valid for %v", err, l.Validity())
		}
		if f.holder("a") != "" || f.calls("trylock") != 1 || f.calls("unlock") != 1 || f.calls("extendlock")+f.calls("watchlock") != 0 {
			t.Errorf("calls: %v", f.count)
		}
		if next := mustLock(t, k, "a"); next.Fence() <= l.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), l.Fence())
		} else {
			mustUnlock(t, next)
		}
	})
}

func TestValidityCountsFromBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		f.faults(nil, func(context.Context, string, string) error { time.Sleep(time.Second); return nil })
		l := mustLock(t, k, "a")
		if got, want := l.Validity(), 9*time.Second-102*time.Millisecond; got != want {
			t.Errorf("valid for %v, want %v", got, want)
		}
		if err := l.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := l.Validity(), 9*time.Second-102*time.Millisecond; got != want {
			t.Errorf("valid for %v after Extend, want %v", got, want)
		}
		mustUnlock(t, l)
	})
}

func TestRenewalKeepsTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, &Options{TTL: 3 * time.Second})
		l := mustLock(t, k, "a")
		for range 100 {
			time.Sleep(300 * time.Millisecond)
			if f.holder("a") != l.token || l.Context().Err() != nil {
				t.Fatalf("lost: %v", context.Cause(l.Context()))
			}
		}
		if n := f.calls("extendlock"); n < 29 || n > 31 {
			t.Errorf("extended %d times in 30 s, want about 30", n)
		}
		mustUnlock(t, l)
	})
}

func TestWithoutRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, &Options{NoRenewal: true})
		l := mustLock(t, k, "a")
		time.Sleep(5 * time.Second)
		if err := l.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-l.Context().Done()
		within(t, "the end", time.Since(start), 9800*time.Millisecond, 9900*time.Millisecond)
		if err := l.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v, want ErrLost", err)
		}
		if n := f.calls("extendlock"); n != 1 {
			t.Errorf("extended %d times", n)
		}
	})
}

// The Context ends before the lock can, whichever way the network fails.
func TestContextEndsBeforeTheLock(t *testing.T) {
	for name, fault := range map[string]func(context.Context, string, string) error{"black hole": hang, "refusal": refuse} {
		for side, plan := range map[string]func(*fake){
			"requests are lost": func(f *fake) { f.faults(fault, nil) },
			"answers are lost":  func(f *fake) { f.faults(nil, fault) },
		} {
			t.Run(name+"/"+side, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(t)
					k := newLock(t, f, &Options{TTL: 3 * time.Second})
					start := time.Now()
					l := mustLock(t, k, "a")
					plan(f)
					<-l.Context().Done()
					within(t, "the end", time.Since(start), 2900*time.Millisecond, 2968*time.Millisecond)
					if err := context.Cause(l.Context()); err != ErrLost {
						t.Errorf("it ended with %v", err)
					}
					if f.holder("a") == "" {
						t.Error("the lock had ended before")
					}
					f.faults(nil, nil)
					if err := l.Unlock(t.Context()); err != ErrLost {
						t.Errorf("Unlock: %v, want ErrLost", err)
					}
					// What an extension has lengthened unseen blocks nobody.
					next := mustLock(t, k, "a")
					within(t, "the next holder", time.Since(start), 0, 3*time.Second)
					mustUnlock(t, next)
				})
			})
		}
	}
}

func TestRenewalIsTriedAgainSooner(t *testing.T) {
	for name, fault := range map[string]func(context.Context, string, string) error{"error": refuse, "no answer": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				var failed []error
				k := newLock(t, f, &Options{TTL: 6 * time.Second, Trace: &Trace{
					RenewFailed: func(_ context.Context, i RenewFailedInfo) { failed = append(failed, i.Err) },
				}})
				l := mustLock(t, k, "a")
				f.faults(only("extendlock", once(fault)), nil)
				time.Sleep(2*time.Second + 1800*time.Millisecond + time.Millisecond)
				if f.calls("extendlock") != 2 || l.Validity() < 4400*time.Millisecond {
					t.Errorf("tried %d times, valid for %v", f.calls("extendlock"), l.Validity())
				}
				if s := k.Stats(); s.Renewals != 1 || s.RenewalErrors != 1 || len(failed) != 1 {
					t.Errorf("%+v, told %v", s, failed)
				}
				mustUnlock(t, l)
			})
		})
	}
}

// A server that has lost its data: the holder is told with the next renewal.
func TestNotOursEndsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var lost []LostInfo
		k := newLock(t, f, &Options{TTL: 3 * time.Second, Trace: &Trace{Lost: func(_ context.Context, i LostInfo) { lost = append(lost, i) }}})
		l := mustLock(t, k, "a")
		f.lose()
		start := time.Now()
		<-l.Context().Done()
		within(t, "the end", time.Since(start), 0, time.Second)
		next := mustLock(t, k, "a")
		if next.Fence() <= l.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), l.Fence())
		}
		if err := l.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v", err)
		}
		if synctest.Wait(); f.holder("a") != next.token {
			t.Error("a stranger's lock was freed")
		}
		if err := l.Extend(t.Context()); err != ErrLost {
			t.Errorf("Extend: %v", err)
		}
		if len(lost) != 1 || lost[0].Name != "a" || lost[0].Err != nil || k.Stats().Lost != 1 {
			t.Errorf("told %v", lost)
		}
		mustUnlock(t, next)
	})
}

func TestUnlockOfWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		told := 0
		k := newLock(t, f, &Options{Trace: &Trace{Lost: func(context.Context, LostInfo) { told++ }}})
		l := mustLock(t, k, "a")
		f.lose()
		other := mustLock(t, newLock(t, f, nil), "a")
		if err := l.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v, want ErrLost", err)
		}
		if f.holder("a") != other.token {
			t.Error("a stranger's lock was freed")
		}
		if s := k.Stats(); s.Lost != 1 || s.Held != 0 || told != 1 {
			t.Errorf("%+v, told %d times", s, told)
		}
		mustUnlock(t, other)
	})
}

func TestUnlockTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		l := mustLock(t, k, "a")
		mustUnlock(t, l)
		other := mustLock(t, k, "a")
		mustUnlock(t, l)
		if f.holder("a") != other.token || f.calls("unlock") != 1 {
			t.Error("the second Unlock has done something")
		}
		if err := l.Extend(t.Context()); err != ErrReleased {
			t.Errorf("Extend after Unlock: %v", err)
		}
		f.lose()
		for range 2 {
			if err := other.Unlock(t.Context()); err != ErrLost {
				t.Errorf("Unlock: %v, want ErrLost", err)
			}
		}
	})
}

func TestUnlockWithAContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		l := mustLock(t, k, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Unlock(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Unlock: %v", err)
		}
		synctest.Wait()
		if f.holder("a") != "" {
			t.Error("it is still held")
		}
		var none context.Context
		if err := l.Unlock(none); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Unlock(nil): %v", err)
		}
	})
}

func TestUnlockThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		l := mustLock(t, k, "a")
		f.faults(hang, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := l.Unlock(ctx); err == nil || errors.Is(err, ErrLost) {
			t.Errorf("Unlock: %v", err)
		}
		within(t, "the answer", time.Since(start), time.Second, time.Second)
		time.Sleep(3 * time.Second)
		f.faults(nil, nil)
		start = time.Now()
		mustUnlock(t, mustLock(t, k, "a"))
		within(t, "the next holder", time.Since(start), 0, 2*time.Second)
	})
}

// No renewal is under way when Unlock returns, and none begins.
func TestNoRenewalAfterUnlock(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second, 1500 * time.Millisecond, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			k := newLock(t, f, &Options{TTL: 3 * time.Second})
			under := 0
			f.faults(only("extendlock", func(ctx context.Context, _, _ string) error {
				f.mu.Lock()
				under++
				f.mu.Unlock()
				select {
				case <-time.After(700 * time.Millisecond):
				case <-ctx.Done():
				}
				f.mu.Lock()
				under--
				f.mu.Unlock()
				return ctx.Err()
			}), nil)
			l := mustLock(t, k, "a")
			time.Sleep(wait)
			mustUnlock(t, l)
			n := f.calls("extendlock")
			f.mu.Lock()
			if under != 0 {
				t.Errorf("after %v: %d renewals under way", wait, under)
			}
			f.mu.Unlock()
			time.Sleep(time.Minute)
			if f.calls("extendlock") != n {
				t.Errorf("after %v: renewed after Unlock", wait)
			}
		})
	}
}

// The timer of a process that was paused may be late, the context is not.
func TestContextKnowsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newLock(t, newFake(t), &Options{NoRenewal: true})
		for name, ctx := range map[string]func(*Lease) context.Context{
			"Context": (*Lease).Context,
			"Do":      func(l *Lease) context.Context { ctx, _ := l.within(t.Context()); return ctx },
		} {
			l := mustLock(t, k, "a")
			c := ctx(l)
			l.expiry.Stop()
			time.Sleep(time.Minute)
			if c.Err() == nil || context.Cause(c) != ErrLost {
				t.Errorf("%s: %v, %v", name, c.Err(), context.Cause(c))
			}
			if err := l.Unlock(t.Context()); err != ErrLost {
				t.Errorf("%s: Unlock: %v", name, err)
			}
		}
		l := mustLock(t, k, "a")
		l.expiry.Stop()
		time.Sleep(9950 * time.Millisecond) // the store has it yet
		if err := l.Unlock(t.Context()); err != ErrLost || context.Cause(l.Context()) != ErrLost {
			t.Errorf("Unlock: %v, %v", err, context.Cause(l.Context()))
		}
	})
}

type valueKey struct{}

func TestContextHasValuesAndNotTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newLock(t, newFake(t), nil)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, "value"), time.Second)
		defer cancel()
		l, err := k.Lock(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if l.Context().Err() != nil || l.Context().Value(valueKey{}) != "value" {
			t.Errorf("%v, %v", l.Context().Err(), l.Context().Value(valueKey{}))
		}
		child, cancel := context.WithCancel(l.Context())
		defer cancel()
		mustUnlock(t, l)
		if child.Err() == nil || context.Cause(child) != ErrReleased {
			t.Error("a context made of it has not ended at once")
		}
	})
}

// An Extend under way ends when the lease does.
func TestExtendEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, &Options{NoRenewal: true})
		f.faults(only("extendlock", hang), nil)
		l := mustLock(t, k, "a")
		start := time.Now()
		if err := l.Extend(context.Background()); err != ErrLost {
			t.Errorf("got %v, want ErrLost", err)
		}
		within(t, "the end", time.Since(start), 9800*time.Millisecond, 9900*time.Millisecond)
		if err := l.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v", err)
		}
		l = mustLock(t, k, "a")
		time.AfterFunc(time.Second, func() { mustUnlock(t, l) })
		start = time.Now()
		if err := l.Extend(context.Background()); err != ErrReleased {
			t.Errorf("got %v, want ErrReleased", err)
		}
		within(t, "the end", time.Since(start), time.Second, time.Second)
		// Its own context ends it too, and the lease goes on.
		l = mustLock(t, k, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Extend(ctx); !errors.Is(err, context.DeadlineExceeded) || l.Context().Err() != nil {
			t.Errorf("got %v, %v", err, l.Context().Err())
		}
		mustUnlock(t, l)
	})
}
