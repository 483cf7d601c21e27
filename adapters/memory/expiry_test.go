package memory

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// sweepEvery is how long the memory of what has expired may stay.
const sweepEvery = 100 * time.Millisecond

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
