package lock

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// A name whose lock fits the store, and whose fence does not, leaves no lock
// behind that nobody holds.
func TestNameTooLongForTheFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntries(t)
		k := newLock(t, e, nil)
		longest := store.MaxKeyLen - len(fencePrefix)
		mustUnlock(t, mustLock(t, k, strings.Repeat("n", longest)))
		for n := longest + 1; n <= store.MaxKeyLen; n++ {
			name := strings.Repeat("n", n)
			if _, err := k.TryLock(t.Context(), name); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%d bytes: %v, want ErrInvalid", n, err)
			}
			if synctest.Wait(); len(entryPrefix)+n > store.MaxKeyLen {
				continue
			}
			if _, err := e.Get(t.Context(), entryPrefix+name); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%d bytes: a lock is left that nobody holds: %v", n, err)
			}
		}
	})
}

// So does a quorum, whose fences are entries and whose locks may be none.
func TestNameTooLongForTheFenceOfAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		k := newQuorum(t, nil, stores...)
		name := strings.Repeat("n", store.MaxKeyLen-len(fencePrefix))
		mustUnlock(t, mustLock(t, k, name))
		name += "n"
		if _, err := k.TryLock(t.Context(), name); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
		synctest.Wait()
		for i, f := range fakes {
			if f.holder(name) != "" {
				t.Errorf("store %d: a lock is left that nobody holds", i+1)
			}
		}
	})
}

// seconds is a store that knows a TTL in whole seconds, rounded down.
type seconds struct {
	entries
	asked *atomic.Int64
}

func (s seconds) TTL(ctx context.Context, key string) (time.Duration, error) {
	s.asked.Add(1)
	left, err := s.entries.TTL(ctx, key)
	return left.Truncate(time.Second), err
}

// In the last second it says 0 all the time, which is no reason to ask all the
// time.
func TestNoBusyPollingWhereTTLsAreSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := seconds{newEntries(t), new(atomic.Int64)}
		dead := mustLock(t, newLock(t, s, &Options{NoRenewal: true, TTL: 3 * time.Second}), "a")
		start := time.Now()
		mustUnlock(t, mustLock(t, newLock(t, s, nil), "a"))
		within(t, "the lock", time.Since(start), 3*time.Second, 3*time.Second+20*time.Millisecond)
		if n := s.asked.Load(); n > 120 {
			t.Errorf("asked %d times in 3 s", n)
		}
		if err := dead.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v, want ErrLost", err)
		}
	})
}
