package memory

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// A witness records what all hooks are told.
type witness struct{ recorder }

func text(l *store.Live) string {
	if l == nil {
		return "nil"
	}
	b, _ := l.Bytes()
	return string(b)
}

func (w *witness) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprintf(format, args...))
}

func (w *witness) hooks(o Options) *Options {
	o.OnRemove = w.onRemove
	o.OnGet = func(key string, l *store.Live, found bool) { w.note("get %s=%s %v", key, text(l), found) }
	o.OnSet = func(key string, new, old *store.Live, replaced bool) {
		w.note("set %s=%s old=%s %v", key, text(new), text(old), replaced)
	}
	return &o
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var w witness
		s := newStore(t, w.hooks(Options{Policy: FIFO, MaxEntries: 2}))
		l := liveOf("live")
		for _, step := range []struct {
			what string
			do   func()
			want []string
		}{
			{"Set", func() { set(t, s, "a", "1", 0) }, []string{"set a=1 old=nil false"}},
			{"Set over it", func() { set(t, s, "a", "2", 0) }, []string{"Replaced a=1", "set a=2 old=1 true"}},
			{"Add to it", func() { s.Add(ctx, "a", nil, 0) }, nil},
			{"Add", func() { s.Add(ctx, "b", nil, 0) }, []string{"set b= old=nil false"}},
			{"SetLive", func() { s.SetLive(ctx, "l", l, 0) }, []string{"Capacity a=2", "set l=live old=nil false"}},
			{"SetLive of the same", func() { s.SetLive(ctx, "l", l, time.Millisecond) }, nil},
			{"Touch", func() { s.Touch(ctx, "b", time.Hour) }, nil},
			{"wait", func() { time.Sleep(time.Millisecond) }, nil},
			{"SetLive of the same, which has expired", func() { s.SetLive(ctx, "l", l, 0) }, []string{"Expired l=live", "set l=live old=nil false"}},
			{"swap", func() { s.CompareAndSwap(ctx, "b", nil, []byte("3"), 0) }, []string{"Replaced b=", "set b=3 old= true"}},
			{"SetMany", func() { s.SetMany(ctx, []store.Item{{Key: "a"}, {Key: "a"}}) }, []string{
				"Capacity l=live", "set a= old=nil false", "Replaced a=", "set a= old= true",
			}},
			{"reads", func() {
				s.Get(ctx, "a")
				s.GetLive(ctx, "x")
				s.GetLiveAt(ctx, "b", time.Now())
				s.GetWithTTL(ctx, "b")
				s.GetMany(ctx, []string{"b", "x"})
				s.GetManyWithTTL(ctx, []string{"x", "b"})
			}, []string{
				"get a= true", "get x=nil false", "get b=3 true", "get b=3 true",
				"get b=3 true", "get x=nil false", "get x=nil false", "get b=3 true",
			}},
			{"what is no read", func() {
				s.TTL(ctx, "b")
				s.Has(ctx, "b")
				s.Get(ctx, "")
				s.CompareAndDelete(ctx, "b", []byte("other"))
				s.Copy()
				for range s.Keys(ctx, "") {
				}
			}, nil},
			{"a lease", func() { s.GetOrLease(ctx, "y", "token", time.Hour, nil) }, []string{"get y=nil false"}},
			{"Fill", func() { s.Fill(ctx, "y", "token", l, 0) }, []string{"Capacity b=3", "set y=live old=nil false"}},
			{"no lease", func() { s.GetOrLease(ctx, "y", "token", time.Hour, nil) }, []string{"get y=live true"}},
			{"a lease despite it", func() { s.GetOrLease(ctx, "y", "token", time.Hour, l) }, []string{"get y=nil false"}},
			{"Pop", func() { s.Pop() }, []string{"Popped a="}},
			{"Evict", func() { s.Evict(1) }, []string{"Capacity y=live"}},
			{"Hold", func() { set(t, s, "h", "", 0); s.Hold(ctx, "h", time.Second) }, []string{"set h= old=nil false", "Deleted h="}},
			{"Resize", func() { set(t, s, "p", "", 0); set(t, s, "q", "", 0); s.Resize(1) }, []string{
				"set p= old=nil false", "set q= old=nil false", "Capacity p=",
			}},
			{"Close", func() { s.Close() }, nil},
			{"Get after Close", func() { s.Get(ctx, "q") }, nil},
		} {
			step.do()
			if got := w.take(); !slices.Equal(got, step.want) {
				t.Errorf("%s: the hooks were told %q, want %q", step.what, got, step.want)
			}
		}
	})
}

// Every hook may call every method, also one that calls hooks.
func TestHooksMayUseTheStore(t *testing.T) {
	ctx := t.Context()
	var s *Store
	calls, depth := 0, 0
	use := func() {
		if depth == 2 {
			return
		}
		depth++
		defer func() { depth-- }()
		calls++
		s.Get(ctx, "a")
		s.Set(ctx, fmt.Sprint("inner", calls%5), nil, 0)
		s.Set(ctx, "a", nil, 0)
		s.Delete(ctx, "inner1")
		s.Pop()
		s.Evict(1)
		s.Stats()
		s.ResetStats()
		s.PauseStats()
		s.ResumeStats()
		s.Len()
		s.Copy()
		if err := s.Resize(3 + calls%3); err != nil {
			t.Error(err)
		}
		o := *s.options.Load()
		o.Policy, o.MaxBytes = Policy(calls)%(Random+1), int64(calls%2)*10_000
		if err := s.Reconfigure(&o); err != nil {
			t.Error(err)
		}
		s.Clear(ctx)
	}
	s = newStore(t, &Options{
		MaxEntries: 3,
		OnGet:      func(string, *store.Live, bool) { use() },
		OnSet:      func(string, *store.Live, *store.Live, bool) { use() },
		OnRemove:   func(string, *store.Live, Cause) { use() },
	})
	for i := range 5 {
		set(t, s, fmt.Sprint(i), "", 0)
		s.Get(ctx, "a")
		s.Resize(1)
	}
	if calls < 20 || depth != 0 {
		t.Errorf("the hooks were called %d times", calls)
	}
}

// A panic ends nothing but the call of the hook, and Goexit nothing but the
// goroutine.
func TestHooksThatFail(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{
		MaxEntries: 2,
		OnGet:      func(string, *store.Live, bool) { panic("on purpose") },
		OnSet: func(key string, _, _ *store.Live, _ bool) {
			if key == "exits" {
				runtime.Goexit()
			}
			panic(nil)
		},
		OnRemove: func(string, *store.Live, Cause) { panic(errors.New("on purpose")) },
	})
	for _, key := range []string{"a", "b", "c"} { // 3 of OnSet, one of OnRemove
		set(t, s, key, key, 0)
	}
	c, err := s.Get(ctx, "c")
	if string(c) != "c" || err != nil {
		t.Errorf("Get = %q, %v", c, err)
	}
	if _, err := s.GetLive(ctx, "x"); err != store.ErrNotFound {
		t.Errorf("GetLive of nothing = %v", err)
	}
	if err := s.Resize(1); err != nil {
		t.Error(err)
	}
	if got := s.Stats(); got.HookPanics != 7 || got.Entries != 1 {
		t.Errorf("after 7 panics: %+v", got)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		s.Set(ctx, "exits", nil, 0)
		t.Error("Goexit in a hook does not end the goroutine")
	}()
	<-exited
	if has, err := s.Has(ctx, "exits"); !has || err != nil {
		t.Errorf("what was set before the hook has ended the goroutine: %v, %v", has, err)
	}
	s.ResetStats()
	s.PauseStats()
	set(t, s, "d", "", 0)
	if got := s.Stats(); got.HookPanics == 0 || got.Sets != 0 {
		t.Errorf("panics while counting is paused: %+v, want them counted, and no sets", got)
	}
}

// Whatever several goroutines do, the hooks are told of what Stats counts.
func TestHooksAreToldOfAllThatCounts(t *testing.T) {
	ctx := t.Context()
	var gets, sets, replaced, removed atomic.Uint64
	o := Options{
		MaxEntries: 50,
		OnGet:      func(string, *store.Live, bool) { gets.Add(1) },
		OnSet: func(_ string, _, old *store.Live, wasThere bool) {
			if sets.Add(1); wasThere {
				replaced.Add(1)
			}
			if wasThere != (old != nil) {
				t.Errorf("OnSet: replaced is %v and old is %v", wasThere, old)
			}
		},
		OnRemove: func(string, *store.Live, Cause) { removed.Add(1) },
	}
	s := newStore(t, &o)
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			next := o
			for i := range 1000 {
				key := fmt.Sprint(i * i % 101)
				s.Get(ctx, key)
				s.Set(ctx, key, nil, 0)
				s.Add(ctx, fmt.Sprint(i), nil, 0)
				s.Pop()
				if next.Policy = Policy(i) % (Random + 1); w == 0 && i%100 == 0 {
					s.Reconfigure(&next)
				}
			}
		})
	}
	workers.Wait()
	s.Clear(ctx)
	got := s.Stats()
	left := got.Deleted + got.Evicted + got.Replaced + got.Cleared + got.Popped
	if gets.Load() != got.Hits+got.Misses || sets.Load() != got.Sets || replaced.Load() != got.Replaced || removed.Load() != left || left != got.Sets {
		t.Errorf("told of %d reads, %d writes, %d of them over another, and %d removals: %+v", gets.Load(), sets.Load(), replaced.Load(), removed.Load(), got)
	}
}
