package layered_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// outdate makes L1 have what L2 has no more, without anybody telling.
func outdate(t *testing.T, s *layered.Store, l2 *far) {
	t.Helper()
	set(t, l2, "k", "old", time.Hour)
	wantGet(t, s, "k", "old")
	replace(l2)
}

func TestNothingIsServedBeforeAProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newFar(t)
		s := newLayered(t, newMemory(t), l2, watchSecond)
		outdate(t, s, l2)
		wantGet(t, s, "k", "new")
		if st := s.Stats(); st.L1Open || st.ProofAge != -1 || st.Bypassed != 2 || st.L1Hits != 0 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

// The fence: what L1 answers was L2's value at most delta ago.
func TestL1IsServedUntilDeltaAfterTheLastProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l2 := newWatched(t, watchSecond)
		outdate(t, s, l2)
		time.Sleep(time.Second)
		wantGet(t, s, "k", "old") // exactly delta
		time.Sleep(time.Nanosecond)
		wantGet(t, s, "k", "new")
	})
}

func TestWithoutTheFenceL1IsServedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l2 := newWatched(t, watchSecond)
		s.SwitchOff("fence")
		outdate(t, s, l2)
		time.Sleep(time.Minute)
		wantGet(t, s, "k", "old")
	})
}

// A stall of the connection costs reads, but not what L1 has.
func TestProofOpensTheFenceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l1, l2 := newWatched(t, watchSecond)
		set(t, l2, "k", "v", time.Hour)
		wantGet(t, s, "k", "v")
		time.Sleep(time.Minute)
		wantGet(t, s, "k", "v")
		l2.watcher.Proven(time.Now().Add(-time.Second / 2))
		l2.watcher.Proven(time.Now().Add(-time.Minute)) // an older one changes nothing
		hits := l1.Stats().Hits
		wantGet(t, s, "k", "v")
		if l1.Stats().Hits != hits+1 {
			t.Error("L1 was not asked")
		}
		if st := s.Stats(); !st.L1Open || st.ProofAge != time.Second/2 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

func TestFlushDropsEverything(t *testing.T) {
	for _, off := range []string{"", "flush"} {
		synctest.Test(t, func(t *testing.T) {
			s, _, l2 := newWatched(t, watchSecond)
			switchOff(s, off)
			outdate(t, s, l2)
			l2.watcher.Flush()
			want := "new"
			if off != "" {
				want = "old"
			}
			wantGet(t, s, "k", want)
		})
	}
}

// Fault 11: overwriting a key does not show in L1. Here another process does.
func TestInvalidationDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l2 := newWatched(t, watchSecond)
		outdate(t, s, l2)
		wantGet(t, s, "k", "old")
		l2.watcher.Invalidate("other", "k")
		wantGet(t, s, "k", "new")
		if st := s.Stats(); st.Invalidations != 2 {
			t.Errorf("Invalidations = %d, want 2", st.Invalidations)
		}
	})
}

// Read your writes, in every way to write.
func TestWritesShow(t *testing.T) {
	ctx := context.Background()
	for name, write := range map[string]func(s *layered.Store) error{
		"Set":     func(s *layered.Store) error { return s.Set(ctx, "k", []byte("own"), 0) },
		"SetLive": func(s *layered.Store) error { return s.SetLive(ctx, "k", store.LiveBytes([]byte("own")), 0) },
		"SetMany": func(s *layered.Store) error {
			return s.SetMany(ctx, []store.Item{{Key: "k", Value: []byte("own")}})
		},
		"CompareAndSwap": func(s *layered.Store) error {
			_, err := s.CompareAndSwap(ctx, "k", []byte("old"), []byte("own"), 0)
			return err
		},
		"Delete":           func(s *layered.Store) error { return s.Delete(ctx, "k") },
		"DeleteMany":       func(s *layered.Store) error { return s.DeleteMany(ctx, []string{"k"}) },
		"Clear":            func(s *layered.Store) error { return s.Clear(ctx) },
		"CompareAndDelete": func(s *layered.Store) error { _, err := s.CompareAndDelete(ctx, "k", []byte("old")); return err },
		"Hold":             func(s *layered.Store) error { return s.Hold(ctx, "k", time.Hour) },
	} {
		for _, o := range []*layered.Options{watchSecond, anHour} {
			synctest.Test(t, func(t *testing.T) {
				l2 := newFar(t)
				s := newLayered(t, newMemory(t), l2, o)
				if l2.watcher != nil {
					l2.watcher.Proven(store.AlwaysProven)
				}
				set(t, s, "k", "old", time.Hour)
				wantGet(t, s, "k", "old")
				if err := write(s); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				value, err := l2.Get(ctx, "k")
				if err != nil && err != store.ErrNotFound {
					t.Error(err)
				}
				if string(value) == "old" {
					t.Errorf("%s has not changed L2", name)
				}
				wantGet(t, s, "k", string(value))
			})
		}
	}
}

// With Bounded, what another process writes shows after max at the latest.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newFar(t)
		s := newLayered(t, newMemory(t), l2, &layered.Options{Coherence: layered.Bounded(time.Minute), Jitter: 1e-9})
		outdate(t, s, l2)
		for range 59 { // reading does not prolong it
			time.Sleep(time.Second)
			wantGet(t, s, "k", "old")
		}
		time.Sleep(time.Second)
		wantGet(t, s, "k", "new")
		if err := s.Watch(t.Context(), new(told)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Watch = %v, want errors.ErrUnsupported", err)
		}
	})
}

// An L1 that cannot drop a key must not be served, also when it works again.
func TestL1ThatFailsToDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := false
		l1 := storetest.Faulty(newMemory(t), func(c storetest.Call) error {
			if broken && c.Op != "getliveat" && c.Op != "get" {
				return errors.New("broken")
			}
			return nil
		}, nil)
		l2 := newFar(t)
		s := newLayered(t, l1, l2, watchSecond)
		l2.watcher.Proven(store.AlwaysProven)
		outdate(t, s, l2)
		broken = true
		l2.watcher.Invalidate("k")
		wantGet(t, s, "k", "new")
		if x, _ := s.Explain(t.Context(), "k"); x.Bypass == "" {
			t.Errorf("%v", x)
		}
		broken = false
		time.Sleep(2 * time.Second)
		wantGet(t, s, "k", "new") // clears L1
		before := s.Stats().L1Hits
		wantGet(t, s, "k", "new")
		wantGet(t, s, "k", "new")
		if st := s.Stats(); st.L1Hits == before || !st.L1Open || st.L1Errors == 0 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

// Errors of L1 never hide L2's answer.
func TestL1ThatFails(t *testing.T) {
	l1 := storetest.Faulty(newMemory(t), func(c storetest.Call) error {
		if c.Op == "clear" {
			return nil
		}
		return errors.New("broken")
	}, nil)
	s := newLayered(t, l1, newMemory(t), anHour)
	for range 2 {
		set(t, s, "k", "v", 0)
		wantGet(t, s, "k", "v")
		if many, err := s.GetMany(t.Context(), []string{"k", "none"}); err != nil || string(many["k"]) != "v" {
			t.Errorf("GetMany = %q, %v", many, err)
		}
		if l, err := s.GetLive(t.Context(), "k"); err != nil || l == nil {
			t.Errorf("GetLive = %v, %v", l, err)
		}
		if err := s.Delete(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		wantGet(t, s, "k", "")
	}
}

// told is a Watcher that notes what it is told.
type told struct {
	keys    []string
	flushes int
	proven  time.Time
	do      func()
}

func (w *told) Invalidate(keys ...string) {
	w.keys = append(w.keys, keys...)
	if w.do != nil {
		w.do()
	}
}

func (w *told) Flush()                { w.flushes++ }
func (w *told) Proven(sent time.Time) { w.proven = sent }
