package memory

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

func TestResize(t *testing.T) {
	want := map[Policy]string{LRU: "b c", MRU: "b a", LFU: "b c", FIFO: "b c", LIFO: "b a"}
	for _, p := range ordered {
		var r recorder
		s := abc(t, Options{Policy: p, OnRemove: r.onRemove})
		for range 2 {
			if err := s.Resize(2); err != nil {
				t.Fatal(err)
			}
			wantOrder(t, fmt.Sprintf("%v: Resize(2)", p), s, want[p])
		}
		if got := r.take(); len(got) != 1 || !strings.HasPrefix(got[0], "Capacity ") {
			t.Errorf("%v: Resize(2) of three entries has removed %q", p, got)
		}
		if err := s.Resize(math.MaxInt); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			set(t, s, fmt.Sprint(i), "", 0)
		}
		if n := s.Len(); n != 1002 || s.Full() {
			t.Errorf("%v: without a bound %d entries of 1002 are left", p, n)
		}
		for _, n := range []int{0, -1} {
			if err := s.Resize(n); !errors.Is(err, store.ErrInvalid) || s.Len() != 1002 {
				t.Errorf("%v: Resize(%d) = %v, want ErrInvalid", p, n, err)
			}
		}
	}
}

func TestResizeKeepsOtherOptions(t *testing.T) {
	s := newStore(t, &Options{MaxBytes: 1000, Policy: LIFO, TTL: time.Hour})
	if err := s.Resize(7); err != nil {
		t.Fatal(err)
	}
	want := cache.Limits{Entries: 7, Bytes: 1000, Policy: LIFO}
	if got := s.cache.Limits(); got != want || s.options.Load().TTL != time.Hour {
		t.Errorf("after Resize the limits are %+v, want %+v", got, want)
	}
}

// What is zero in the new Options becomes the default.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var before, after recorder
		s := newStore(t, &Options{MaxEntries: 3, TTL: time.Hour, Policy: LRU, OnRemove: before.onRemove})
		for _, key := range []string{"a", "b", "c"} {
			set(t, s, key, "", 0)
		}
		if err := s.Reconfigure(&Options{MaxEntries: 2, TTL: time.Minute, OnRemove: after.onRemove}); err != nil {
			t.Fatal(err)
		}
		if old, now := before.take(), after.take(); len(old) != 0 || !slices.Equal(now, []string{"Capacity a="}) {
			t.Errorf("the hook before was told %q and the one after it %q, of what Reconfigure evicts", old, now)
		}
		set(t, s, "c", "", 0)
		for key, want := range map[string]time.Duration{"b": time.Hour, "c": time.Minute} {
			if ttl, err := s.TTL(ctx, key); ttl != want || err != nil {
				t.Errorf("the ttl of %s is %v, %v, want %v", key, ttl, err, want)
			}
		}
		if err := s.Reconfigure(nil); err != nil {
			t.Fatal(err)
		}
		set(t, s, "c", "", 0)
		if ttl, err := s.TTL(ctx, "c"); ttl != store.Forever || err != nil {
			t.Errorf("after Reconfigure(nil) the default ttl is %v, %v", ttl, err)
		}
		if got := s.cache.Limits(); got != (cache.Limits{Entries: defaultMaxEntries}) || len(after.take()) != 1 {
			t.Errorf("after Reconfigure(nil) the limits are %+v", got)
		}
		if err := s.Reconfigure(&Options{TTL: -1}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "store: reconfigure: TTL") {
			t.Errorf("Reconfigure with a negative TTL = %v", err)
		}
	})
}

// The new policy takes over the order: what would have stayed longest was used
// or written last.
func TestPolicyChangeKeepsTheOrder(t *testing.T) {
	for _, from := range ordered {
		for _, to := range ordered {
			s := abc(t, Options{Policy: from})
			s.Get(t.Context(), "b")
			want := strings.Fields(order(s))
			if newestFirst := []Policy{MRU, LIFO}; slices.Contains(newestFirst, from) != slices.Contains(newestFirst, to) {
				slices.Reverse(want)
			}
			if err := s.Reconfigure(&Options{MaxEntries: 3, Policy: to}); err != nil {
				t.Fatal(err)
			}
			wantOrder(t, fmt.Sprintf("from %v to %v", from, to), s, strings.Join(want, " "))
			if got := s.Stats(); got.Entries != 3 || got.Sets != 3 || got.Evicted != 0 {
				t.Errorf("from %v to %v: %+v", from, to, got)
			}
		}
	}
}

func TestMaxBytesTurnedOn(t *testing.T) {
	ctx := t.Context()
	failed := errors.New("on purpose")
	encoded := 0
	value := func(size int, err error) *store.Live {
		return store.NewLive(size, func() ([]byte, error) { encoded++; return make([]byte, size), err })
	}
	s := newStore(t, &Options{MaxEntries: 10, Policy: FIFO})
	for _, key := range []string{"a", "b", "c"} {
		s.SetLive(ctx, key, value(300, nil), 0)
	}
	s.SetLive(ctx, "bad", value(0, failed), 0)
	s.SetLive(ctx, "d", value(300, nil), 0)
	if encoded != 0 {
		t.Fatalf("without MaxBytes %d values were encoded", encoded)
	}
	before := s.options.Load()
	next := &Options{MaxBytes: 1000, Policy: FIFO}
	if err := s.Reconfigure(next); !errors.Is(err, store.ErrInvalid) || !errors.Is(err, failed) || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("Reconfigure with a value that cannot be encoded = %v", err)
	}
	wantOrder(t, "after Reconfigure has failed", s, "a b c bad d")
	if got := s.cache.Limits(); got != before.limits() || s.options.Load() != before {
		t.Errorf("after Reconfigure has failed the limits are %+v", got)
	}
	if err := s.SetLive(ctx, "large", value(2000, nil), 0); err != nil {
		t.Errorf("after Reconfigure has failed: %v", err)
	}
	if err := s.DeleteMany(ctx, []string{"bad", "large"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	wantOrder(t, "with room for two", s, "c d")
	if got := s.Stats(); got.Bytes != 2*(entryOverhead+1+300) || got.Evicted != 2 {
		t.Errorf("with room for two: %+v", got)
	}
	if err := s.SetLive(ctx, "c", value(0, failed), 0); !errors.Is(err, failed) {
		t.Errorf("SetLive of what cannot be encoded = %v", err)
	}
	if err := s.Reconfigure(nil); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Bytes != 0 || got.Entries != 2 {
		t.Errorf("without MaxBytes: %+v", got)
	}
}

// While values are encoded for a MaxBytes to come, Options are those of before.
func TestOptionsWhileMaxBytesIsTurnedOn(t *testing.T) {
	s := newStore(t, nil)
	before := s.Options()
	var during []Options
	l := store.NewLive(1, func() ([]byte, error) {
		during = append(during, s.Options())
		return nil, nil
	})
	if err := s.SetLive(t.Context(), "k", l, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Reconfigure(&Options{MaxBytes: 1000}); err != nil {
		t.Fatal(err)
	}
	if len(during) != 1 || during[0].MaxBytes != 0 || during[0].MaxEntries != before.MaxEntries || during[0].encode {
		t.Errorf("the Options were %+v, and before %+v", during, before)
	}
}

// A panic of an encoder is as an error of it.
func TestMaxBytesTurnedOnWithAPanic(t *testing.T) {
	s := newStore(t, nil)
	before := s.options.Load()
	s.SetLive(t.Context(), "bad", store.NewLive(1, func() ([]byte, error) { panic("on purpose") }), 0)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of an encoder does not come through")
			}
		}()
		s.Reconfigure(&Options{MaxBytes: 1000})
	}()
	if s.options.Load() != before {
		t.Error("the options have changed")
	}
	s.Delete(t.Context(), "bad")
	if err := s.Reconfigure(&Options{MaxBytes: 1000}); err != nil {
		t.Error(err)
	}
}

// While the limits and policies change others write. Nothing that fits is lost,
// no value is wrong, and the limits hold that are the widest at the time.
func TestReconfigureUnderWrites(t *testing.T) {
	ctx := t.Context()
	const keys = 300
	var maxBytes int64 = 10 << 20 // room for all, or nearly none
	s := newStore(t, nil)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(done)
		for i := range 300 {
			o := &Options{MaxEntries: 2 * keys, Policy: Policy(i) % (Random + 1)}
			if i%2 == 1 {
				o.MaxBytes, o.MaxEntries = maxBytes, math.MaxInt
			}
			if i%50 == 0 {
				o.MaxEntries = 100_000
			}
			if err := s.Reconfigure(o); err != nil {
				t.Error(err)
			}
		}
	})
	for w := range 3 { // each writes keys of its own, and finds what it wrote
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				key := fmt.Sprint(w, rand.IntN(keys/3))
				value := fmt.Sprint(key, "=", i)
				l := store.NewLive(value, func() ([]byte, error) { return []byte(value), nil })
				if err := s.SetLive(ctx, key, l, 0); err != nil {
					t.Error(err)
				}
				if got, err := s.GetLive(ctx, key); got != l || err != nil {
					t.Errorf("what was written is %v, %v", got, err)
					return
				}
				other := fmt.Sprint(rand.IntN(3), rand.IntN(keys/3))
				if b, err := s.Get(ctx, other); err == nil && !strings.HasPrefix(string(b), other+"=") {
					t.Errorf("%s has the value %q", other, b)
				}
			}
		})
	}
	group.Wait()
	if got := s.Stats(); got.Evicted != 0 || got.Sets != got.Replaced+uint64(got.Entries) {
		t.Errorf("with room for all: %+v", got)
	}
}

// A limit in bytes that comes, goes, grows and shrinks under those who write.
func TestMaxBytesChangesUnderWrites(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, nil)
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				size := rand.IntN(8000)
				l := store.NewLive(1, func() ([]byte, error) { return make([]byte, size), nil })
				if err := s.SetLive(ctx, fmt.Sprint(rand.IntN(100)), l, 0); err != nil && !errors.Is(err, store.ErrTooLarge) {
					t.Error(err)
				}
			}
		})
	}
	for i := range 500 {
		o := &Options{MaxBytes: []int64{0, 1000, 5000, 100_000}[rand.IntN(4)], Policy: Policy(i/10) % (Random + 1)}
		if err := s.Reconfigure(o); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats(); got.Bytes > o.MaxBytes {
			t.Fatalf("%d bytes, MaxBytes is %d", got.Bytes, o.MaxBytes)
		}
	}
	close(done)
	group.Wait()
}

func TestHookOfResizeMayResize(t *testing.T) {
	var s *Store
	s = abc(t, Options{OnRemove: func(string, *store.Live, Cause) {
		if err := s.Resize(1); err != nil {
			t.Error(err)
		}
	}})
	if err := s.Resize(2); err != nil || s.Len() != 1 {
		t.Errorf("Resize(2), whose hook makes it 1: %v, and %d entries", err, s.Len())
	}
}

// Hooks of before are told of what was before, however late.
func TestReconfigureChangesHooks(t *testing.T) {
	var s *Store
	var told []string
	hook := func(name string) func(string, *store.Live, Cause) {
		return func(key string, _ *store.Live, _ Cause) { told = append(told, name+" "+key) }
	}
	first := hook("first")
	s = newStore(t, &Options{Policy: FIFO, OnRemove: func(key string, l *store.Live, cause Cause) {
		if key == "a" {
			if err := s.Reconfigure(&Options{Policy: FIFO, OnRemove: hook("second")}); err != nil {
				t.Error(err)
			}
		}
		first(key, l, cause)
	}})
	for _, key := range []string{"a", "b", "c"} {
		set(t, s, key, "", 0)
	}
	s.Evict(2) // b has left before the hook is told of a
	s.Pop()
	if want := []string{"first a", "first b", "second c"}; !slices.Equal(told, want) {
		t.Errorf("the hooks were told %q, want %q", told, want)
	}
}

func TestReconfigureURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		s := newStore(t, &Options{MaxEntries: 3, TTL: time.Hour, Policy: FIFO, OnRemove: r.onRemove})
		for _, key := range []string{"a", "b", "c"} {
			set(t, s, key, "", 0)
		}
		reconfigure := func(url string) error {
			u, err := store.ParseURL(url)
			if err != nil {
				t.Fatal(err)
			}
			return s.ReconfigureURL(u)
		}
		before := s.options.Load()
		for url, want := range map[string]string{
			"memory:?max_entries=0":     "max_entries: 0 would hold nothing",
			"memory:?max_entires=1":     `did you mean "max_entries"?`,
			"memory:?ttl=5":             `ttl: "5" has no unit`,
			"memory:?policy=arc":        `there is no "arc"`,
			"memory://h?ttl=1s":         "memory has no host",
			"null:":                     "the store is one of the scheme memory",
			"memory: | redis://u:pas@h": "the store is one of the scheme memory",
		} {
			if err := reconfigure(url); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pas@") {
				t.Errorf("%s: %v, want ErrInvalid with %s", url, err, want)
			}
		}
		if err := s.ReconfigureURL(nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("no URL: %v", err)
		}
		if s.options.Load() != before || s.Len() != 3 {
			t.Error("what has failed has changed something")
		}
		if err := reconfigure("memory:?max_entries=2&ttl=1m&policy=lru&prefix=app:"); err != nil {
			t.Fatal(err)
		}
		if got := r.take(); !slices.Equal(got, []string{"Capacity a="}) {
			t.Errorf("the hook was told %q", got)
		}
		set(t, s, "c", "", 0)
		for key, want := range map[string]time.Duration{"b": time.Hour, "c": time.Minute} {
			if ttl, err := s.TTL(t.Context(), key); ttl != want || err != nil {
				t.Errorf("the ttl of %s is %v, %v, want %v", key, ttl, err, want)
			}
		}
		if err := reconfigure("memory:"); err != nil {
			t.Fatal(err)
		}
		if o := s.Options(); o.MaxEntries != defaultMaxEntries || o.TTL != store.Forever || o.Policy != TinyLFU || o.OnRemove == nil {
			t.Errorf("what is left out is %+v", o)
		}
		s.Close()
		if err := reconfigure("memory:"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
