package memory

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/cairncache/cairn/store"
)

func newTyped[K comparable, V any](t *testing.T, o *TypedOptions[K, V]) *Typed[K, V] {
	t.Helper()
	c, err := NewTyped(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func oneEach(string, int) int64 { return 1 }

func TestTypedOptionsThatMakeNoSense(t *testing.T) {
	for _, test := range []struct {
		field string
		o     TypedOptions[string, int]
	}{
		{"MaxEntries", TypedOptions[string, int]{MaxEntries: -1}},
		{"MaxCost", TypedOptions[string, int]{MaxCost: -1, Cost: oneEach}},
		{"MaxCost is set and Cost is not", TypedOptions[string, int]{MaxCost: 1}},
		{"Cost is set and MaxCost is not", TypedOptions[string, int]{Cost: oneEach}},
		{"Policy", TypedOptions[string, int]{Policy: 99}},
		{"TTL", TypedOptions[string, int]{TTL: -1}},
	} {
		c, err := NewTyped(&test.o)
		if c != nil || !errors.Is(err, store.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "store: newtyped: "+test.field) {
			t.Errorf("%s: NewTyped = %v, %v, want ErrInvalid that says so", test.field, c, err)
		}
	}
}

func TestTypedDefaults(t *testing.T) {
	c := newTyped[int, int](t, nil)
	if got := c.cache.Limits(); got.Entries != defaultMaxEntries || got.Policy != TinyLFU {
		t.Errorf("without options the limits are %+v", got)
	}
	byCost := newTyped(t, &TypedOptions[string, int]{MaxCost: 7, Cost: oneEach})
	if got := byCost.cache.Limits(); got.Entries != math.MaxInt || got.Bytes != 7 {
		t.Errorf("with MaxCost alone the limits are %+v", got)
	}
}

func TestTypedResizeToNothing(t *testing.T) {
	c := newTyped[int, int](t, nil)
	c.Set(1, 1)
	for _, n := range []int{0, -1} {
		if err := c.Resize(n); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Resize(%d) = %v, want ErrInvalid", n, err)
		}
	}
	if !c.Has(1) {
		t.Error("a Resize that failed has removed something")
	}
}

// For every method an entry is gone at the instant at which its ttl has passed.
func TestTypedExpiresToTheNanosecond(t *testing.T) {
	looks := map[string]func(*Typed[string, int]) bool{
		"Get":      func(c *Typed[string, int]) bool { _, ok := c.Get("k"); return ok },
		"Peek":     func(c *Typed[string, int]) bool { _, ok := c.Peek("k"); return ok },
		"Has":      func(c *Typed[string, int]) bool { return c.Has("k") },
		"TTL":      func(c *Typed[string, int]) bool { ttl, ok := c.TTL("k"); return ok && ttl == 1 },
		"All":      func(c *Typed[string, int]) bool { return len(maps.Collect(c.All())) == 1 },
		"Len":      func(c *Typed[string, int]) bool { return c.Len() == 1 },
		"Pop":      func(c *Typed[string, int]) bool { _, v, ok := c.Pop(); return ok && v == 1 },
		"Touch":    func(c *Typed[string, int]) bool { return c.Touch("k", time.Hour) },
		"Delete":   func(c *Typed[string, int]) bool { return c.Delete("k") },
		"GetOrSet": func(c *Typed[string, int]) bool { v, ok := c.GetOrSet("k", 2); return ok && v == 1 },
	}
	for name, look := range looks {
		synctest.Test(t, func(t *testing.T) {
			for _, early := range []time.Duration{1, 0} {
				c := newTyped[string, int](t, nil)
				c.SetTTL("k", 1, time.Minute)
				time.Sleep(time.Minute - early)
				if there := look(c); there != (early > 0) {
					t.Errorf("%s, %v before the deadline: there is %v", name, early, there)
				}
			}
		})
	}
}

func TestTypedTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTyped(t, &TypedOptions[string, int]{TTL: time.Minute})
		c.Set("default", 1)
		c.SetTTL("own", 1, time.Second)
		c.SetTTL("forever", 1, store.Forever)
		c.GetOrSet("got", 1)
		c.SetTTL("touched", 1, time.Second)
		c.Touch("touched", store.DefaultTTL)
		c.SetTTL("longest", 1, store.Forever-1)
		time.Sleep(500 * time.Millisecond)
		left := time.Minute - 500*time.Millisecond
		for key, want := range map[string]time.Duration{
			"default": left, "got": left, "touched": left,
			"own": 500 * time.Millisecond, "forever": store.Forever, "absent": 0,
		} {
			if ttl, found := c.TTL(key); ttl != want || found != (want > 0) {
				t.Errorf("TTL(%q) = %v, %v, want %v", key, ttl, found, want)
			}
		}
		if ttl, _ := c.TTL("longest"); ttl < store.Forever-time.Second || ttl == store.Forever {
			t.Errorf("the longest ttl is %v", ttl)
		}
	})
}

func TestTypedSharesValues(t *testing.T) {
	c := newTyped[string, *int](t, nil)
	v := new(int)
	c.Set("k", v)
	c.Set("nil", nil)
	if got, ok := c.Get("k"); got != v || !ok {
		t.Errorf("Get = %p, %v, want what was set", got, ok)
	}
	if got, ok := c.Get("nil"); got != nil || !ok {
		t.Errorf("Get of a nil that was set = %p, %v", got, ok)
	}
}

// Values of size 0 may all be at the same place in memory.
func TestTypedValuesOfSizeZero(t *testing.T) {
	c := newTyped[string, struct{}](t, nil)
	for range 3 {
		c.Set("k", struct{}{})
	}
	c.Delete("k")
	if got := c.Stats(); got.Sets != 3 || got.Replaced != 2 || got.Deleted != 1 {
		t.Errorf("after 3 writes and a Delete: %+v", got)
	}
}

func TestTypedAfterClose(t *testing.T) {
	c := newTyped[string, int](t, nil)
	c.SetTTL("k", 1, time.Hour)
	c.Close()
	c.Close()
	c.Set("k", 2)
	if v, found := c.GetOrSet("k", 3); v != 3 || found {
		t.Errorf("GetOrSet = %d, %v, want 3, false", v, found)
	}
	if c.Touch("k", time.Hour) || c.Delete("k") || c.Has("k") {
		t.Error("a closed Typed has an entry")
	}
	c.Clear()
	if _, _, ok := c.Pop(); ok || c.Evict(1) != 0 || c.Resize(5) != nil || c.Len() != 0 {
		t.Error("a closed Typed has an entry, or cannot be resized")
	}
}

// A bubble ends only when no goroutine is left in it.
func TestTypedNoGoroutineWithoutClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewTyped(&TypedOptions[int, int]{MaxEntries: 10})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			c.SetTTL(i, i, time.Duration(i+1)*time.Second)
		}
		time.Sleep(3 * time.Second)
	})
}

func TestForgottenTypedIsCollected(t *testing.T) {
	forgotten := func() weak.Pointer[Typed[string, int]] {
		c, err := NewTyped(&TypedOptions[string, int]{OnRemove: func(string, int, Cause) {}})
		if err != nil {
			t.Fatal(err)
		}
		c.SetTTL("k", 1, time.Hour)
		return weak.Make(c)
	}()
	for range 100 {
		if runtime.GC(); forgotten.Value() == nil {
			return
		}
		runtime.Gosched()
	}
	t.Error("a Typed with an entry that expires in an hour is never collected")
}

func TestTypedGetOrSetSetsOnce(t *testing.T) {
	c := newTyped[int, int](t, nil)
	for key := range 200 {
		var sets atomic.Int64
		var seen [4]int
		var all sync.WaitGroup
		for i := range seen {
			all.Go(func() {
				v, found := c.GetOrSet(key, i)
				if seen[i] = v; !found {
					sets.Add(1)
				}
			})
		}
		all.Wait()
		if sets.Load() != 1 || slices.Min(seen[:]) != slices.Max(seen[:]) {
			t.Fatalf("%d calls have set, and they return %v", sets.Load(), seen)
		}
	}
}

// A GetOrSet that comes too late has found what another has set, and counts so.
func TestTypedGetOrSetTooLate(t *testing.T) {
	var c *Typed[string, int]
	c = newTyped(t, &TypedOptions[string, int]{MaxCost: 10, Cost: func(_ string, value int) int64 {
		if value == 2 {
			c.Set("k", 1) // between the look and the write
		}
		return 1
	}})
	if v, found := c.GetOrSet("k", 2); v != 1 || !found {
		t.Errorf("GetOrSet = %v, %v; want what was set meanwhile", v, found)
	}
	if v, found := c.GetOrSet("new", 3); v != 3 || found {
		t.Errorf("GetOrSet of a new key = %v, %v", v, found)
	}
	if s := c.Stats(); s.Hits != 1 || s.Misses != 1 {
		t.Errorf("%d hits and %d misses, want 1 of each", s.Hits, s.Misses)
	}
}

// Many goroutines do everything, and every value that was written has left once
// or is there.
func TestTypedConcurrently(t *testing.T) {
	type written struct{ told atomic.Int32 }
	for p := TinyLFU; p <= Random; p++ {
		var removed atomic.Int64
		c := newTyped(t, &TypedOptions[int, *written]{
			MaxEntries: 50, Policy: p, MaxCost: 40, Cost: func(int, *written) int64 { return 1 },
			OnRemove: func(_ int, w *written, _ Cause) {
				w.told.Add(1)
				removed.Add(1)
			},
		})
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := range 2000 {
					doAnything(c, g+i, i%100, new(written))
					if n := c.Stats(); n.Entries > 40 || n.Bytes > 40 {
						t.Errorf("%v: %d entries that cost %d, the limit is 40", p, n.Entries, n.Bytes)
					}
				}
			})
		}
		all.Wait()
		c.Len() // reports all that is left to report
		for _, w := range c.All() {
			if w.told.Load() != 0 {
				t.Errorf("%v: a value that is there was reported as removed", p)
			}
		}
		now := c.Stats()
		if int64(now.Sets) != removed.Load()+int64(now.Entries) {
			t.Errorf("%v: %d values were set, %d removed, %d are there", p, now.Sets, removed.Load(), now.Entries)
		}
	}
}

func doAnything[V any](c *Typed[int, V], what, key int, value V) {
	switch what % 13 {
	case 0, 1, 2:
		c.Set(key, value)
	case 3:
		c.SetTTL(key, value, time.Millisecond)
	case 4:
		c.GetOrSet(key, value)
	case 5:
		c.Delete(key)
	case 6:
		c.Touch(key, time.Hour)
	case 7:
		c.Pop()
	case 8:
		c.Resize(30 + key)
	case 9:
		c.Evict(1)
	case 10:
		for range c.All() {
			break
		}
	case 11:
		if key == 0 {
			c.Clear()
		}
	default:
		c.Get(key)
	}
}

func TestTypedCloseWhileUsed(t *testing.T) {
	for range 50 {
		c := newTyped[int, int](t, nil)
		var all sync.WaitGroup
		for g := range 3 {
			all.Go(func() {
				for i := range 200 {
					doAnything(c, g+i, i, i)
				}
			})
		}
		c.Close()
		all.Wait()
		if n := c.Stats().Entries; n != 0 {
			t.Fatalf("a closed Typed counts %d entries", n)
		}
	}
}

func TestTypedAllocations(t *testing.T) {
	testAllocations(t, "string", "key", "other")
	testAllocations(t, "int", 1, 2)
	testAllocations(t, "pointer", new(int), new(int))
	testAllocations(t, "struct", [2]string{"a", "b"}, [2]string{"a", "c"})
	testAllocations[any](t, "any", 1000, 2000)
}

func testAllocations[K comparable](t *testing.T, name string, key, absent K) {
	c := newTyped(t, &TypedOptions[K, [4]int]{TTL: time.Hour})
	c.Set(key, [4]int{})
	for what, test := range map[string]struct {
		want float64
		do   func()
	}{
		"Get":               {0, func() { c.Get(key) }},
		"Get of nothing":    {0, func() { c.Get(absent) }},
		"Peek":              {0, func() { c.Peek(key) }},
		"TTL":               {0, func() { c.TTL(key) }},
		"Touch":             {0, func() { c.Touch(key, time.Hour) }},
		"GetOrSet":          {0, func() { c.GetOrSet(key, [4]int{}) }},
		"Set":               {1, func() { c.Set(key, [4]int{}) }},
		"Set, then Delete":  {2, func() { c.Set(absent, [4]int{}); c.Delete(absent) }},
		"Delete of nothing": {0, func() { c.Delete(absent) }},
	} {
		if got := testing.AllocsPerRun(100, test.do); got != test.want {
			t.Errorf("%s keys: %s allocates %v times, want %v", name, what, got, test.want)
		}
	}
}

// Entries of which few fit are in different shards, each of which has to make
// room in the others.
func TestTypedFewCostlyEntries(t *testing.T) {
	c := newTyped(t, &TypedOptions[int, int]{MaxCost: 1 << 30, Cost: func(int, int) int64 { return 400 << 20 }})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 1000 {
				c.Set(4*i+g, i)
				if n := c.Stats(); n.Entries > 2 {
					t.Errorf("%d entries that cost %d, the limit is %d", n.Entries, n.Bytes, 1<<30)
				}
			}
		})
	}
	all.Wait()
	if n := c.Len(); n != 2 {
		t.Errorf("%d entries are left, want the 2 there is room for", n)
	}
}

func TestTypedStatsPauseAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewTyped(&TypedOptions[string, int]{MaxEntries: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetTTL("a", 1, time.Millisecond)
		c.Set("b", 2)
		if !c.Full() {
			t.Error("two entries of two, and not full")
		}
		time.Sleep(time.Millisecond) // before the timer
		if n := c.DeleteExpired(); n != 1 || c.Full() {
			t.Errorf("DeleteExpired = %d, Full = %v, want 1 and false", n, c.Full())
		}
		c.PauseStats()
		c.Get("b")
		if c.StatsEnabled() || c.Stats().Hits != 0 {
			t.Errorf("while paused: enabled %v, %+v", c.StatsEnabled(), c.Stats())
		}
		c.ResumeStats()
		c.Get("b")
		if got := c.Stats(); !c.StatsEnabled() || got.Hits != 1 || got.Sets != 2 || got.Expired != 1 {
			t.Errorf("resumed: enabled %v, %+v", c.StatsEnabled(), got)
		}
		c.ResetStats()
		if got := c.Stats(); got != (Stats{Entries: 1}) {
			t.Errorf("after ResetStats %+v", got)
		}
	})
}
