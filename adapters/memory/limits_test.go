package memory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
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
					if n := s.Len(); n > max {
						t.Errorf("Len() = %d while %d goroutines write, want %d at most", n, writers, max)
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
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		const max = 100_000
		s := newStore(t, &Options{MaxBytes: max})
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for range 3000 {
					key := fmt.Sprint(w, rand.IntN(500))
					ttl := time.Duration(rand.IntN(int(10 * time.Millisecond)))
					switch rand.IntN(7) {
					case 0:
						s.Delete(ctx, key)
					case 1:
						s.Touch(ctx, key, ttl)
					case 2:
						time.Sleep(ttl)
					default:
						s.Set(ctx, key, make([]byte, rand.IntN(5000)), ttl)
					}
					if got := s.Stats(); got.Bytes > max {
						t.Errorf("%d bytes while others write, want %d at most", got.Bytes, max)
						return
					}
				}
			})
		}
		writers.Wait()
		set(t, s, "one", "at least", 0)
		got := s.Stats()
		want := Stats{}
		for key, l := range s.All() {
			want.Bytes += size(key, l)
			want.Entries++
		}
		if got.Bytes != want.Bytes || got.Entries != want.Entries {
			t.Errorf("Stats has %d entries with %d bytes, there are %d with %d", got.Entries, got.Bytes, want.Entries, want.Bytes)
		}
		if err := s.Clear(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats(); got.Bytes != 0 || got.Entries != 0 {
			t.Errorf("after Clear there are %d entries with %d bytes", got.Entries, got.Bytes)
		}
	})
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

// Limits of one shard and of many, by entries, by bytes and by both.
var limits = map[string]struct {
	Options
	keys, value int
}{
	"Entries":              {Options{MaxEntries: 50}, 200, 10},
	"Bytes":                {Options{MaxBytes: 20_000}, 200, 1000},
	"Both":                 {Options{MaxEntries: 30, MaxBytes: 20_000}, 200, 1500},
	"EntriesOfManyShards":  {Options{MaxEntries: 4096}, 10_000, 10},
	"FewBytesOfManyShards": {Options{MaxBytes: 16 << 20}, 20, 6 << 20},
}

// The limits hold at any moment that others can see.
func TestLimitsHoldAtAnyMoment(t *testing.T) {
	for name, c := range limits {
		for _, p := range allPolicies() {
			if p != TinyLFU && c.keys != 200 {
				continue // the others have one shard
			}
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				t.Parallel()
				o := c.Options
				o.Policy = p
				s := newStore(t, &o)
				observed(t, s, o, func() {
					var writers sync.WaitGroup
					for range 4 {
						writers.Go(func() { writeAtRandom(t, s, c.keys, c.value) })
					}
					writers.Wait()
				})
			})
		}
	}
}

func writeAtRandom(t *testing.T, s *Store, keys, value int) {
	ctx := t.Context()
	random := make([]byte, value) // of which each value is a part
	item := func() store.Item {
		ttl := time.Duration(rand.IntN(int(20*time.Millisecond))) * time.Duration(rand.IntN(2))
		return store.Item{Key: fmt.Sprint(rand.IntN(keys)), Value: random[:rand.IntN(value)], TTL: ttl}
	}
	for range 100_000 / (keys + value>>8) {
		i := item()
		switch rand.IntN(8) {
		case 0:
			s.Delete(ctx, i.Key)
		case 1:
			s.Touch(ctx, i.Key, i.TTL)
		case 2:
			s.GetLive(ctx, i.Key)
		case 3:
			s.SetLive(ctx, i.Key, store.LiveBytes(i.Value), i.TTL)
		case 4:
			if err := s.SetMany(ctx, []store.Item{i, item(), item(), item(), item()}); err != nil {
				t.Error(err)
			}
		default:
			if err := s.Set(ctx, i.Key, i.Value, i.TTL); err != nil {
				t.Error(err)
			}
		}
	}
}

// observed looks whether the limits hold while do goes on, and whether what is
// counted afterwards is what is there.
func observed(t *testing.T, s *Store, o Options, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	check := func() Stats {
		got := s.Stats()
		entries := max(s.Len(), got.Entries)
		if o.MaxEntries > 0 && entries > o.MaxEntries || o.MaxBytes > 0 && got.Bytes > o.MaxBytes {
			t.Errorf("%d entries with %d bytes, want no more than %d with %d", entries, got.Bytes, o.MaxEntries, o.MaxBytes)
		}
		return got
	}
	for running := true; running && !t.Failed(); {
		select {
		case <-done:
			running = false
		default:
			check()
		}
	}
	<-done
	for before := check(); ; before = check() {
		var bytes int64
		all := s.Copy()
		for key, l := range all {
			bytes += size(key, l)
		}
		if after := check(); after != before {
			continue // something has expired meanwhile
		}
		if len(all) != before.Entries || o.MaxBytes > 0 && bytes != before.Bytes {
			t.Errorf("Stats has %d entries with %d bytes, there are %d with %d", before.Entries, before.Bytes, len(all), bytes)
		}
		return
	}
}

// Two entries that grow at the same time, and each wants the room of the other.
func TestEntriesThatGrow(t *testing.T) {
	o := Options{MaxBytes: 8 << 20}
	s := newStore(t, &o)
	large := make([]byte, 6<<20)
	observed(t, s, o, func() {
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 60 {
					if err := s.SetLive(t.Context(), fmt.Sprint(w), store.LiveBytes(large[:3<<20*(1+i%2)]), 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
	})
}

// Within SetMany, as hooks see it, the limits hold as well.
func TestLimitsWithinSetMany(t *testing.T) {
	for _, p := range allPolicies() {
		var s *Store
		most, calls := 0, 0
		look := func() { most = max(most, s.Len()); calls++ }
		s = newStore(t, &Options{
			MaxEntries: 10,
			Policy:     p,
			OnSet:      func(string, *store.Live, *store.Live, bool) { look() },
			OnRemove:   func(string, *store.Live, Cause) { look() },
		})
		items := make([]store.Item, 100)
		for i := range items {
			items[i].Key = fmt.Sprint(i)
		}
		if err := s.SetMany(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		if most != 10 || calls != 190 {
			t.Errorf("%v: %d calls of hooks saw up to %d entries, want 190 and 10", p, calls, most)
		}
	}
}

// Large values that are used once evict what is hardly used, wherever that is,
// and not all that happens to share a lock with them.
func TestLargeValuesSpareWhatIsUsed(t *testing.T) {
	const maxBytes = 32 << 20 // makes several shards
	s := newStore(t, &Options{MaxBytes: maxBytes})
	small, large := store.LiveBytes(make([]byte, 1000)), store.LiveBytes(make([]byte, maxBytes/8))
	const room = maxBytes / (1000 + entryOverhead)
	const hot = room / 40
	setLive := func(key string, l *store.Live) {
		t.Helper()
		if err := s.SetLive(t.Context(), key, l, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range hot {
		setLive(fmt.Sprint("hot ", i), small)
	}
	for i := range room {
		setLive(fmt.Sprint("cold ", i), small)
		if i%(room/10) == 0 {
			for j := range hot {
				_, _ = s.GetLive(t.Context(), fmt.Sprint("hot ", j))
			}
		}
	}
	left := func() (n int) {
		for i := range hot {
			if ok, _ := s.Has(t.Context(), fmt.Sprint("hot ", i)); ok {
				n++
			}
		}
		return n
	}
	if n := left(); n < hot*9/10 {
		t.Fatalf("%d of %d entries that are used are there before any large one", n, hot)
	}
	for i := range 16 {
		setLive(fmt.Sprint("large ", i), large)
	}
	if n := left(); n < hot*9/10 {
		t.Errorf("%d of %d entries that are used are left after the large ones", n, hot)
	}
}
