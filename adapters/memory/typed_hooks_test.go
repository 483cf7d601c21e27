package memory

import (
	"fmt"
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
		synctest.Test(t, func(t *testing.T) {
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
			go c.Clear()
			synctest.Wait() // for who tells the rest, after Goexit
			slices.Sort(told)
			if !slices.Equal(told, []int{0, 1, 2}) {
				t.Errorf("%s: OnRemove was told of %v", name, told)
			}
			if got := c.Stats().HookPanics; got != 1 && name == "panic" {
				t.Errorf("%d panics are counted, want 1", got)
			}
		})
	}
}

// Who ends each goroutine that tells it, ends as many as there are removals, and
// no stack is full of them.
func TestOnRemoveThatAlwaysExits(t *testing.T) {
	const n = 200_000
	var told, deepest atomic.Int64
	var all sync.WaitGroup
	all.Add(n)
	c := newTyped(t, &TypedOptions[int, int]{MaxEntries: n, OnRemove: func(int, int, Cause) {
		if told.Add(1)%(n/10) == 0 {
			deepest.Store(max(deepest.Load(), int64(runtime.Callers(0, make([]uintptr, 1000)))))
		}
		all.Done()
		runtime.Goexit()
	}})
	for i := range n {
		c.Set(i, i)
	}
	go c.Clear()
	all.Wait()
	if deepest.Load() > 50 {
		t.Errorf("OnRemove was called %d calls deep", deepest.Load())
	}
}

// What was told is not kept in memory until the rest is told.
func TestRemovedValuesAreFreed(t *testing.T) {
	const n = 64
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var first, last uint64
	var told int
	measure := func() {
		switch told++; told {
		case 1:
			first = heap()
		case n:
			last = heap()
		}
	}
	for _, who := range []string{"Store", "Typed"} {
		first, last, told = 0, 0, 0
		if who == "Store" {
			s := newStore(t, &Options{OnRemove: func(string, *store.Live, Cause) { measure() }})
			for i := range n {
				set(t, s, fmt.Sprint(i), strings.Repeat("v", 1<<20), 0)
			}
			s.Evict(n)
		} else {
			c := newTyped(t, &TypedOptions[int, *[1 << 20]byte]{OnRemove: func(int, *[1 << 20]byte, Cause) { measure() }})
			for i := range n {
				c.Set(i, new([1 << 20]byte))
			}
			c.Evict(n)
		}
		if first < last+n/2<<20 {
			t.Errorf("%s: of %d MiB in memory %d are left when the last of %d is told", who, first>>20, last>>20, n)
		}
	}
}
