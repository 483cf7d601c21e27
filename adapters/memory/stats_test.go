package memory

import (
	"fmt"
	"math/rand/v2"
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
		s := newStore(t, &Options{MaxEntries: 20, Policy: LRU})
		order := func() (keys []string) {
			synctest.Wait()
			for key := range s.All() {
				keys = append(keys, key)
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

// At every snapshot what was set is there or has left, whatever goes on.
func TestStatsAreOfOneMoment(t *testing.T) {
	ctx := t.Context()
	for _, p := range allPolicies() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			s := newStore(t, &Options{MaxEntries: 4096, Policy: p})
			var workers sync.WaitGroup
			for w := range 4 {
				workers.Go(func() {
					for i := range 3000 {
						key := fmt.Sprint(rand.IntN(6000))
						switch rand.IntN(10) {
						case 0:
							s.Delete(ctx, key)
						case 1:
							s.Pop()
						case 2:
							s.Evict(2)
						case 3:
							s.Touch(ctx, key, 1)
						case 4:
							if i%500 == 0 {
								s.Clear(ctx)
							}
						case 5:
							if w == 0 && i%100 == 0 {
								s.Reconfigure(&Options{MaxEntries: 1000 + i, Policy: Policy(i/100) % (Random + 1)})
							}
						default:
							s.Set(ctx, key, nil, time.Duration(rand.IntN(2))*time.Millisecond)
						}
					}
				})
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				workers.Wait()
			}()
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				got := s.Stats()
				if left := got.Deleted + got.Expired + got.Evicted + got.Replaced + got.Cleared + got.Popped; got.Sets != left+uint64(got.Entries) {
					t.Fatalf("%d values set, but %d left and %d are there: %+v", got.Sets, left, got.Entries, got)
				}
			}
		})
	}
}

func TestPauseStats(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, nil)
	use := func() {
		set(t, s, "k", "", 0)
		set(t, s, "other", "", 0)
		s.Get(ctx, "k")
		s.Get(ctx, "x")
		s.Delete(ctx, "other")
	}
	use()
	before := s.Stats()
	if before.Hits != 1 || before.Misses != 1 || before.Sets != 2 || before.Deleted != 1 || !s.StatsEnabled() {
		t.Fatalf("before: %+v", before)
	}
	s.PauseStats()
	s.PauseStats()
	use()
	set(t, s, "more", "", 0)
	want := before
	want.Entries = 2
	if got := s.Stats(); got != want || s.StatsEnabled() {
		t.Errorf("while counting is paused: %+v, want %+v", got, want)
	}
	s.ResumeStats()
	s.Get(ctx, "more")
	want.Hits++
	if got := s.Stats(); got != want || !s.StatsEnabled() {
		t.Errorf("when it goes on: %+v, want %+v", got, want)
	}
	s.PauseStats()
	s.ResetStats()
	if got := s.Stats(); got != (Stats{Entries: 2}) || s.StatsEnabled() {
		t.Errorf("after ResetStats, which resumes nothing: %+v", got)
	}
}

func TestRates(t *testing.T) {
	for _, c := range []struct {
		Stats
		hit, miss, eviction float64
	}{
		{Stats{}, 0, 0, 0},
		{Stats{Hits: 3, Misses: 1}, 0.75, 0.25, 0},
		{Stats{Misses: 5}, 0, 1, 0},
		{Stats{Hits: 5}, 1, 0, 0},
		{Stats{Sets: 8, Evicted: 2}, 0, 0, 0.25},
		{Stats{Sets: 8, Evicted: 8}, 0, 0, 1},
		{Stats{Sets: 1, Evicted: 8}, 0, 0, 1}, // those were set before ResetStats
		{Stats{Evicted: 8}, 0, 0, 0},
	} {
		if h, m, e := c.HitRate(), c.MissRate(), c.EvictionRate(); h != c.hit || m != c.miss || e != c.eviction {
			t.Errorf("%+v has the rates %v, %v and %v", c, h, m, e)
		}
	}
}
