package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

var ordered = []Policy{LRU, MRU, LFU, FIFO, LIFO}

func allPolicies() (all []Policy) {
	for p := TinyLFU; p.Valid(); p++ {
		all = append(all, p)
	}
	return all
}

// order is the keys as All yields them.
func order(s *Store) string {
	var keys []string
	for key := range s.All() {
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

// abc is a full Store of three entries, written in the order of the alphabet.
// The value of each is its key.
func abc(t *testing.T, o Options) *Store {
	t.Helper()
	o.MaxEntries = 3
	s := newStore(t, &o)
	for _, key := range []string{"a", "b", "c"} {
		set(t, s, key, key, 0)
	}
	return s
}

var abcOrder = map[Policy]string{LRU: "a b c", MRU: "c b a", LFU: "a b c", FIFO: "a b c", LIFO: "c b a"}

func wantOrder(t *testing.T, what string, s *Store, want string) {
	t.Helper()
	if got := order(s); got != want {
		t.Errorf("%s: the order of eviction is %q, want %q", what, got, want)
	}
}

func TestReadsAreUses(t *testing.T) {
	want := map[Policy]string{LRU: "b c a", MRU: "a c b", LFU: "b c a", FIFO: "a b c", LIFO: "c b a"}
	for name, read := range map[string]func(ctx context.Context, s *Store) error{
		"Get":            func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, "a"); return err },
		"GetWithTTL":     func(ctx context.Context, s *Store) error { _, _, err := s.GetWithTTL(ctx, "a"); return err },
		"GetLive":        func(ctx context.Context, s *Store) error { _, err := s.GetLive(ctx, "a"); return err },
		"GetLiveAt":      func(ctx context.Context, s *Store) error { _, err := s.GetLiveAt(ctx, "a", time.Now()); return err },
		"GetMany":        func(ctx context.Context, s *Store) error { _, err := s.GetMany(ctx, []string{"a"}); return err },
		"GetManyWithTTL": func(ctx context.Context, s *Store) error { _, err := s.GetManyWithTTL(ctx, []string{"a"}); return err },
		"GetOrLease": func(ctx context.Context, s *Store) error {
			_, err := s.GetOrLease(ctx, "a", "token", time.Minute, nil)
			return err
		},
	} {
		for _, p := range ordered {
			s := abc(t, Options{Policy: p})
			wantOrder(t, p.String(), s, abcOrder[p])
			if err := read(t.Context(), s); err != nil {
				t.Errorf("%v: %s: %v", p, name, err)
			}
			wantOrder(t, fmt.Sprintf("%v: %s of a", p, name), s, want[p])
		}
	}
}

func TestWritesAreUses(t *testing.T) {
	want := map[Policy]string{LRU: "b c a", MRU: "a c b", LFU: "a b c", FIFO: "b c a", LIFO: "a c b"}
	for name, write := range map[string]func(ctx context.Context, s *Store) error{
		"Set": func(ctx context.Context, s *Store) error { return s.Set(ctx, "a", nil, 0) },
		"SetLive": func(ctx context.Context, s *Store) error {
			return s.SetLive(ctx, "a", store.LiveBytes(nil), 0)
		},
		"SetLive of what is there": func(ctx context.Context, s *Store) error {
			e, _ := s.peek("a")
			return s.SetLive(ctx, "a", e.Value, 0)
		},
		"SetMany": func(ctx context.Context, s *Store) error { return s.SetMany(ctx, []store.Item{{Key: "a"}}) },
		"CompareAndSwap": func(ctx context.Context, s *Store) error {
			return did(s.CompareAndSwap(ctx, "a", []byte("a"), nil, 0))
		},
		"Fill": func(ctx context.Context, s *Store) error {
			e, _ := s.peek("a")
			if _, err := s.GetOrLease(ctx, "a", "token", time.Minute, e.Value); err != nil {
				return err
			}
			return did(s.Fill(ctx, "a", "token", store.LiveBytes(nil), 0))
		},
	} {
		for _, p := range ordered {
			s := abc(t, Options{Policy: p})
			if p == LFU { // which begins to count anew
				s.GetMany(t.Context(), []string{"a", "b", "c"})
				s.Get(t.Context(), "a")
			}
			if err := write(t.Context(), s); err != nil {
				t.Errorf("%v: %s: %v", p, name, err)
			}
			wantOrder(t, fmt.Sprintf("%v: %s of a", p, name), s, want[p])
		}
	}
}

func TestWhatIsNoUse(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, s *Store) error{
		"TTL":   func(ctx context.Context, s *Store) error { _, err := s.TTL(ctx, "a"); return err },
		"Has":   func(ctx context.Context, s *Store) error { return did(s.Has(ctx, "a")) },
		"Touch": func(ctx context.Context, s *Store) error { return s.Touch(ctx, "a", time.Hour) },
		"Add":   func(ctx context.Context, s *Store) error { return didNot(s.Add(ctx, "a", nil, 0)) },
		"CompareAndSwap": func(ctx context.Context, s *Store) error {
			return didNot(s.CompareAndSwap(ctx, "a", []byte("x"), nil, 0))
		},
		"CompareAndDelete": func(ctx context.Context, s *Store) error {
			return didNot(s.CompareAndDelete(ctx, "a", []byte("x")))
		},
		"Fill without a lease": func(ctx context.Context, s *Store) error {
			return didNot(s.Fill(ctx, "a", "token", store.LiveBytes(nil), 0))
		},
		"Keys": func(ctx context.Context, s *Store) error {
			for _, err := range s.Keys(ctx, "a") {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"All":             func(_ context.Context, s *Store) error { order(s); return nil },
		"Copy":            func(_ context.Context, s *Store) error { s.Copy(); return nil },
		"Stats":           func(_ context.Context, s *Store) error { s.Stats(); return nil },
		"Len and Full":    func(_ context.Context, s *Store) error { s.Len(); s.Full(); return nil },
		"DeleteExpired":   func(_ context.Context, s *Store) error { s.DeleteExpired(); return nil },
		"Get of another":  func(ctx context.Context, s *Store) error { return ignore(store.ErrNotFound, second(s.Get(ctx, "x"))) },
		"a write refused": func(ctx context.Context, s *Store) error { return ignore(store.ErrInvalid, s.Set(ctx, "a", nil, -1)) },
	} {
		for _, p := range ordered {
			s := abc(t, Options{Policy: p})
			s.Get(t.Context(), "b")
			before := order(s)
			for range 3 {
				if err := do(t.Context(), s); err != nil {
					t.Errorf("%v: %s: %v", p, name, err)
				}
			}
			wantOrder(t, fmt.Sprintf("%v: %s", p, name), s, before)
			if p == FIFO {
				if got := s.Stats(); got.Hits != 1 || got.Sets != 3 {
					t.Errorf("%s counts: %+v", name, got)
				}
			}
		}
	}
}

func second[A any](_ A, err error) error { return err }

// The entry that is being written never goes for itself, not even where the
// newest goes first.
func TestVictims(t *testing.T) {
	want := map[Policy]string{LRU: "a b c", MRU: "c d e", LFU: "a b c", FIFO: "a b c", LIFO: "c d e"}
	for _, p := range ordered {
		var victims []string
		s := abc(t, Options{Policy: p, OnRemove: func(key string, _ *store.Live, cause Cause) {
			if cause != Capacity {
				t.Errorf("%v: %s was removed, %v", p, key, cause)
			}
			victims = append(victims, key)
		}})
		for _, key := range []string{"d", "e", "f"} {
			set(t, s, key, "", 0)
		}
		if got := strings.Join(victims, " "); got != want[p] {
			t.Errorf("%v evicts %q, want %q", p, got, want[p])
		}
	}
}

func TestLFUVictims(t *testing.T) {
	s := abc(t, Options{Policy: LFU})
	for _, key := range []string{"a", "b", "b", "c", "b", "a", "a"} {
		s.Get(t.Context(), key)
	}
	wantOrder(t, "3 reads of a, 3 of b, one of c", s, "c a b")
	set(t, s, "d", "", 0)
	wantOrder(t, "d in the place of c", s, "d a b")
	set(t, s, "b", "", 0)
	wantOrder(t, "b written anew, which is newer than d", s, "d b a")
}

func TestOverwriteEvictsNothing(t *testing.T) {
	ctx := t.Context()
	for _, p := range allPolicies() {
		s := abc(t, Options{Policy: p})
		for i := range 100 {
			key := string("abc"[i%3])
			value := []byte(fmt.Sprint(i))
			set(t, s, key, string(value), 0)
			if err := s.SetMany(ctx, []store.Item{{Key: key, Value: value}, {Key: "a", Value: value}}); err != nil {
				t.Fatal(err)
			}
			if err := did(s.CompareAndSwap(ctx, key, value, []byte(key), 0)); err != nil {
				t.Fatal(err)
			}
			if err := didNot(s.Add(ctx, key, nil, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Stats(); got.Entries != 3 || got.Evicted != 0 {
			t.Errorf("%v: after writes of the same three keys: %+v", p, got)
		}
	}
}

// What has expired goes first, wherever it is in the order.
func TestExpiredGoFirst(t *testing.T) {
	for _, p := range allPolicies() {
		for i := range 3 {
			synctest.Test(t, func(t *testing.T) {
				s := abc(t, Options{Policy: p})
				dead := string("abc"[i])
				if err := s.Touch(t.Context(), dead, time.Millisecond); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
				set(t, s, "d", "", 0)
				if got := s.Stats(); got.Expired != 1 || got.Evicted != 0 || got.Entries != 3 {
					t.Errorf("%v: with %s expired, a write that needs room: %+v", p, dead, got)
				}
			})
		}
	}
}

func TestTinyLFUOutlivesAScan(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxEntries: 100})
	hot := make([]string, 50)
	for i := range hot {
		hot[i] = fmt.Sprint("hot", i)
		set(t, s, hot[i], "", 0)
	}
	for range 10 {
		s.GetMany(ctx, hot)
	}
	for i := range 10_000 {
		set(t, s, fmt.Sprint("scan", i), "", 0)
		if i%20 == 0 {
			s.GetMany(ctx, hot)
		}
	}
	left, err := s.GetMany(ctx, hot)
	if err != nil || len(left) < 45 {
		t.Errorf("a scan leaves %d of 50 entries in use, %v, want most of them", len(left), err)
	}
}

func TestPolicyNames(t *testing.T) {
	names := []string{"TinyLFU", "LRU", "MRU", "LFU", "FIFO", "LIFO", "Random"}
	var got []string
	for _, p := range allPolicies() {
		got = append(got, p.String())
		s, err := store.Open(t.Context(), "memory:?policy="+strings.ToLower(p.String()))
		if err != nil {
			t.Fatal(err)
		}
		if limits := s.(*Store).cache.Limits(); limits.Policy != p {
			t.Errorf("policy=%v opens a Store with %v", p, limits.Policy)
		}
		store.Close(s)
	}
	if !slices.Equal(got, names) {
		t.Errorf("the policies are %q, want %q", got, names)
	}
}
