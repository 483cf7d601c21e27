package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// A listener records what it is told: keys, "FLUSH" and "PROVEN".
type listener struct {
	mu   sync.Mutex
	seen []string
	do   func() // if not nil, done by each Invalidate
}

func (l *listener) note(what ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, what...)
}

func (l *listener) Invalidate(keys ...string) {
	l.note(keys...)
	if l.do != nil {
		l.do()
	}
}

func (l *listener) Flush() { l.note("FLUSH") }

func (l *listener) Proven(sent time.Time) {
	if sent.Equal(store.AlwaysProven) {
		l.note("PROVEN")
	} else {
		l.note("PROVEN at " + sent.String())
	}
}

func (l *listener) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	return seen
}

// listen registers a listener until ctx ends.
func listen(t *testing.T, ctx context.Context, s *Store) *listener {
	t.Helper()
	l := new(listener)
	if err := s.Watch(ctx, l); err != nil {
		t.Fatal(err)
	}
	if got := l.take(); !slices.Equal(got, []string{"PROVEN"}) {
		t.Fatalf("when Watch has returned the watcher was told %q, want AlwaysProven alone", got)
	}
	return l
}

func TestWatchTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, &Options{MaxBytes: 1000})
		l := listen(t, ctx, s)
		live := store.LiveBytes([]byte("live"))
		steps := []struct {
			what string
			do   func() error
			want string
		}{
			{"Set", func() error { return s.Set(ctx, "a", []byte("1"), 0) }, "a"},
			{"Set over it", func() error { return s.Set(ctx, "a", []byte("2"), 0) }, "a"},
			{"Touch with less time", func() error { return s.Touch(ctx, "a", time.Hour) }, "a"},
			{"Touch with more time", func() error { return s.Touch(ctx, "a", 2*time.Hour) }, ""},
			{"Get", func() error { _, err := s.Get(ctx, "a"); return err }, ""},
			{"Add to it", func() error { _, err := s.Add(ctx, "a", []byte("3"), 0); return err }, ""},
			{"Add", func() error { _, err := s.Add(ctx, "b", []byte("3"), 0); return err }, "b"},
			{"swap in vain", func() error { _, err := s.CompareAndSwap(ctx, "a", []byte("1"), []byte("3"), 0); return err }, ""},
			{"swap", func() error { _, err := s.CompareAndSwap(ctx, "a", []byte("2"), []byte("3"), 0); return err }, "a"},
			{"delete in vain", func() error { _, err := s.CompareAndDelete(ctx, "a", []byte("2")); return err }, ""},
			{"compare and delete", func() error { _, err := s.CompareAndDelete(ctx, "a", []byte("3")); return err }, "a"},
			{"SetLive", func() error { return s.SetLive(ctx, "l", live, 0) }, "l"},
			{"SetLive of the same, with less time", func() error { return s.SetLive(ctx, "l", live, time.Hour) }, "l"},
			{"SetLive of the same", func() error { return s.SetLive(ctx, "l", live, time.Hour) }, ""},
			{"Delete", func() error { return s.Delete(ctx, "l") }, "l"},
			{"SetMany", func() error { return s.SetMany(ctx, []store.Item{{Key: "a"}, {Key: "c"}}) }, "a c"},
			{"DeleteMany", func() error { return s.DeleteMany(ctx, []string{"a", "b"}) }, "a b"},
			{"Set too large", func() error { return ignore(store.ErrTooLarge, s.Set(ctx, "c", make([]byte, 2000), 0)) }, "c"},
			{"Set for a second", func() error { return s.Set(ctx, "a", nil, time.Second) }, "a"},
			{"wait", func() error { time.Sleep(time.Second + sweepEvery); synctest.Wait(); return nil }, "a"},
			{"Set for a moment", func() error { return s.Set(ctx, "a", nil, 1) }, "a"},
			{"Touch finds it expired", func() error { time.Sleep(time.Nanosecond); return ignore(store.ErrNotFound, s.Touch(ctx, "a", 1)) }, "a"},
			{"GetOrLease", func() error { _, err := s.GetOrLease(ctx, "a", "t", time.Hour, nil); return err }, ""},
			{"RenewLease", func() error { _, err := s.RenewLease(ctx, "a", "t", time.Hour); return err }, ""},
			{"Fill", func() error { _, err := s.Fill(ctx, "a", "t", live, 0); return err }, "a"},
			{"Fill in vain", func() error { _, err := s.Fill(ctx, "a", "t", live, 0); return err }, ""},
			{"Hold", func() error { return s.Hold(ctx, "a", time.Hour) }, "a"},
			{"set two", func() error { return s.SetMany(ctx, []store.Item{{Key: "a"}, {Key: "c"}}) }, "a c"},
			{"Clear", func() error { return s.Clear(ctx) }, "FLUSH"},
		}
		for _, step := range steps {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.what, err)
			}
			if got := strings.Join(l.take(), " "); got != step.want {
				t.Errorf("%s: the watcher was told %q, want %q", step.what, got, step.want)
			}
		}
	})
}

func TestWatchTellsOfEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &Options{MaxEntries: 10})
		l := listen(t, t.Context(), s)
		for i := range 100 {
			set(t, s, fmt.Sprint(i), "", 0)
			told := l.take()
			if !slices.Contains(told, fmt.Sprint(i)) {
				t.Fatalf("write %d told %q", i, told)
			}
			for n := range i + 1 {
				if _, ok := s.peek(fmt.Sprint(n)); !ok {
					continue
				}
				told = append(told, fmt.Sprint(n)) // what has stayed
			}
			slices.Sort(told)
			if n := len(slices.Compact(told)); n != min(i+1, 11) {
				t.Fatalf("after write %d 10 entries stay, and with those the watcher was told of there are %d", i, n)
			}
		}
	})
}

// A nearCache is a cache before the Store, kept true by its Watcher alone.
type nearCache struct {
	mu    sync.Mutex
	epoch int
	has   map[string]string
}

func (c *nearCache) Invalidate(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for _, key := range keys {
		delete(c.has, key)
	}
}

func (c *nearCache) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	clear(c.has)
}

func (c *nearCache) Proven(time.Time) {}

// read fills the cache with what was in the Store, if nothing was told since.
func (c *nearCache) read(s *Store, key string) {
	c.mu.Lock()
	epoch := c.epoch
	c.mu.Unlock()
	value, err := s.Get(context.Background(), key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && epoch == c.epoch {
		c.has[key] = string(value)
	}
}

func (c *nearCache) get(key string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.has[key]
	return value, ok
}

// What is told too early lets a reader keep the old value for ever; what is
// told too late lets the writer read it.
func TestWatchKeepsNearCacheTrue(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxEntries: 20})
	near := &nearCache{has: make(map[string]string)}
	if err := s.Watch(ctx, near); err != nil {
		t.Fatal(err)
	}
	const writers, keys = 4, 10 // keys for each writer, twice as many as there is room for
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	for range 2 {
		reading.Go(func() {
			for !done.Load() {
				near.read(s, fmt.Sprint(rand.IntN(writers), rand.IntN(keys)))
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for i := range 2000 {
				key, value := fmt.Sprint(w, rand.IntN(keys)), fmt.Sprint(i)
				if i%3 == 0 {
					value = ""
					s.Delete(ctx, key)
				} else {
					s.Set(ctx, key, []byte(value), 0)
				}
				if i%500 == 0 {
					s.Clear(ctx)
				}
				if got, ok := near.get(key); ok && got != value {
					t.Errorf("after %q was written to %s the near cache has %q", value, key, got)
				}
			}
		})
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	for key, value := range near.has {
		if got, err := s.Get(ctx, key); err != nil || string(got) != value {
			t.Errorf("the near cache has %s=%q, the Store %q, %v", key, value, got, err)
		}
	}
}

func TestWatchEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		ctx, cancel := context.WithCancel(context.Background())
		first, second := listen(t, ctx, s), listen(t, t.Context(), s)
		set(t, s, "a", "", 0)
		cancel()
		set(t, s, "b", "", 0)
		synctest.Wait()
		if n := len(s.watching.watchers()); n != 1 {
			t.Errorf("%d watchers are left, want 1", n)
		}
		if got := first.take(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the watcher whose context ended after a was told %q", got)
		}
		if got := second.take(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the other was told %q", got)
		}
	})
}

// The bubble would not end if a goroutine waited for the end of ctx.
func TestWatchHasNoGoroutine(t *testing.T) {
	outside := t.Context()
	outside.Done() // a channel that is made in the bubble must be closed there
	synctest.Test(t, func(t *testing.T) {
		s, err := New(nil)
		if err != nil {
			t.Fatal(err)
		}
		listen(t, outside, s)
	})
}

func TestWatchAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &Options{MaxEntries: 10})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		l := listen(t, ctx, s)
		set(t, s, "k", "", time.Second)
		l.take()
		s.Close()
		time.Sleep(time.Hour)
		s.flush()
		s.tell(report{changed: "k"})
		if got := l.take(); got != nil {
			t.Errorf("after Close the watcher was told %q", got)
		}
		if s.watching.list.Load() != nil {
			t.Error("a closed Store keeps a watcher")
		}
		if err := s.Watch(ctx, l); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Watch = %v, want ErrClosed", err)
		}
	})
}

func TestWatchOfBadArguments(t *testing.T) {
	s := newStore(t, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Watch(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil Watcher: %v, want ErrInvalid", err)
	}
	var none context.Context
	if err := s.Watch(none, new(listener)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil context: %v, want ErrInvalid", err)
	}
	if err := s.Watch(ended, new(listener)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v, want context.Canceled", err)
	}
	if s.watching.list.Load() != nil {
		t.Error("there is a watcher")
	}
}

func TestWatcherThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, &Options{MaxEntries: 10})
		first, second := listen(t, ctx, s), listen(t, ctx, s)
		first.do = func() { panic("on purpose") }
		set(t, s, "a", "", 0)
		if n := s.Stats().HookPanics; n != 1 {
			t.Errorf("Stats counts %d panics, want 1", n)
		}
		first.do = runtime.Goexit
		go s.Set(ctx, "b", nil, 0)
		synctest.Wait()
		first.do = nil
		set(t, s, "c", "", 0)
		for i, l := range []*listener{first, second} {
			if got := l.take(); !slices.Equal(got, []string{"a", "b", "c"}) {
				t.Errorf("watcher %d was told %q, want a, b and c", i, got)
			}
		}
		if n := s.Len(); n != 3 {
			t.Errorf("%d entries were written, want 3", n)
		}
	})
}

// A hook that ends its goroutine, or uses the Store, is no harm to watchers.
func TestWatchBesideOnRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var s *Store
		s = newStore(t, &Options{MaxEntries: 10, OnRemove: func(key string, _ *store.Live, cause Cause) {
			switch {
			case key == "exits":
				runtime.Goexit()
			case cause == Deleted:
				s.Set(ctx, "by hook", []byte(key), 0)
			}
		}})
		l := listen(t, ctx, s)
		set(t, s, "k", "", 0)
		set(t, s, "exits", "", 0)
		l.take()
		go s.Delete(ctx, "exits")
		synctest.Wait()
		s.Delete(ctx, "k")
		got := l.take()
		if slices.Sort(got); !slices.Equal(got, []string{"by hook", "exits", "k"}) {
			t.Errorf("the watcher was told %q, want exits, k, by hook", got)
		}
	})
}

func TestWatcherIsCalledOneAtATime(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxEntries: 10})
	for range 2 {
		l := listen(t, ctx, s)
		var inside atomic.Int32
		l.do = func() {
			if inside.Add(1) != 1 {
				t.Error("two calls of one watcher overlap")
			}
			runtime.Gosched()
			inside.Add(-1)
		}
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 500 {
				s.Set(ctx, fmt.Sprint(w, i%20), nil, time.Duration(i)*time.Microsecond)
				s.Get(ctx, fmt.Sprint(w, i%20))
			}
		})
	}
	for range 20 { // others come and go
		come, cancel := context.WithCancel(ctx)
		if err := s.Watch(come, new(listener)); err != nil {
			t.Error(err)
		}
		cancel()
	}
	writers.Wait()
}
