package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// A recorder records what OnRemove is told, as "cause key=value".
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) onRemove(key string, l *store.Live, cause Cause) {
	b, _ := l.Bytes()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf("%v %s=%s", cause, key, b))
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

func TestCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var r recorder
		s := newStore(t, &Options{MaxBytes: 1000, OnRemove: r.onRemove})
		l := store.LiveBytes([]byte("live"))
		steps := []struct {
			what string
			do   func() error
			want []string
		}{
			{"Set", func() error { return s.Set(ctx, "a", []byte("1"), 0) }, nil},
			{"Set over it", func() error { return s.Set(ctx, "a", []byte("2"), 0) }, []string{"Replaced a=1"}},
			{"Touch", func() error { return s.Touch(ctx, "a", time.Hour) }, nil},
			{"Touch for ever", func() error { return s.Touch(ctx, "a", store.Forever) }, nil},
			{"Add to it", func() error { _, err := s.Add(ctx, "a", []byte("3"), 0); return err }, nil},
			{"swap in vain", func() error { _, err := s.CompareAndSwap(ctx, "a", []byte("1"), []byte("3"), 0); return err }, nil},
			{"swap", func() error { _, err := s.CompareAndSwap(ctx, "a", []byte("2"), []byte("3"), 0); return err }, []string{"Replaced a=2"}},
			{"delete in vain", func() error { _, err := s.CompareAndDelete(ctx, "a", []byte("2")); return err }, nil},
			{"compare and delete", func() error { _, err := s.CompareAndDelete(ctx, "a", []byte("3")); return err }, []string{"Deleted a=3"}},
			{"Delete nothing", func() error { return s.Delete(ctx, "a") }, nil},
			{"SetLive", func() error { return s.SetLive(ctx, "l", l, 0) }, nil},
			{"SetLive of the same", func() error { return s.SetLive(ctx, "l", l, time.Hour) }, nil},
			{"Delete", func() error { return s.Delete(ctx, "l") }, []string{"Deleted l=live"}},
			{"SetMany", func() error {
				return s.SetMany(ctx, []store.Item{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b"}})
			}, []string{"Replaced a=1"}},
			{"DeleteMany", func() error { return s.DeleteMany(ctx, []string{"a", "a", "x"}) }, []string{"Deleted a=2"}},
			{"Clear", func() error { return s.Clear(ctx) }, []string{"Cleared b="}},
			{"Set for a second", func() error { return s.Set(ctx, "a", []byte("1"), time.Second) }, nil},
			{"wait", func() error { time.Sleep(time.Second + sweepEvery); return nil }, []string{"Expired a=1"}},
		}
		for _, step := range steps {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.what, err)
			}
			if got := r.take(); !slices.Equal(got, step.want) {
				t.Errorf("%s: OnRemove was told %q, want %q", step.what, got, step.want)
			}
		}
	})
}

// An entry that had expired but was still in memory has left by its ttl, and
// not by what then hit upon it.
func TestCauseOfExpiredEntryIsExpired(t *testing.T) {
	ctx := context.Background()
	for name, do := range map[string]func(s *Store) error{
		"Set":              func(s *Store) error { return s.Set(ctx, "k", []byte("new"), 0) },
		"Set too large":    func(s *Store) error { return ignore(store.ErrTooLarge, s.Set(ctx, "k", make([]byte, 2000), 0)) },
		"Delete":           func(s *Store) error { return s.Delete(ctx, "k") },
		"Clear":            func(s *Store) error { return s.Clear(ctx) },
		"Add":              func(s *Store) error { _, err := s.Add(ctx, "k", []byte("new"), 0); return err },
		"Touch":            func(s *Store) error { return ignore(store.ErrNotFound, s.Touch(ctx, "k", time.Hour)) },
		"Len":              func(s *Store) error { s.Len(); return nil },
		"Capacity":         func(s *Store) error { return s.Set(ctx, "other", make([]byte, 700), 0) },
		"SetLive the same": func(s *Store) error { return s.SetLive(ctx, "k", store.LiveBytes([]byte("old")), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				s := newStore(t, &Options{MaxBytes: 1000, OnRemove: r.onRemove})
				old := store.LiveBytes([]byte("old"))
				if err := s.SetLive(ctx, "k", old, time.Millisecond); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
				if err := do(s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(sweepEvery)
				synctest.Wait()
				if got := r.take(); !slices.Equal(got, []string{"Expired k=old"}) {
					t.Errorf("OnRemove was told %q, want that k has expired", got)
				}
			})
		})
	}
}

func ignore(expected, err error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return fmt.Errorf("%v, want %v", err, expected)
}

func TestEvictionIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		s := newStore(t, &Options{MaxEntries: 10, OnRemove: r.onRemove})
		for i := range 100 {
			set(t, s, fmt.Sprint(i), "", 0)
			if got := len(r.take()); got != min(1, i/10) {
				t.Fatalf("write %d of a store for 10 evicted %d entries", i+1, got)
			}
		}
	})
}

// Each value that goes in either is there at the end or was reported once.
func TestEveryRemovalIsReportedOnce(t *testing.T) {
	var mu sync.Mutex
	reported := make(map[*store.Live]int)
	var s *Store
	s = newStore(t, &Options{MaxEntries: 50, OnRemove: func(key string, l *store.Live, cause Cause) {
		if e, ok := s.peek(key); ok && e.Value == l {
			t.Errorf("%v was reported of a value that is still there", cause)
		}
		mu.Lock()
		defer mu.Unlock()
		reported[l]++
	}})
	ctx := t.Context()
	stored := make([]map[*store.Live]bool, 8)
	var workers sync.WaitGroup
	for w := range stored {
		stored[w] = make(map[*store.Live]bool)
		workers.Go(func() {
			for i := range 2000 {
				key := fmt.Sprint(rand.IntN(100))
				switch rand.IntN(8) {
				case 0:
					s.Delete(ctx, key)
				case 1:
					s.Touch(ctx, key, time.Millisecond)
				case 2:
					s.GetLive(ctx, key)
				case 3:
					if i%100 == 0 {
						s.Clear(ctx)
					}
				default:
					l := store.LiveBytes([]byte(key))
					stored[w][l] = true
					if err := s.SetLive(ctx, key, l, time.Duration(rand.IntN(int(5*time.Millisecond)))); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	workers.Wait()
	// What stays is reported now, in order that only the sums count.
	if err := s.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	all := make(map[*store.Live]bool)
	for _, m := range stored {
		maps.Copy(all, m)
	}
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() { // a hook may be under way in the timer's goroutine
		mu.Lock()
		n := len(reported)
		mu.Unlock()
		if n == len(all) || time.Now().After(deadline) {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for l, n := range reported {
		if n != 1 || !all[l] {
			t.Fatalf("a value was reported %d times", n)
		}
	}
	if len(reported) != len(all) {
		t.Errorf("%d values stored, %d reported", len(all), len(reported))
	}
	sum := s.Stats()
	if total := sum.Deleted + sum.Expired + sum.Evicted + sum.Replaced + sum.Cleared; total != uint64(len(all)) {
		t.Errorf("Stats has %d removals of %d values", total, len(all))
	}
}

func TestHookMayUseTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var s *Store
		evictions := 0
		s = newStore(t, &Options{MaxEntries: 10, OnRemove: func(key string, l *store.Live, cause Cause) {
			switch cause {
			case Capacity:
				if evictions++; evictions%2 == 1 { // evicts another
					if err := s.SetLive(ctx, "again:"+key, l, 0); err != nil {
						t.Error(err)
					}
				}
			case Expired:
				if err := s.SetLive(ctx, key, l, 0); err != nil {
					t.Error(err)
				}
			}
			s.Get(ctx, key)
			s.Len()
			for range s.Keys(ctx, "") {
			}
		}})
		for i := range 100 {
			set(t, s, fmt.Sprint(i), "", 0)
		}
		if n := s.Len(); n != 10 {
			t.Errorf("Len() = %d, want 10", n)
		}
		if err := s.Clear(ctx); err != nil {
			t.Fatal(err)
		}
		set(t, s, "renewed", "v", time.Second)
		time.Sleep(time.Minute)
		if b, err := s.Get(ctx, "renewed"); err != nil || !bytes.Equal(b, []byte("v")) {
			t.Errorf("what the hook put back: %q, %v", b, err)
		}
	})
}

func TestHookThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		s := newStore(t, &Options{OnRemove: func(key string, _ *store.Live, _ Cause) {
			told.Add(1)
			switch key {
			case "panics":
				panic("on purpose")
			case "exits":
				runtime.Goexit()
			}
		}})
		keys := []string{"panics", "exits", "fine"}
		for _, key := range keys {
			set(t, s, key, "v", time.Second)
		}
		go s.DeleteMany(t.Context(), keys[1:2]) // ends in the hook
		synctest.Wait()
		if err := s.Delete(t.Context(), "panics"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := told.Load(); int(n) != len(keys) {
			t.Errorf("OnRemove was told of %d removals, want %d", n, len(keys))
		}
		if n := s.Stats().HookPanics; n != 1 {
			t.Errorf("Stats counts %d panics, want 1", n)
		}
	})
}

// A hook that ends its goroutine takes no other removal with it.
func TestHookThatExitsAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		s := newStore(t, &Options{MaxBytes: 10_000, OnRemove: func(string, *store.Live, Cause) {
			if told++; told == 1 {
				runtime.Goexit()
			}
		}})
		for i := range 40 {
			set(t, s, fmt.Sprint(i), "v", 0)
		}
		go s.Set(t.Context(), "large", make([]byte, 5000), 0) // evicts many at once
		synctest.Wait()
		s.Delete(t.Context(), "no such key")
		if left := s.Len(); told < 3 || told+left != 41 {
			t.Errorf("OnRemove was told of %d removals, %d of 41 entries are left", told, left)
		}
	})
}

// The timer goes on after a hook has ended its goroutine.
func TestExpiryOutlivesHookThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &Options{OnRemove: func(string, *store.Live, Cause) { runtime.Goexit() }})
		for i := range 10 {
			set(t, s, fmt.Sprint(i), "v", time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.cache.Stats(); got.Entries != 0 {
			t.Errorf("%d entries stay", got.Entries)
		}
	})
}

// A hook that uses the Store while it is told of one removal is not told of the
// next one within that: it may hold a lock, and there may be millions.
func TestHooksAreNotNested(t *testing.T) {
	const n = 1000
	removals := map[string]func(s *Store, c *Typed[int, int]){
		"Evict": func(s *Store, c *Typed[int, int]) { s.Evict(n); c.Evict(n) },
		"Clear": func(s *Store, c *Typed[int, int]) { s.Clear(t.Context()); c.Clear() },
		"Resize": func(s *Store, c *Typed[int, int]) {
			s.Resize(1)
			c.Resize(1)
			s.Pop()
			c.Pop()
		},
		"expiry": func(*Store, *Typed[int, int]) { time.Sleep(2 * time.Hour); synctest.Wait() },
	}
	for name, remove := range removals {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex // a nested call would wait for it for ever
			var told int
			hook := func(use func()) {
				mu.Lock()
				defer mu.Unlock()
				told++
				use()
			}
			var s *Store
			s = newStore(t, &Options{TTL: time.Hour, OnRemove: func(key string, _ *store.Live, _ Cause) {
				hook(func() { s.Delete(context.Background(), "companion of "+key) })
			}})
			var c *Typed[int, int]
			c = newTyped(t, &TypedOptions[int, int]{TTL: time.Hour, OnRemove: func(key, _ int, _ Cause) {
				hook(func() { c.Delete(-key - 1) })
			}})
			for i := range n {
				set(t, s, fmt.Sprint(i), "", 0)
				c.Set(i, i)
			}
			remove(s, c)
			if mu.Lock(); told != 2*n {
				t.Errorf("%s: OnRemove was told of %d removals, want %d", name, told, 2*n)
			}
		})
	}
}

// What a hook changes, it is told of before its own call returns.
func TestHookIsToldOfWhatItChanges(t *testing.T) {
	var s *Store
	var told []string
	s = newStore(t, &Options{Policy: FIFO, OnRemove: func(key string, _ *store.Live, _ Cause) {
		told = append(told, key)
		if key == "a" {
			s.Delete(t.Context(), "c")
			told = append(told, "end of a")
		}
	}})
	for _, key := range []string{"a", "b", "c"} {
		set(t, s, key, "", 0)
	}
	s.Evict(2)
	if want := []string{"a", "c", "end of a", "b"}; !slices.Equal(told, want) {
		t.Errorf("the hook was told of %q, want %q", told, want)
	}
}

func TestCauseString(t *testing.T) {
	for c, want := range map[Cause]string{Deleted: "Deleted", Cleared: "Cleared", 0: "Cause(0)", 99: "Cause(99)", -1: "Cause(-1)"} {
		if c.String() != want {
			t.Errorf("Cause(%d).String() = %q, want %q", int(c), c, want)
		}
	}
}

// What OnSet says of the value before is what OnRemove says, also if that
// expires while it is replaced.
func TestHooksAgreeOnWhatExpired(t *testing.T) {
	var set, removed atomic.Int64
	s := newStore(t, &Options{
		OnRemove: func(_ string, _ *store.Live, cause Cause) {
			if cause == Replaced {
				removed.Add(1)
			}
		},
		OnSet: func(_ string, _, _ *store.Live, replaced bool) {
			if replaced {
				set.Add(1)
			}
		},
	})
	for range 20_000 {
		if err := s.Set(t.Context(), "k", nil, time.Duration(1+rand.IntN(4000))); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() { // as above
		if n := s.Stats().Replaced; uint64(set.Load()) == n && uint64(removed.Load()) == n {
			break
		}
	}
	if set.Load() != removed.Load() || uint64(set.Load()) != s.Stats().Replaced {
		t.Errorf("OnSet was told of %d replaced values, OnRemove of %d: %+v", set.Load(), removed.Load(), s.Stats())
	}
}
