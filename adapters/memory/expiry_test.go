package memory

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestExpiresToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		set(t, s, "k", "v", time.Minute)
		time.Sleep(time.Minute - 1)
		if ttl, err := s.TTL(t.Context(), "k"); ttl != 1 || err != nil {
			t.Errorf("a nanosecond before: TTL = %v, %v, want 1ns", ttl, err)
		}
		if _, err := s.GetLive(t.Context(), "k"); err != nil {
			t.Errorf("a nanosecond before: GetLive = %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := s.GetLive(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("at the instant: GetLive = %v, want ErrNotFound", err)
		}
		if n := s.Len(); n != 0 {
			t.Errorf("at the instant: Len() = %d, want 0", n)
		}
	})
}

// held is what the Store keeps, expired or not.
func (s *Store) held() (entries, deadlines int) {
	s.expiry.mu.Lock()
	defer s.expiry.mu.Unlock()
	return s.cache.EstimatedSize(), len(s.expiry.dues)
}

func TestExpiredMemoryIsFreedUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		const n = 1000
		ttl := func(i int) time.Duration { return time.Duration(i+1) * 7 * time.Millisecond }
		for _, i := range rand.Perm(n) {
			set(t, s, fmt.Sprint(i), "v", ttl(i))
		}
		set(t, s, "stays", "v", store.Forever)
		for start, gone := time.Now(), 0; gone < n; gone++ {
			time.Sleep(time.Until(start.Add(ttl(gone) + sweepEvery)))
			synctest.Wait()
			if entries, deadlines := s.held(); entries > n-gone || deadlines > n-gone-1 {
				t.Fatalf("0.1s after %d of %d have expired there are %d entries and %d deadlines", gone+1, n, entries-1, deadlines)
			}
		}
		if _, err := s.Get(t.Context(), "stays"); err != nil {
			t.Error(err)
		}
	})
}

func countSweeps(s *Store) *atomic.Int64 {
	var n atomic.Int64
	sweep := s.expiry.sweep
	s.expiry.sweep = func() { n.Add(1); sweep() }
	return &n
}

// The timer must not fire for ever once nothing is left to expire, nor more
// than ten times a second.
func TestSweepsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		sweeps := countSweeps(s)
		set(t, s, "forever", "v", 0)
		if s.expiry.timer != nil {
			t.Error("there is a timer for an entry that does not expire")
		}
		for i := range 1000 {
			set(t, s, fmt.Sprint(i), "v", time.Duration(i+1)*time.Millisecond)
		}
		time.Sleep(time.Hour)
		if n := sweeps.Load(); n > 11 {
			t.Errorf("%d sweeps for entries that expire within a second, want 11 at most", n)
		}
		set(t, s, "late", "v", time.Hour)
		time.Sleep(time.Hour)
		synctest.Wait()
		if entries, deadlines := s.held(); entries != 1 || deadlines != 0 {
			t.Errorf("after a pause the timer did not come back: %d entries and %d deadlines", entries, deadlines)
		}
	})
}

// A deadline is forgotten with its entry, or rewriting one key would pile them
// up.
func TestOneDeadlineForAnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, &Options{MaxEntries: 50})
		for i := range 10_000 {
			key := fmt.Sprint(rand.IntN(100))
			ttl := time.Duration(rand.IntN(3)) * time.Duration(rand.IntN(int(time.Minute)))
			switch i % 6 {
			case 0, 1:
				set(t, s, key, "v", ttl)
			case 2:
				s.Add(ctx, key, []byte("v"), ttl)
			case 3:
				s.CompareAndSwap(ctx, key, []byte("v"), []byte("v"), ttl)
			case 4:
				s.Touch(ctx, key, ttl)
			case 5:
				s.Delete(ctx, key)
			}
			time.Sleep(time.Duration(rand.IntN(int(100 * time.Millisecond))))
		}
		synctest.Wait()
		s.expiry.mu.Lock()
		defer s.expiry.mu.Unlock()
		expiring := 0
		for key, e := range s.cache.All() {
			if e.due == nil {
				continue
			}
			expiring++
			if s.expiry.dues[e.due.index] != e.due || e.due.key != key || e.due.at != e.deadline {
				t.Fatalf("the deadline of %q is not kept as it should be", key)
			}
		}
		if expiring == 0 || len(s.expiry.dues) != expiring {
			t.Errorf("%d deadlines for %d entries that expire", len(s.expiry.dues), expiring)
		}
	})
}

func TestRewrittenEntryOutlivesItsOldDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		for _, key := range []string{"set", "touched", "forever"} {
			set(t, s, key, "v", time.Second)
		}
		set(t, s, "set", "v", time.Hour)
		if err := s.Touch(t.Context(), "touched", time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := s.Touch(t.Context(), "forever", store.Forever); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - 1)
		if n := s.Len(); n != 3 {
			t.Errorf("before the new deadline Len() = %d, want 3", n)
		}
		time.Sleep(time.Nanosecond)
		if n := s.Len(); n != 1 {
			t.Errorf("after the new deadline Len() = %d, want 1", n)
		}
	})
}

func TestLongestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		time.Sleep(time.Hour)
		set(t, s, "k", "v", math.MaxInt64-1)
		ttl, err := s.TTL(t.Context(), "k")
		if err != nil || ttl == store.Forever || ttl < math.MaxInt64-2*time.Hour {
			t.Errorf("TTL = %v, %v, want all but for ever", ttl, err)
		}
	})
}

func TestCloseStopsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		sweeps := countSweeps(s)
		set(t, s, "k", "v", time.Second)
		s.Close()
		if err := s.Set(t.Context(), "k", nil, time.Second); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Set after Close = %v", err)
		}
		time.Sleep(time.Hour)
		if n := sweeps.Load(); n != 0 {
			t.Errorf("%d sweeps after Close", n)
		}
	})
}
