package memory

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// mortal is abc with an entry that has expired and is still in memory.
func mortal(t *testing.T, o Options) *Store {
	t.Helper()
	o.MaxEntries = 4
	s := newStore(t, &o)
	for _, key := range []string{"a", "dead", "b", "c"} {
		set(t, s, key, key, 0)
	}
	if err := s.Touch(t.Context(), "dead", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond)
	if got := s.cache.Limits(); got.Entries != 4 {
		t.Fatalf("the limits are %+v", got)
	}
	return s
}

func TestExpiredAreNeverSeen(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, s *Store){
		"Has": func(t *testing.T, s *Store) {
			if has, err := s.Has(t.Context(), "dead"); has || err != nil {
				t.Errorf("Has = %v, %v", has, err)
			}
		},
		"Len": func(t *testing.T, s *Store) {
			if n := s.Len(); n != 3 {
				t.Errorf("Len() = %d, want 3", n)
			}
		},
		"Full": func(t *testing.T, s *Store) {
			if s.Full() {
				t.Error("Full() with an expired entry among four")
			}
		},
		"All": func(t *testing.T, s *Store) { wantOrder(t, "All", s, "a b c") },
		"Copy": func(t *testing.T, s *Store) {
			if c := s.Copy(); len(c) != 3 || c["dead"] != nil {
				t.Errorf("Copy() = %v", c)
			}
		},
		"Keys": func(t *testing.T, s *Store) {
			for key := range s.Keys(t.Context(), "dead") {
				t.Errorf("Keys yields %q", key)
			}
		},
		"Pop": func(t *testing.T, s *Store) {
			if key, l, ok := s.Pop(); key != "a" || l == nil || !ok {
				t.Errorf("Pop() = %q, %v", key, ok)
			}
		},
		"Evict": func(t *testing.T, s *Store) {
			if n := s.Evict(2); n != 2 {
				t.Errorf("Evict(2) = %d", n)
			}
			wantOrder(t, "after Evict of what has expired and of a", s, "b c")
		},
		"DeleteExpired": func(t *testing.T, s *Store) {
			if n := s.DeleteExpired(); n != 1 {
				t.Errorf("DeleteExpired() = %d, want 1", n)
			}
			if n := s.DeleteExpired(); n != 0 {
				t.Errorf("another DeleteExpired() = %d, want 0", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := mortal(t, Options{Policy: FIFO})
				do(t, s)
				if got := s.Stats(); got.Expired != 1 || got.Entries > 3 {
					t.Errorf("afterwards: %+v, want one expired", got)
				}
			})
		})
	}
}

func TestHas(t *testing.T) {
	s := newStore(t, nil)
	set(t, s, "k", "", 0)
	for key, want := range map[string]bool{"k": true, "x": false} {
		if has, err := s.Has(t.Context(), key); has != want || err != nil {
			t.Errorf("Has(%q) = %v, %v", key, has, err)
		}
	}
	if _, err := s.Has(t.Context(), ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Has of no key: %v, want ErrInvalid", err)
	}
	if got := s.Stats(); got.Hits+got.Misses != 0 {
		t.Errorf("Has counts: %+v", got)
	}
}

// The next entry evicts one if and only if the Store is Full.
func TestFull(t *testing.T) {
	for _, o := range []Options{{MaxEntries: 3}, {MaxBytes: 3*entryOverhead + 3}, {MaxBytes: 3*entryOverhead + 5}} {
		s := newStore(t, &o)
		for _, key := range []string{"a", "b", "c"} {
			if s.Full() {
				t.Errorf("%+v: Full before %s", o, key)
			}
			set(t, s, key, "", 0)
		}
		full := s.Full()
		set(t, s, "d", "", 0)
		if evicted := s.Stats().Evicted == 1; !full || !evicted {
			t.Errorf("%+v: with three entries Full is %v, and another evicts is %v", o, full, evicted)
		}
	}
	s := newStore(t, &Options{MaxBytes: entryOverhead})
	if !s.Full() {
		t.Error("a Store in which no entry has room is not Full")
	}
}

func TestPopFollowsAll(t *testing.T) {
	for _, p := range ordered {
		s := newStore(t, &Options{Policy: p})
		for i := range 30 {
			set(t, s, fmt.Sprint(i), "", 0)
			s.Get(t.Context(), fmt.Sprint(i*i%17))
		}
		for key := range s.All() { // as it was before the first Pop
			got, l, ok := s.Pop()
			if got != key || l == nil || !ok {
				t.Fatalf("%v: Pop() = %q, want %q", p, got, key)
			}
		}
		if key, l, ok := s.Pop(); key != "" || l != nil || ok {
			t.Errorf("%v: Pop of nothing = %q, %v", p, key, ok)
		}
		if got := s.Stats(); got.Popped != 30 || got.Evicted != 0 {
			t.Errorf("%v: 30 popped count as %+v", p, got)
		}
	}
}

func TestEvict(t *testing.T) {
	for _, p := range allPolicies() {
		s := newStore(t, &Options{Policy: p, MaxEntries: 100_000}) // with TinyLFU, of many shards
		for i := range 100 {
			set(t, s, fmt.Sprint(i), "", 0)
		}
		for _, step := range []struct{ n, want, left int }{{-1, 0, 100}, {0, 0, 100}, {1, 1, 99}, {40, 40, 59}, {1000, 59, 0}, {1, 0, 0}} {
			if got := s.Evict(step.n); got != step.want || s.Len() != step.left {
				t.Errorf("%v: Evict(%d) = %d and leaves %d, want %d and %d", p, step.n, got, s.Len(), step.want, step.left)
			}
		}
		if got := s.Stats(); got.Evicted != 100 {
			t.Errorf("%v: 100 evicted count as %+v", p, got)
		}
	}
}

// Of many who Pop at the same time none is told that there is nothing as long
// as there is something.
func TestPopConcurrently(t *testing.T) {
	const n = 8
	s := newStore(t, &Options{MaxEntries: 100_000})
	for round := range 500 {
		for i := range n {
			set(t, s, fmt.Sprint(round, i), "", 0)
		}
		var mu sync.Mutex
		popped := make(map[string]bool)
		var group sync.WaitGroup
		for range n {
			group.Go(func() {
				key, _, ok := s.Pop()
				mu.Lock()
				defer mu.Unlock()
				if !ok || popped[key] {
					t.Errorf("Pop() = %q, %v, the Store is not empty", key, ok)
				}
				popped[key] = true
			})
		}
		if group.Wait(); s.Len() != 0 {
			t.Fatalf("%d entries are left", s.Len())
		}
	}
}

func TestLoopMayChangeTheStore(t *testing.T) {
	ctx := t.Context()
	for _, p := range allPolicies() {
		s := newStore(t, &Options{Policy: p, MaxEntries: 100_000})
		for i := range 100 {
			set(t, s, fmt.Sprint(i), "old", 0)
		}
		seen := make(map[string]string)
		for key, l := range s.All() {
			b, _ := l.Bytes()
			seen[key] = string(b)
			switch len(seen) {
			case 1: // all others are written anew
				for i := range 100 {
					set(t, s, fmt.Sprint(i), "new", 0)
				}
			case 10:
				if err := s.Reconfigure(&Options{Policy: (p + 1) % (Random + 1)}); err != nil {
					t.Fatal(err)
				}
				for i := range 100 {
					set(t, s, fmt.Sprint(i), "newer", 0)
				}
			case 50:
				if err := s.Clear(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		count := make(map[string]int)
		for _, value := range seen {
			count[value]++
		}
		if count["old"] != 1 || count["new"] != 9 || count["newer"] != 40 || len(seen) != 50 {
			t.Errorf("%v: the loop saw %v", p, count)
		}
	}
}

func TestLoopEnds(t *testing.T) {
	s := abc(t, Options{Policy: FIFO})
	for key := range s.All() {
		if key != "a" {
			t.Errorf("the loop goes on to %q after it has ended", key)
		}
		break
	}
}

func TestCopy(t *testing.T) {
	s := newStore(t, nil)
	l := store.LiveBytes([]byte("v"))
	if err := s.SetLive(t.Context(), "k", l, 0); err != nil {
		t.Fatal(err)
	}
	c := s.Copy()
	s.Delete(t.Context(), "k")
	if len(c) != 1 || c["k"] != l {
		t.Errorf("Copy() = %v, want the Live itself", c)
	}
	c["other"] = l
	if n := s.Len(); n != 0 {
		t.Errorf("a change of the copy changes the Store: %d entries", n)
	}
}

// Entries that nobody removes are in every copy, whatever else happens.
func TestCopyMissesNothing(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxEntries: 100_000})
	for i := range 500 {
		set(t, s, fmt.Sprint(i), "", 0)
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(done)
		for i := range 60 {
			if err := s.Reconfigure(&Options{Policy: Policy(i) % (Random + 1)}); err != nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				s.Set(ctx, fmt.Sprint("other", i%100), nil, 0)
				s.Delete(ctx, fmt.Sprint("other", i*i%100))
				s.Set(ctx, fmt.Sprint(i%500), nil, 0)
			}
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		c := s.Copy()
		for i := range 500 {
			if c[fmt.Sprint(i)] == nil {
				t.Fatalf("a copy of %d entries has no %d", len(c), i)
			}
		}
	}
	group.Wait()
}

func TestWatchersAreToldOfPopAndEvict(t *testing.T) {
	s := abc(t, Options{Policy: FIFO})
	l := listen(t, t.Context(), s)
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"Pop", func() { s.Pop() }, []string{"a"}},
		{"Evict", func() { s.Evict(1) }, []string{"b"}},
		{"Set", func() { set(t, s, "d", "", 0) }, []string{"d"}},
		{"Resize", func() { s.Resize(1) }, []string{"c"}},
		{"Reconfigure", func() { s.Reconfigure(&Options{MaxBytes: entryOverhead}) }, []string{"d"}},
	} {
		step.do()
		if got := l.take(); !slices.Equal(got, step.want) {
			t.Errorf("%s: the watcher was told %q, want %q", step.what, got, step.want)
		}
	}
}

func TestInspectAfterClose(t *testing.T) {
	s := abc(t, Options{Policy: LRU})
	loop := order(s)
	for key := range s.All() {
		if key != "a" {
			t.Errorf("a loop that began with %q goes on after Close", loop)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Has(t.Context(), "a"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Has = %v, want ErrClosed", err)
	}
	for what, err := range map[string]error{"Resize": s.Resize(1), "Reconfigure": s.Reconfigure(nil)} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s = %v, want ErrClosed", what, err)
		}
	}
	_, _, popped := s.Pop()
	if s.Len() != 0 || s.Full() || order(s) != "" || len(s.Copy()) != 0 || popped || s.Evict(1) != 0 || s.DeleteExpired() != 0 {
		t.Error("a closed Store has entries")
	}
}
