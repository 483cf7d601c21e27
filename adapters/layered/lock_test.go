package layered_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// L1 has no part in locks: two processes with an L1 each share those of L2.
func TestLocksAreThoseOfL2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l1, l2 := newMemory(t), newMemory(t)
		s := newLayered(t, l1, l2, watchSecond)
		other := newLayered(t, newMemory(t), l2, watchSecond)
		freed, err := other.WatchLock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.TryLock(t.Context(), "k", "first", time.Minute)
		if !first.Acquired || err != nil {
			t.Fatal(first, err)
		}
		if r, err := other.TryLock(t.Context(), "k", "second", time.Minute); r.Acquired || r.Remaining != time.Minute || err != nil {
			t.Errorf("TryLock of a lock that is held: %+v, %v", r, err)
		}
		if r, err := l1.TryLock(t.Context(), "k", "near", time.Minute); !r.Acquired || err != nil {
			t.Errorf("L1 has the lock: %+v, %v", r, err)
		}
		if extended, err := s.ExtendLock(t.Context(), "k", "first", time.Hour); !extended || err != nil {
			t.Errorf("ExtendLock: %v, %v", extended, err)
		}
		select {
		case <-freed:
			t.Error("told before the Unlock")
		default:
		}
		if unlocked, err := s.Unlock(t.Context(), "k", "first"); !unlocked || err != nil {
			t.Errorf("Unlock: %v, %v", unlocked, err)
		}
		<-freed
		if r, err := other.TryLock(t.Context(), "k", "second", time.Minute); r.Fence <= first.Fence || err != nil {
			t.Errorf("after the Unlock: %+v, %v", r, err)
		}
	})
}

// lockCalls are the methods, with whether they have returned something.
func lockCalls(ctx context.Context, s *layered.Store) map[string]func() (bool, error) {
	return map[string]func() (bool, error){
		"trylock": func() (bool, error) {
			r, err := s.TryLock(ctx, "k", "token", time.Minute)
			return r != store.LockResult{}, err
		},
		"extendlock": func() (bool, error) { return s.ExtendLock(ctx, "k", "token", time.Minute) },
		"unlock":     func() (bool, error) { return s.Unlock(ctx, "k", "token") },
		"watchlock": func() (bool, error) {
			freed, err := s.WatchLock(ctx, "k")
			return freed != nil, err
		},
	}
}

func TestLocksWithoutThoseOfL2(t *testing.T) {
	for name, l2 := range map[string]store.Store{
		"none": storetest.Bare(newMemory(t)), "a view of none": store.Prefix(storetest.Bare(newMemory(t)), "p:"),
	} {
		s := newLayered(t, newMemory(t), l2, anHour)
		for op, call := range lockCalls(t.Context(), s) {
			something, err := call()
			var e *store.Error
			if something || !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &e) || e.Op != op || e.Key != "k" {
				t.Errorf("%s: %s: %v, %v", name, op, something, err)
			}
		}
		if n := s.Stats().L2Errors; n != 0 {
			t.Errorf("%s: %d errors of L2 were counted", name, n)
		}
	}
}

// A call to an L2 that does not answer ends with the time-out, and an L2 that
// is known to be away is not asked. To wait for a lock works all the same.
func TestLocksWhileL2IsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		l2 := storetest.Intercept(newMemory(t), func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if away.Load() && c.Op != "watchlock" {
				<-ctx.Done()
				return ctx.Err()
			}
			return next(ctx)
		})
		s := newLayered(t, newMemory(t), l2, &layered.Options{Coherence: layered.Bounded(time.Hour), Timeout: time.Second})
		for op, call := range lockCalls(t.Context(), s) {
			start := time.Now()
			something, err := call()
			took := time.Since(start)
			if op == "watchlock" {
				if !something || err != nil || took != 0 {
					t.Errorf("%s: %v, %v after %v", op, something, err, took)
				}
				continue
			}
			var e *store.Error
			if something || !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &e) || e.Op != op || took > time.Second {
				t.Errorf("%s: %v, %v after %v", op, something, err, took)
			}
		}
		away.Store(false)
		time.Sleep(time.Minute)
		if r, err := s.TryLock(t.Context(), "k", "token", time.Minute); !r.Acquired || err != nil {
			t.Errorf("when L2 is back: %+v, %v", r, err)
		}
		s.Close()
		for op, call := range lockCalls(t.Context(), s) {
			if something, err := call(); something || !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s of a closed store: %v, %v", op, something, err)
			}
		}
	})
}
