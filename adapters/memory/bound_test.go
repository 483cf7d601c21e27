package memory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestMaxEntriesHoldsAfterEachWrite(t *testing.T) {
	for _, max := range []int{1, 2, 10, 1000} {
		s := newStore(t, &Options{MaxEntries: max})
		for i := range 3000 {
			set(t, s, fmt.Sprint(i), "", 0)
			if n := s.Len(); n > max {
				t.Fatalf("MaxEntries %d: Len() = %d after write %d", max, n, i+1)
			}
		}
		items := make([]store.Item, 3000)
		for i := range items {
			items[i].Key = fmt.Sprint("bulk", i)
		}
		if err := s.SetMany(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		if n := s.Len(); n != max {
			t.Errorf("MaxEntries %d: Len() = %d after SetMany of 3000", max, n)
		}
	}
}

func TestMaxEntriesUnderConcurrentWrites(t *testing.T) {
	const max, writers = 800, 8
	s := newStore(t, &Options{MaxEntries: max})
	for range 10 {
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := range 500 {
					key := fmt.Sprint(w, rand.IntN(1000))
					s.Set(t.Context(), key, nil, 0)
					if n := s.Len(); n > max+max/8+writers {
						t.Errorf("Len() = %d while %d goroutines write", n, writers)
						return
					}
					if i%3 == 0 {
						s.Get(t.Context(), key)
					}
				}
			})
		}
		group.Wait()
		if n := s.Len(); n > max {
			t.Fatalf("Len() = %d after all writes have returned, want %d", n, max)
		}
	}
}

func TestMaxBytes(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxBytes: 100_000})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for range 3000 {
				key := fmt.Sprint(w, rand.IntN(500))
				switch rand.IntN(6) {
				case 0:
					s.Delete(ctx, key)
				case 1:
					s.Touch(ctx, key, time.Duration(rand.IntN(int(10*time.Millisecond))))
				default:
					s.Set(ctx, key, make([]byte, rand.IntN(5000)), time.Duration(rand.IntN(int(10*time.Millisecond))))
				}
			}
		})
	}
	writers.Wait()
	s.expiry.stop() // what is counted next must not expire in between
	got := s.Stats()
	want := Stats{}
	for key, e := range s.cache.All() {
		want.Bytes += e.size(key)
		want.Entries++
	}
	if got.Bytes != want.Bytes || got.Entries != want.Entries || got.Bytes > 100_000 {
		t.Errorf("Stats has %d entries with %d bytes, there are %d with %d, want 100,000 bytes at most", got.Entries, got.Bytes, want.Entries, want.Bytes)
	}
	if err := s.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Bytes != 0 || got.Entries != 0 {
		t.Errorf("after Clear there are %d entries with %d bytes", got.Entries, got.Bytes)
	}
}

func TestTooLarge(t *testing.T) {
	ctx := t.Context()
	large := make([]byte, 1000-entryOverhead)
	for name, write := range map[string]func(s *Store) error{
		"Set":     func(s *Store) error { return s.Set(ctx, "k", large, 0) },
		"SetLive": func(s *Store) error { return s.SetLive(ctx, "k", store.LiveBytes(large), 0) },
		"SetMany": func(s *Store) error {
			return s.SetMany(ctx, []store.Item{{Key: "k", Value: large}, {Key: "fits"}})
		},
		"CompareAndSwap": func(s *Store) error { _, err := s.CompareAndSwap(ctx, "k", []byte("old"), large, 0); return err },
		"Add": func(s *Store) error {
			if added, err := s.Add(ctx, "k", large, 0); added || err != nil {
				t.Errorf("Add where there is an entry = %v, %v, want false, nil", added, err)
			}
			s.Delete(ctx, "k")
			_, err := s.Add(ctx, "k", large, 0)
			return err
		},
	} {
		s := newStore(t, &Options{MaxBytes: 1000})
		set(t, s, "k", "old", 0)
		if err := write(s); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s = %v, want ErrTooLarge", name, err)
		}
		if _, err := s.Get(ctx, "k"); err != store.ErrNotFound {
			t.Errorf("%s: the old value is still there: %v", name, err)
		}
		if _, err := s.Get(ctx, "fits"); name == "SetMany" && err != nil {
			t.Errorf("SetMany: the item beside the one that is too large: %v", err)
		}
	}
	s := newStore(t, &Options{MaxBytes: 1000})
	if err := s.Set(ctx, "k", large[:len(large)-1], 0); err != nil {
		t.Errorf("an entry of MaxBytes: %v", err)
	}
	if _, err := s.Get(ctx, "k"); err != nil {
		t.Errorf("an entry of MaxBytes is not kept: %v", err)
	}
}

func TestLiveThatCannotBeEncoded(t *testing.T) {
	ctx := t.Context()
	failed := errors.New("on purpose")
	bad := store.NewLive(1, func() ([]byte, error) { return nil, failed })

	s := newStore(t, &Options{MaxBytes: 1000})
	set(t, s, "k", "old", 0)
	if err := s.SetLive(ctx, "k", bad, 0); !errors.Is(err, store.ErrInvalid) || !errors.Is(err, failed) {
		t.Errorf("with MaxBytes SetLive = %v, want ErrInvalid and the cause", err)
	}
	if b, err := s.Get(ctx, "k"); string(b) != "old" || err != nil {
		t.Errorf("with MaxBytes the old value is %q, %v", b, err)
	}

	s = newStore(t, nil)
	set(t, s, "good", "v", 0)
	if err := s.SetLive(ctx, "bad", bad, 0); err != nil {
		t.Fatal(err)
	}
	if l, err := s.GetLive(ctx, "bad"); l != bad || err != nil {
		t.Errorf("GetLive = %v, %v", l, err)
	}
	invalid := func(op string, err error) {
		if !errors.Is(err, store.ErrInvalid) || !errors.Is(err, failed) {
			t.Errorf("%s = %v, want ErrInvalid and the cause", op, err)
		}
	}
	_, err := s.Get(ctx, "bad")
	invalid("Get", err)
	_, err = s.CompareAndSwap(ctx, "bad", nil, nil, 0)
	invalid("CompareAndSwap", err)
	values, err := s.GetMany(ctx, []string{"bad", "good"})
	invalid("GetMany", err)
	if string(values["good"]) != "v" || len(values) != 1 {
		t.Errorf("GetMany = %q beside the error, want the good value", values)
	}
	entries, err := s.GetManyWithTTL(ctx, []string{"bad", "good"})
	invalid("GetManyWithTTL", err)
	if string(entries["good"].Value) != "v" || len(entries) != 1 {
		t.Errorf("GetManyWithTTL = %v beside the error, want the good value", entries)
	}
}

// A comparison encodes the value, and the encoder may use the store, even to
// replace what is being compared.
func TestEncoderMayUseTheStore(t *testing.T) {
	ctx := t.Context()
	for _, replaced := range []string{"k", "other"} {
		s := newStore(t, nil)
		l := store.NewLive(1, func() ([]byte, error) { return []byte("1"), s.Set(ctx, replaced, []byte("2"), 0) })
		if err := s.SetLive(ctx, "k", l, 0); err != nil {
			t.Fatal(err)
		}
		swapped, err := s.CompareAndSwap(ctx, "k", []byte("1"), []byte("3"), 0)
		if want := replaced != "k"; swapped != want || err != nil {
			t.Errorf("with %q replaced meanwhile: CompareAndSwap = %v, %v, want %v", replaced, swapped, err, want)
		}
	}
}
