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

// Fault 8: L1 outlives L2. An entry goes from L1 when it does in L2, however
// late it was read, and whatever was read in between.
func TestL1DoesNotOutliveL2(t *testing.T) {
	for _, o := range []*layered.Options{watchSecond, anHour} {
		synctest.Test(t, func(t *testing.T) {
			l2 := newFar(t)
			slow := paused(l2, "getwithttl", func() { time.Sleep(100 * time.Millisecond) })
			s := newLayered(t, newMemory(t), slow, o)
			if l2.watcher != nil {
				l2.watcher.Proven(store.AlwaysProven)
			}
			set(t, l2, "k", "v", time.Second)
			time.Sleep(800 * time.Millisecond)
			wantGet(t, s, "k", "v") // asked 800 ms after the Set, answered 100 ms later
			time.Sleep(99 * time.Millisecond)
			wantGet(t, s, "k", "v")
			time.Sleep(time.Millisecond)
			wantGet(t, s, "k", "")
		})
	}
}

// Fault 10: an entry whose time to live L2 cannot tell stays in L1 for ever.
func TestUnknownTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l1, l2 := newMemory(t), newFar(t)
		s := newLayered(t, l1, struct{ *cannotTell }{&cannotTell{l2}}, &layered.Options{Coherence: layered.Bounded(time.Hour), UnknownTTL: 3 * time.Second})
		set(t, s, "k", "v", 0)
		wantGet(t, s, "k", "v")
		if ttl, err := l1.TTL(t.Context(), "k"); err != nil || ttl != 3*time.Second {
			t.Errorf("L1 keeps it for %v, %v; want 3s", ttl, err)
		}
		if ttl, err := s.TTL(t.Context(), "k"); err != nil || ttl != store.UnknownTTL {
			t.Errorf("TTL = %v, %v; want UnknownTTL", ttl, err)
		}
	})
}

// cannotTell is a store without abilities that knows no time to live.
type cannotTell struct{ store.Store }

func (c *cannotTell) TTL(ctx context.Context, key string) (time.Duration, error) {
	if _, err := c.Store.TTL(ctx, key); err != nil {
		return 0, err
	}
	return store.UnknownTTL, nil
}

func TestMaxTTLAndJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l1, l2 := newMemory(t), newMemory(t)
		s := newLayered(t, l1, onlyBytes(l2), &layered.Options{Coherence: layered.Watch(time.Second), MaxTTL: time.Minute, Jitter: 0.5})
		shortest, longest := time.Hour, time.Duration(0)
		for range 100 {
			set(t, s, "k", "v", 0)
			wantGet(t, s, "k", "v")
			ttl, err := l1.TTL(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			shortest, longest = min(shortest, ttl), max(longest, ttl)
		}
		if shortest < 30*time.Second || longest > time.Minute || longest-shortest < 15*time.Second {
			t.Errorf("L1 keeps entries for %v to %v; want 30s to 1m, spread", shortest, longest)
		}
		if ttl, err := s.TTL(t.Context(), "k"); err != nil || ttl != store.Forever {
			t.Errorf("TTL = %v, %v; want Forever", ttl, err)
		}
	})
}

// Fault 14: a hit in the second store fills the first. And fault 6: filling
// publishes nothing.
func TestHitInL2FillsL1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l1, l2 := newMemory(t), newMemory(t)
		log := storetest.NewRecorder(onlyBytes(l2))
		s := newLayered(t, l1, log, watchSecond)
		other := newLayered(t, newMemory(t), onlyBytes(l2), watchSecond)
		set(t, l2, "k", "v", time.Hour)
		before := len(log.Calls())
		for range 3 {
			wantGet(t, s, "k", "v")
			wantGet(t, other, "k", "v")
		}
		if calls := log.Calls()[before:]; len(calls) != 1 || calls[0].Op != "getwithttl" {
			t.Errorf("L2 was asked %v, want one getwithttl", calls)
		}
		if st := s.Stats(); st.L1Hits != 2 || st.L2Hits != 1 || st.Invalidations != 1 { // of the Set
			t.Errorf("Stats = %+v", st)
		}
	})
}

func TestGetManyAsksL2Once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newMemory(t)
		log := storetest.NewRecorder(onlyBytes(l2))
		s := newLayered(t, newMemory(t), log, watchSecond)
		for _, key := range []string{"a", "b", "c"} {
			set(t, l2, key, "v", time.Hour)
		}
		wantGet(t, s, "a", "v")
		before := len(log.Calls())
		got, err := s.GetMany(t.Context(), []string{"a", "b", "c", "none", "b"})
		if err != nil || len(got) != 3 {
			t.Errorf("GetMany = %q, %v", got, err)
		}
		if calls := log.Calls()[before:]; len(calls) != 1 || calls[0].Op != "getmanywithttl" || len(calls[0].Keys) != 3 {
			t.Errorf("L2 was asked %v, want one getmanywithttl of b, c, none", calls)
		}
	})
}

// What L2 has as bytes is decoded once for all readers.
func TestDecodedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLayered(t, newMemory(t), onlyBytes(newMemory(t)), watchSecond)
		set(t, s, "k", "v", 0)
		decoded := 0
		for range 3 {
			l, err := s.GetLive(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			store.LiveValue(l, func(b []byte) (*string, error) {
				decoded++
				v := string(b)
				return &v, nil
			})
		}
		if decoded != 1 {
			t.Errorf("decoded %d times, want once", decoded)
		}
	})
}

func TestSetLiveEncodesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLayered(t, newMemory(t), onlyBytes(newMemory(t)), watchSecond)
		encoded := 0
		l := store.NewLive(1, func() ([]byte, error) { encoded++; return []byte("1"), nil })
		if err := s.SetLive(t.Context(), "k", l, 0); err != nil {
			t.Fatal(err)
		}
		wantGet(t, s, "k", "1")
		wantGet(t, s, "k", "1")
		if encoded != 1 {
			t.Errorf("encoded %d times, want once", encoded)
		}
		bad := store.NewLive(1, func() ([]byte, error) { return nil, errors.New("no form") })
		if err := s.SetLive(t.Context(), "k", bad, 0); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("SetLive = %v, want ErrInvalid", err)
		}
		wantGet(t, s, "k", "1")
	})
}

// The caller may reuse its slices, also while a call that took too long is
// still under way.
func TestSlicesAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2, at := newMemory(t), newTurnstile()
		late := storetest.Intercept(onlyBytes(l2), func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
			at.pass()
			return next(context.WithoutCancel(ctx)) // as if it had been sent before
		})
		s := newLayered(t, newMemory(t), late, watchSecond)
		at.shut()
		value := []byte("v")
		if err := s.Set(t.Context(), "k", value, 0); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Set = %v, want ErrUnavailable", err)
		}
		value[0] = 'x'
		at.open()
		synctest.Wait()
		wantGet(t, l2, "k", "v")
	})
}

// Fault 24: a hit in L1 allocates.
func TestHitsDoNotAllocate(t *testing.T) {
	for name, o := range map[string]*layered.Options{"Watch": watchSecond, "Bounded": anHour} {
		s := newLayered(t, newMemory(t), onlyBytes(newMemory(t)), o)
		set(t, s, "k", "v", time.Hour)
		wantGet(t, s, "k", "v")
		ctx := context.Background()
		for op, read := range map[string]func(){
			"GetLive":   func() { s.GetLive(ctx, "k") },
			"GetLiveAt": func() { s.GetLiveAt(ctx, "k", time.Now()) },
		} {
			if n := testing.AllocsPerRun(100, read); n != 0 {
				t.Errorf("%s, %s: %v allocations, want none", name, op, n)
			}
		}
		if st := s.Stats(); st.L1Hits < 200 {
			t.Errorf("%s: only %d hits in L1", name, st.L1Hits)
		}
	}
}
