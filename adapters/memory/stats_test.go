package memory

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, &Options{MaxBytes: 10_000})
		if got := s.Stats(); got != (Stats{}) || got.HitRate() != 0 {
			t.Errorf("a new Store has %+v", got)
		}
		set(t, s, "a", "1", 0)
		set(t, s, "a", "2", 0)
		set(t, s, "b", "1", time.Second)
		s.SetMany(ctx, []store.Item{{Key: "c"}, {Key: "d"}})
		s.SetLive(ctx, "e", store.LiveBytes(nil), 0)
		s.Add(ctx, "e", nil, 0)
		s.Add(ctx, "f", nil, 0)
		s.CompareAndSwap(ctx, "f", []byte("x"), nil, 0)
		s.CompareAndSwap(ctx, "f", nil, []byte("x"), 0)
		s.Touch(ctx, "f", time.Hour)
		s.Delete(ctx, "c")
		s.Delete(ctx, "c")

		s.Get(ctx, "a")
		s.Get(ctx, "x")
		s.GetLive(ctx, "a")
		s.GetWithTTL(ctx, "a")
		s.GetMany(ctx, []string{"a", "a", "x", "b"})
		s.Get(ctx, "")
		s.TTL(ctx, "a")
		s.TTL(ctx, "x")
		for range s.Keys(ctx, "") {
		}
		time.Sleep(time.Second)
		s.Get(ctx, "b")
		want := Stats{
			Hits: 5, Misses: 3, Sets: 8,
			Deleted: 1, Expired: 1, Replaced: 2,
			Entries: 4, Bytes: 4*entryOverhead + int64(len("a2"+"d"+"e"+"fx")),
		}
		got := s.Stats()
		if got != want {
			t.Errorf("Stats() = %+v, want %+v", got, want)
		}
		if rate := got.HitRate(); rate != 0.625 {
			t.Errorf("HitRate() = %v, want 0.625", rate)
		}
		s.ResetStats()
		if got := s.Stats(); got != (Stats{Entries: want.Entries, Bytes: want.Bytes}) {
			t.Errorf("after ResetStats: %+v", got)
		}
		s.Clear(ctx)
		if got := s.Stats(); got != (Stats{Cleared: 4}) {
			t.Errorf("after Clear: %+v", got)
		}
	})
}

func TestStatsAreExactUnderConcurrency(t *testing.T) {
	s := newStore(t, nil)
	set(t, s, "k", "v", 0)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 1000 {
				s.GetLive(t.Context(), "k")
				s.GetLive(t.Context(), "x")
			}
		})
	}
	readers.Wait()
	if got := s.Stats(); got.Hits != 8000 || got.Misses != 8000 {
		t.Errorf("%d hits and %d misses, want 8000 of each", got.Hits, got.Misses)
	}
}

// TTL, Keys and an Add that finds an entry are not uses of it: they leave the
// order of eviction as it is, which Get changes.
func TestQuestionsAreNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, &Options{MaxEntries: 20})
		order := func() (keys []string) {
			synctest.Wait()
			for e := range s.cache.Coldest() {
				keys = append(keys, e.Key)
			}
			return keys
		}
		for i := range 20 {
			set(t, s, fmt.Sprint(i), "v", 0)
		}
		before := order()
		for range 100 {
			s.TTL(ctx, before[0])
			s.Add(ctx, before[0], nil, 0)
			s.CompareAndSwap(ctx, before[0], nil, nil, 0)
			for range s.Keys(ctx, "") {
			}
			s.Len()
		}
		if after := order(); !slices.Equal(before, after) {
			t.Errorf("the order of eviction was %v and is now %v", before, after)
		}
		for range 100 {
			s.Get(ctx, before[0])
		}
		if after := order(); slices.Equal(before, after) {
			t.Error("Get does not change the order of eviction: the test proves nothing")
		}
	})
}
