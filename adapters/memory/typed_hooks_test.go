package memory

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A typedRecorder records what OnRemove is told, as "cause key=value".
type typedRecorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *typedRecorder) onRemove(key string, value int, cause Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf("%v %s=%d", cause, key, value))
}

func (r *typedRecorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

func TestTypedCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r typedRecorder
		c := newTyped(t, &TypedOptions[string, int]{
			MaxEntries: 2, Policy: LRU, OnRemove: r.onRemove,
			MaxCost: 100, Cost: func(_ string, value int) int64 { return int64(value) },
		})
		steps := []struct {
			what string
			do   func()
			want []string
		}{
			{"Set", func() { c.Set("a", 1) }, nil},
			{"Set over it", func() { c.Set("a", 2) }, []string{"Replaced a=1"}},
			{"Touch", func() { c.Touch("a", time.Hour) }, nil},
			{"GetOrSet", func() { c.GetOrSet("a", 9) }, nil},
			{"Set too costly", func() { c.Set("a", 101) }, []string{"Deleted a=2"}},
			{"Set too costly of nothing", func() { c.Set("a", 101) }, nil},
			{"GetOrSet too costly", func() { c.GetOrSet("a", 101) }, nil},
			{"GetOrSet of nothing", func() { c.GetOrSet("a", 3) }, nil},
			{"SetTTL negative", func() { c.SetTTL("a", 4, -1) }, []string{"Deleted a=3"}},
			{"Set again", func() { c.Set("a", 5) }, nil},
			{"Touch negative", func() { c.Touch("a", -1) }, []string{"Deleted a=5"}},
			{"fill", func() { c.Set("a", 6); c.Set("b", 7) }, nil},
			{"Set another", func() { c.Set("c", 8) }, []string{"Capacity a=6"}},
			{"Set a costly one", func() { c.Set("c", 99) }, []string{"Capacity b=7", "Replaced c=8"}},
			{"Delete", func() { c.Delete("c") }, []string{"Deleted c=99"}},
			{"Delete nothing", func() { c.Delete("c") }, nil},
			{"fill", func() { c.Set("a", 9); c.Set("b", 10) }, nil},
			{"Pop", func() { c.Pop() }, []string{"Popped a=9"}},
			{"Evict", func() { c.Evict(5) }, []string{"Capacity b=10"}},
			{"fill", func() { c.Set("a", 11); c.Set("b", 12) }, nil},
			{"Resize", func() { c.Resize(1) }, []string{"Capacity a=11"}},
			{"Clear", func() { c.Clear() }, []string{"Cleared b=12"}},
			{"Set for a second", func() { c.SetTTL("a", 13, time.Second) }, nil},
			{"wait", func() { time.Sleep(time.Second + sweepEvery); synctest.Wait() }, []string{"Expired a=13"}},
			{"Set for a last time", func() { c.Set("a", 14) }, nil},
			{"Close", func() { c.Close() }, nil},
		}
		for _, step := range steps {
			step.do()
			if got := r.take(); !slices.Equal(got, step.want) {
				t.Errorf("%s: OnRemove was told %q, want %q", step.what, got, step.want)
			}
		}
	})
}

// What had expired but was still in memory has left by its ttl, and not by what
// then hit upon it.
func TestTypedCauseOfExpiredEntryIsExpired(t *testing.T) {
	for name, do := range map[string]func(c *Typed[string, int]){
		"Set":      func(c *Typed[string, int]) { c.Set("k", 2) },
		"SetTTL":   func(c *Typed[string, int]) { c.SetTTL("k", 2, -1) },
		"GetOrSet": func(c *Typed[string, int]) { c.GetOrSet("k", 2) },
		"Touch":    func(c *Typed[string, int]) { c.Touch("k", time.Hour) },
		"Delete":   func(c *Typed[string, int]) { c.Delete("k") },
		"Clear":    func(c *Typed[string, int]) { c.Clear() },
		"Len":      func(c *Typed[string, int]) { c.Len() },
		"Pop":      func(c *Typed[string, int]) { c.Pop() },
		"Evict":    func(c *Typed[string, int]) { c.Evict(1) },
		"Resize":   func(c *Typed[string, int]) { c.Resize(1) },
		"Stats":    func(c *Typed[string, int]) { c.Stats() },
	} {
		synctest.Test(t, func(t *testing.T) {
			var r typedRecorder
			c := newTyped(t, &TypedOptions[string, int]{OnRemove: r.onRemove})
			c.SetTTL("k", 1, time.Millisecond)
			time.Sleep(time.Millisecond)
			do(c)
			if got := r.take(); !slices.Equal(got, []string{"Expired k=1"}) {
				t.Errorf("%s: OnRemove was told %q, want that k has expired", name, got)
			}
		})
	}
}

func TestTypedOnRemoveMayUseTheTyped(t *testing.T) {
	var c *Typed[string, int]
	told := 0
	c = newTyped(t, &TypedOptions[string, int]{
		MaxEntries: 1,
		OnRemove: func(key string, value int, cause Cause) {
			told++
			if v, ok := c.Peek(key); ok && v == value {
				t.Errorf("%s=%d is still there when OnRemove is told", key, value)
			}
			c.Len()
			c.Stats()
			c.Has(key)
			for range c.All() {
				c.TTL(key)
			}
			if told < 10 {
				c.Set(fmt.Sprint(told), told) // evicts again
			}
		},
	})
	c.Set("a", 0)
	c.Set("b", 0)
	if told != 10 || c.Len() != 1 {
		t.Errorf("OnRemove was told %d times and %d entries are left, want 10 and 1", told, c.Len())
	}
}

func TestTypedOnRemoveThatFails(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic":  func() { panic("of OnRemove") },
		"Goexit": runtime.Goexit,
	} {
		var told []int
		c := newTyped(t, &TypedOptions[int, int]{OnRemove: func(key, _ int, _ Cause) {
			told = append(told, key)
			if key == 1 {
				fail()
			}
		}})
		for i := range 3 {
			c.Set(i, i)
		}
		done := make(chan bool)
		go func() {
			defer close(done)
			c.Clear()
		}()
		<-done
		c.Len() // reports what is left
		slices.Sort(told)
		if !slices.Equal(told, []int{0, 1, 2}) {
			t.Errorf("%s: OnRemove was told of %v", name, told)
		}
		if got := c.Stats().HookPanics; got != 1 && name == "panic" {
			t.Errorf("%d panics are counted, want 1", got)
		}
	}
}

// The cost is asked for once, outside all locks: it may use the Typed, panic,
// and change afterwards.
func TestTypedCost(t *testing.T) {
	type page struct{ size int64 }
	var c *Typed[string, *page]
	asked := 0
	c = newTyped(t, &TypedOptions[string, *page]{MaxCost: 10, Cost: func(key string, p *page) int64 {
		asked++
		c.Has(key)
		c.Len()
		return p.size
	}})
	big, free := &page{6}, &page{-5}
	c.Set("big", big)
	c.Set("free", free)
	if got := c.Stats(); got.Bytes != 6 || got.Entries != 2 || asked != 2 {
		t.Errorf("2 entries cost %d, asked %d times, want 6 and 2", got.Bytes, asked)
	}
	big.size, free.size = 100, 100
	func() {
		defer func() { recover() }()
		c.Set("nil", nil)
	}()
	c.Set("other", &page{5})
	if c.Has("big") && c.Has("other") {
		t.Error("entries that cost 11 are there, with a MaxCost of 10")
	}
	c.Clear()
	if got := c.Stats(); got.Bytes != 0 || got.Entries != 0 || asked != 4 {
		t.Errorf("nothing costs %d, asked %d times, want 0 and 4", got.Bytes, asked)
	}
}
