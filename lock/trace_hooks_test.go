package lock

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Who is told of a loss may unlock, whichever goroutine he is told in.
func TestLostHookUnlocks(t *testing.T) {
	for name, test := range map[string]struct {
		lose  func(f *fake)
		learn func(l *Lease) // nil where a timer does
	}{
		"renewal":            {lose: (*fake).lose},
		"renewal, no answer": {lose: func(f *fake) { f.faults(only("extendlock", hang), nil) }},
		"Unlock":             {(*fake).lose, func(l *Lease) { _ = l.Unlock(context.Background()) }},
		"Extend":             {(*fake).lose, func(l *Lease) { _ = l.Extend(context.Background()) }},
		"Err": {func(*fake) {}, func(l *Lease) {
			l.expiry.Stop()
			l.renewal.Stop()
			time.Sleep(time.Minute)
			_ = l.Context().Err()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				var lease atomic.Pointer[Lease]
				var told atomic.Int32
				hooked := make(chan error, 2)
				k := newLock(t, f, &Options{TTL: 3 * time.Second, Trace: &Trace{Lost: func(context.Context, LostInfo) {
					told.Add(1)
					hooked <- lease.Load().Unlock(context.Background())
				}}})
				l := mustLock(t, k, "a")
				lease.Store(l)
				test.lose(f)
				if test.learn != nil {
					go test.learn(l)
				}
				select {
				case err := <-hooked:
					if err != ErrLost {
						t.Errorf("Unlock in the hook: %v, want ErrLost", err)
					}
				case <-time.After(2 * time.Minute):
					t.Fatal("Unlock in the hook does not return")
				}
				if err := l.Unlock(t.Context()); err != ErrLost {
					t.Errorf("Unlock: %v, want ErrLost", err)
				}
				if synctest.Wait(); told.Load() != 1 || k.Stats().Lost != 1 {
					t.Errorf("told %d times, %+v", told.Load(), k.Stats())
				}
			})
		})
	}
}

// So may who is told that it was unlocked, or that a renewal has failed.
func TestOtherHooksUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var lease atomic.Pointer[Lease]
		unlocked := make(chan error, 2)
		unlock := func() { unlocked <- lease.Load().Unlock(context.Background()) }
		k := newLock(t, f, &Options{TTL: 3 * time.Second, Trace: &Trace{
			Released:    func(context.Context, ReleasedInfo) { unlock() },
			RenewFailed: func(context.Context, RenewFailedInfo) { unlock() },
		}})
		lease.Store(mustLock(t, k, "a"))
		f.faults(only("extendlock", refuse), nil)
		for _, hook := range []string{"Released", "RenewFailed"} { // the second has called the first
			select {
			case err := <-unlocked:
				if err != nil {
					t.Errorf("%s: Unlock: %v", hook, err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s: Unlock does not return", hook)
			}
		}
		if f.holder("a") != "" || f.calls("unlock") != 1 {
			t.Errorf("held by %q after %d calls of Unlock", f.holder("a"), f.calls("unlock"))
		}
	})
}
