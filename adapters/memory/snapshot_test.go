package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func save(t testing.TB, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.Save(t.Context(), &b)
	if err != nil || n != s.Len() {
		t.Fatalf("Save of %d entries = %d, %v", s.Len(), n, err)
	}
	return b.Bytes()
}

func restore(t testing.TB, s *Store, snapshot []byte, want int) {
	t.Helper()
	if n, err := s.Restore(t.Context(), bytes.NewReader(snapshot)); err != nil || n != want {
		t.Fatalf("Restore = %d, %v, want %d", n, err, want)
	}
}

// victimOrder is what All yields: the keys, the first victim first.
func victimOrder(s *Store) (keys []string) {
	for key := range s.All() {
		keys = append(keys, key)
	}
	return keys
}

func TestSnapshotKeepsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		from := newStore(t, nil)
		time.Sleep(time.Second)
		set(t, from, "second", "1", time.Second)
		set(t, from, "minute", "2", time.Minute)
		set(t, from, "hour", "3", time.Hour)
		set(t, from, "longest", "", math.MaxInt64-1)
		set(t, from, "forever", "5", store.Forever)
		time.Sleep(time.Second)
		snapshot := save(t, from)
		from.Close()
		time.Sleep(time.Minute - time.Second)
		to := newStore(t, &Options{TTL: time.Second})
		restore(t, to, snapshot, 3)
		for key, want := range map[string]time.Duration{
			"hour":    59 * time.Minute,
			"longest": math.MaxInt64 - 1 - time.Minute - time.Second, // the clock of from ended there
			"forever": store.Forever,
		} {
			if ttl, err := to.TTL(t.Context(), key); ttl != want || err != nil {
				t.Errorf("TTL of %s = %v, %v, want %v", key, ttl, err, want)
			}
		}
		if value, err := to.Get(t.Context(), "hour"); string(value) != "3" || err != nil {
			t.Errorf("Get = %q, %v", value, err)
		}
	})
}

func TestRestoreByAClockThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		out := newSnapshotWriter(&b, time.Now().Add(24*time.Hour))
		out.entry("k", nil, int64(time.Minute), 0)
		out.end(1)
		s := newStore(t, nil)
		restore(t, s, b.Bytes(), 1)
		if ttl, err := s.TTL(t.Context(), "k"); ttl != time.Minute || err != nil {
			t.Errorf("TTL = %v, %v, want what it was when saved", ttl, err)
		}
	})
}

// used makes a Store in which n keys were written and read in random order.
func used(t *testing.T, p Policy, n int) *Store {
	s := newStore(t, &Options{Policy: p, MaxEntries: n})
	for range 10 * n {
		key := fmt.Sprint(rand.IntN(2 * n))
		if _, err := s.Get(t.Context(), key); err != nil || rand.IntN(4) == 0 {
			set(t, s, key, "of "+key, time.Hour)
		}
	}
	return s
}

func TestSnapshotKeepsOrder(t *testing.T) {
	for p := TinyLFU; p.Valid(); p++ {
		t.Run(p.String(), func(t *testing.T) {
			from := used(t, p, 200)
			before := from.Stats()
			snapshot, want := save(t, from), victimOrder(from)
			if got := from.Stats(); got != before {
				t.Errorf("Save has changed the Stats: %+v, want %+v", got, before)
			}
			to := newStore(t, &Options{Policy: p, MaxEntries: 200})
			restore(t, to, snapshot, 200)
			got := victimOrder(to)
			if p == TinyLFU || p == Random {
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the order is\n%v, want\n%v", got, want)
			}
			for key, l := range to.All() {
				if value, err := l.Bytes(); string(value) != "of "+key || err != nil {
					t.Errorf("the value of %s is %q, %v", key, value, err)
				}
			}
		})
	}
}

func TestSnapshotKeepsUses(t *testing.T) {
	ctx := t.Context()
	from := newStore(t, &Options{Policy: LFU, MaxEntries: 10})
	for i, key := range []string{"a", "b", "c", "d"} {
		set(t, from, key, "", 0)
		for range 1000 * i {
			from.Get(ctx, key)
		}
	}
	to := newStore(t, &Options{Policy: LFU, MaxEntries: 10})
	restore(t, to, save(t, from), 4)
	for range 1001 {
		to.Get(ctx, "b")
	}
	set(t, to, "e", "", 0)
	if got, want := victimOrder(to), []string{"a", "e", "c", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("after 1001 more uses of b the order is %v, want %v", got, want)
	}
}

// TinyLFU counts as far as 15, and the write as well.
func TestSnapshotKeepsUsesOfTinyLFU(t *testing.T) {
	from, to := newStore(t, nil), newStore(t, nil)
	want := map[string]uint32{}
	for i := range 20 {
		key := fmt.Sprint("key", i)
		set(t, from, key, "", 0)
		for range i {
			from.Get(t.Context(), key)
		}
		want[key] = uint32(min(i, 14))
	}
	restore(t, to, save(t, from), 20)
	for _, s := range []*Store{from, to} {
		got := map[string]uint32{}
		for _, ranked := range s.cache.Ranking() {
			got[ranked.Key] = ranked.Uses
		}
		if !maps.Equal(got, want) {
			t.Errorf("the uses are %v, want %v", got, want)
		}
	}
}

func TestRestoreOfMoreThanThereIsRoomFor(t *testing.T) {
	for p := LRU; p.Valid(); p++ {
		from := used(t, p, 200)
		snapshot := save(t, from)
		byEntries := newStore(t, &Options{Policy: p, MaxEntries: 50})
		restore(t, byEntries, snapshot, 50)
		byBytes := newStore(t, &Options{Policy: p, MaxBytes: 50 * (entryOverhead + 10)})
		n, err := byBytes.Restore(t.Context(), bytes.NewReader(snapshot))
		if err != nil || n < 50 || n > 52 {
			t.Errorf("%v: Restore into 50 × 170 bytes = %d, %v", p, n, err)
		}
		for _, to := range []*Store{byEntries, byBytes} {
			if evicted := to.Stats().Evicted; evicted != 0 {
				t.Errorf("%v: Restore has evicted %d", p, evicted)
			}
			from.Evict(from.Len() - to.Len())
			got, want := victimOrder(to), victimOrder(from)
			if p != Random && !slices.Equal(got, want[len(want)-len(got):]) {
				t.Errorf("%v: left are %v, want %v", p, got, want)
			}
			from = newStore(t, &Options{Policy: p, MaxEntries: 200})
			restore(t, from, snapshot, 200)
		}
	}
	from := newStore(t, nil)
	set(t, from, "small", "", 0)
	set(t, from, "large", strings.Repeat("x", 1000), 0)
	restore(t, newStore(t, &Options{MaxBytes: 1000}), save(t, from), 1)
}

func TestRestoreChangesNothingThatIsThere(t *testing.T) {
	ctx := t.Context()
	from := newStore(t, nil)
	for _, key := range []string{"new", "there", "held", "leased"} {
		set(t, from, key, "old", time.Hour)
	}
	var told []string
	to := newStore(t, &Options{OnSet: func(key string, _, _ *store.Live, _ bool) { told = append(told, key) }})
	set(t, to, "there", "newer", store.Forever)
	if err := to.Hold(ctx, "held", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := to.GetOrLease(ctx, "leased", "token", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	w := &changedKeys{}
	if err := to.Watch(ctx, w); err != nil {
		t.Fatal(err)
	}
	told = nil
	restore(t, to, save(t, from), 2)
	if value, err := to.Get(ctx, "there"); string(value) != "newer" || err != nil {
		t.Errorf("what was there is %q, %v", value, err)
	}
	if ok, _ := to.Has(ctx, "held"); ok {
		t.Error("there is an entry of a key that is held")
	}
	if ok, err := to.Fill(ctx, "leased", "token", store.LiveBytes(nil), 0); ok || err != nil {
		t.Errorf("Fill after Restore = %v, %v, want the lease to have ended", ok, err)
	}
	slices.Sort(told)
	slices.Sort(w.keys)
	if want := []string{"leased", "new"}; !slices.Equal(told, want) || !slices.Equal(w.keys, want) {
		t.Errorf("OnSet was told of %v, the Watcher of %v, want %v", told, w.keys, want)
	}
	full := newStore(t, &Options{MaxEntries: 2, Policy: LRU})
	set(t, full, "a", "", 0)
	restore(t, full, save(t, from), 1)
	restore(t, full, save(t, from), 0)
	if ok, _ := full.Has(ctx, "a"); !ok {
		t.Error("Restore has evicted what was there")
	}
}

// changedKeys is a Watcher that keeps what it is told.
type changedKeys struct{ keys []string }

func (r *changedKeys) Invalidate(keys ...string) { r.keys = append(r.keys, keys...) }
func (r *changedKeys) Flush()                    {}
func (r *changedKeys) Proven(time.Time)          {}

func TestSaveToAWriterThatFails(t *testing.T) {
	s := newStore(t, nil)
	for i := range 10 {
		set(t, s, fmt.Sprint(i), strings.Repeat("x", snapshotBlock), 0)
	}
	failure := errors.New("disk full")
	for good := range 12 {
		for _, short := range []bool{false, true} {
			calls := 0
			n, err := s.Save(t.Context(), writerFunc(func(p []byte) (int, error) {
				if calls++; calls <= good {
					return len(p), nil
				}
				if short {
					return len(p) - 1, nil
				}
				return 0, failure
			}))
			want := failure
			if short {
				want = io.ErrShortWrite
			}
			if e := new(store.Error); n != 0 || !errors.Is(err, want) || !errors.As(err, &e) || e.Op != "save" {
				t.Errorf("Save to a Writer that fails after %d writes = %d, %v", good, n, err)
			}
			if calls != good+1 {
				t.Errorf("%d writes after the one that failed", calls-good-1)
			}
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRestoreFromAReaderThatFails(t *testing.T) {
	from, to := newStore(t, nil), newStore(t, nil)
	for i := range 10 {
		set(t, from, fmt.Sprint(i), strings.Repeat("x", 100), 0)
	}
	snapshot := save(t, from)
	failure := errors.New("disk broken")
	for n := range len(snapshot) + 1 {
		r := io.MultiReader(bytes.NewReader(snapshot[:n]), iotest.ErrReader(failure))
		_, err := to.Restore(t.Context(), r)
		if e := new(store.Error); !errors.Is(err, failure) || errors.Is(err, store.ErrInvalid) || !errors.As(err, &e) || e.Op != "restore" {
			t.Fatalf("Restore from a Reader that fails after %d bytes = %v", n, err)
		}
	}
	if n := to.Len(); n != 0 {
		t.Fatalf("a Restore that failed has stored %d entries", n)
	}
	if n, err := to.Restore(t.Context(), iotest.OneByteReader(bytes.NewReader(snapshot))); n != 10 || err != nil {
		t.Errorf("Restore byte by byte = %d, %v", n, err)
	}
}

func TestSnapshotWhenTheContextEnds(t *testing.T) {
	s := newStore(t, nil)
	for i := range 10 {
		set(t, s, fmt.Sprint(i), strings.Repeat("x", snapshotBlock), 0)
	}
	snapshot := save(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	n, err := s.Save(ctx, writerFunc(func(p []byte) (int, error) {
		if calls++; calls == 3 {
			cancel()
		}
		return len(p), nil
	}))
	if n != 0 || !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("Save, canceled in the third write, = %d, %v after %d writes", n, err, calls)
	}
	to := newStore(t, nil)
	for _, n := range []int{0, 1000, len(snapshot)} {
		ctx, cancel := context.WithCancel(t.Context())
		r := io.MultiReader(bytes.NewReader(snapshot[:n]), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, io.EOF
		}))
		if stored, err := to.Restore(ctx, r); stored != 0 || !errors.Is(err, context.Canceled) || to.Len() != 0 {
			t.Errorf("Restore, canceled after %d bytes, = %d, %v", n, stored, err)
		}
	}
	untouched := readerFunc(func([]byte) (int, error) { panic("read") })
	if _, err := to.Restore(ctx, untouched); !errors.Is(err, context.Canceled) {
		t.Errorf("Restore with a done context = %v", err)
	}
	s.Close()
	if n, err := s.Save(t.Context(), nil); n != 0 || !errors.Is(err, store.ErrClosed) {
		t.Errorf("Save of a closed Store = %d, %v", n, err)
	}
	if n, err := s.Restore(t.Context(), untouched); n != 0 || !errors.Is(err, store.ErrClosed) {
		t.Errorf("Restore into a closed Store = %d, %v", n, err)
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	s := newStore(t, nil)
	set(t, s, "there", "", 0)
	restore(t, s, save(t, newStore(t, nil)), 0)
	if n := s.Len(); n != 1 {
		t.Errorf("after Restore of nothing there are %d entries, want 1", n)
	}
}

func TestSaveLeavesOutWhatCannotBeEncoded(t *testing.T) {
	s := newStore(t, &Options{Policy: FIFO})
	failure := errors.New("no encoding")
	for i, key := range []string{"a", "b", "c", "d"} {
		l := store.NewLive(i, func() ([]byte, error) {
			if i%2 == 1 {
				return nil, failure
			}
			s.Len() // takes all locks
			return []byte{byte(i)}, nil
		})
		if err := s.SetLive(t.Context(), key, l, 0); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	n, err := s.Save(t.Context(), &b)
	if e := new(store.Error); n != 2 || !errors.Is(err, store.ErrInvalid) || !errors.Is(err, failure) || !errors.As(err, &e) || e.Key != "b" {
		t.Errorf("Save = %d, %v, want 2 and ErrInvalid that names b", n, err)
	}
	to := newStore(t, nil)
	restore(t, to, b.Bytes(), 2)
	if value, err := to.Get(t.Context(), "c"); string(value) != "\x02" || err != nil {
		t.Errorf("Get = %q, %v", value, err)
	}
}

func TestSaveWhileOthersWrite(t *testing.T) {
	const stable = 2000
	s := newStore(t, &Options{MaxEntries: 50_000})
	for i := range stable {
		set(t, s, fmt.Sprint("stable", i), "v", time.Hour)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprint(w, rand.IntN(1000))
				s.Set(ctx, key, []byte(key), time.Duration(rand.IntN(1e6)))
				s.Delete(ctx, fmt.Sprint(w, rand.IntN(1000)))
				s.Set(ctx, fmt.Sprint("stable", rand.IntN(stable)), []byte("w"), time.Hour)
				if w == 0 && i%100 == 0 {
					s.Reconfigure(&Options{MaxEntries: 50_000, Policy: Policy(rand.IntN(int(Random) + 1))})
				}
			}
		})
	}
	for range 5 {
		var b bytes.Buffer
		if _, err := s.Save(ctx, &b); err != nil {
			t.Fatal(err)
		}
		to := newStore(t, nil)
		if _, err := to.Restore(ctx, &b); err != nil {
			t.Fatal(err)
		}
		for i := range stable {
			if value, err := to.Get(ctx, fmt.Sprint("stable", i)); err != nil || string(value) != "v" && string(value) != "w" {
				t.Fatalf("what was there all the time is %q, %v", value, err)
			}
		}
	}
	cancel()
	writers.Wait()
}

func BenchmarkSnapshot(b *testing.B) {
	const entries = 100_000
	s, err := New(nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range entries {
		s.Set(b.Context(), fmt.Sprintf("key %012d", i), make([]byte, 64), time.Hour)
	}
	snapshot := save(b, s)
	b.Run("Save", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		b.ReportAllocs()
		for b.Loop() {
			s.Save(b.Context(), io.Discard)
		}
	})
	b.Run("Restore", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		b.ReportAllocs()
		for b.Loop() {
			to, _ := New(nil)
			restore(b, to, snapshot, entries)
		}
	})
}
