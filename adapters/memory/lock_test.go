package memory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func take(t *testing.T, s *Store, key, token string, ttl time.Duration) uint64 {
	t.Helper()
	r, err := s.TryLock(t.Context(), key, token, ttl)
	if !r.Acquired || r.Fence == 0 || err != nil {
		t.Fatalf("TryLock(%q, %q): got %+v, %v, want the lock", key, token, r, err)
	}
	return r.Fence
}

func lockCount(s *Store) int {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.of)
}

func waitingCount(s *Store) int {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.waiting)
}

func TestLocksTakeNoPartInTheBounds(t *testing.T) {
	t.Parallel()
	s := newStore(t, &Options{MaxEntries: 10})
	for i := range 1000 {
		take(t, s, fmt.Sprint(i), "token", time.Hour)
		if err := s.Set(t.Context(), fmt.Sprint(i), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if unlocked, err := s.Unlock(t.Context(), fmt.Sprint(i), "token"); !unlocked || err != nil {
			t.Fatalf("the lock %d is lost: %v, %v", i, unlocked, err)
		}
	}
	if n := lockCount(s); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

// Locks whose holders never come back do not pile up, whether or not anybody
// asks for them again.
func TestExpiredLocksAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		most := 0
		for i := range 10_000 {
			take(t, s, fmt.Sprint(i), "token", 100*time.Millisecond) // so that 100 are held
			time.Sleep(time.Millisecond)
			most = max(most, lockCount(s))
		}
		if most > 4*100 {
			t.Errorf("there were %d locks, of which 100 were held", most)
		}
		for i := range 1_000 {
			take(t, s, fmt.Sprint("long", i), "token", time.Hour)
		}
		time.Sleep(2 * time.Hour)
		for i := range 5_000 {
			take(t, s, fmt.Sprint("short", i), "token", time.Millisecond)
			time.Sleep(time.Millisecond)
		}
		if n := lockCount(s); n > 2*minSweep {
			t.Errorf("%d locks are left, of which one is held", n)
		}
	})
}

// The fence is the time, so that it is larger than those of a process before,
// and grows also if the time stands still.
func TestFenceIsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newStore(t, nil)
		last := uint64(0)
		for range 100 { // in no time
			fence := take(t, before, "k", "token", time.Minute)
			if fence <= last {
				t.Fatalf("the fence is %d after %d", fence, last)
			}
			last = fence
			before.Unlock(t.Context(), "k", "token")
		}
		before.Close()
		time.Sleep(time.Millisecond)
		after := newStore(t, nil)
		if fence := take(t, after, "k", "token", time.Minute); fence <= last || fence != uint64(time.Now().UnixMicro()) {
			t.Errorf("the fence is %d after %d, at %d µs", fence, last, time.Now().UnixMicro())
		}
	})
}

func TestLockExpiresToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		take(t, s, "k", "first", time.Minute)
		time.Sleep(time.Minute - 1)
		if r, err := s.TryLock(t.Context(), "k", "second", time.Minute); r != (store.LockResult{Remaining: 1}) || err != nil {
			t.Errorf("a nanosecond before: %+v, %v", r, err)
		}
		time.Sleep(time.Nanosecond)
		if extended, err := s.ExtendLock(t.Context(), "k", "first", time.Minute); extended || err != nil {
			t.Errorf("ExtendLock at the end: %v, %v", extended, err)
		}
		take(t, s, "k", "second", store.Forever)
		time.Sleep(24 * 365 * time.Hour)
		if r, _ := s.TryLock(t.Context(), "k", "third", time.Minute); r.Acquired {
			t.Error("a lock for ever has ended")
		}
	})
}

// What waits for locks leaves nothing behind: neither goroutines, which the
// bubble would notice, nor places in the table.
func TestLockWaitersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var freed []<-chan struct{}
		for i := range 100 {
			c, err := s.WatchLock(ctx, fmt.Sprint(i%10))
			if err != nil {
				t.Fatal(err)
			}
			freed = append(freed, c)
		}
		if n := waitingCount(s); n != 10 {
			t.Errorf("%d keys are waited for", n)
		}
		cancel()
		synctest.Wait()
		if n := waitingCount(s); n != 0 {
			t.Errorf("%d keys are waited for after the end", n)
		}
		take(t, s, "1", "token", time.Minute)
		s.Unlock(t.Context(), "1", "token")
		last, err := s.WatchLock(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		<-last // from Close
		for _, c := range freed {
			if len(c) > 0 {
				t.Error("a waiter was told after the end of its context")
			}
		}
		if _, err := s.WatchLock(t.Context(), "1"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("WatchLock of a closed store: %v", err)
		}
		if waitingCount(s) != 0 || lockCount(s) != 0 {
			t.Error("a closed store keeps locks")
		}
	})
}

// Close comes in between of anything.
func TestLocksWhileClosing(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := newStore(t, nil)
		var wg sync.WaitGroup
		var held atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				for n := 0; ; n++ {
					token := fmt.Sprint(i, "-", n)
					if _, err := s.WatchLock(t.Context(), "k"); err != nil {
						return
					}
					r, err := s.TryLock(t.Context(), "k", token, time.Hour)
					if err != nil {
						if r != (store.LockResult{}) || !errors.Is(err, store.ErrClosed) {
							t.Errorf("got %+v, %v", r, err)
						}
						return
					}
					if r.Acquired {
						if held.Add(1) != 1 {
							t.Error("two hold the lock")
						}
						held.Add(-1)
						s.Unlock(t.Context(), "k", token)
					}
				}
			})
		}
		for range 20 {
			runtime.Gosched()
		}
		s.Close()
		wg.Wait()
		if waitingCount(s) != 0 || lockCount(s) != 0 {
			t.Fatal("a closed store keeps locks")
		}
	}
}
