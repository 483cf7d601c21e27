package cache

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newSized makes a Cache of several shards, whose values are their own sizes.
func newSized() *Cache[int, int64] {
	return New(Options[int, int64]{
		Limits: Limits{Entries: math.MaxInt64, Bytes: 16 * shardBytes},
		Size:   func(_ int, v *int64) int64 { return *v },
	})
}

// keyIn is a key of a shard.
func keyIn(c *Cache[int, int64], shard int) int {
	all := c.shards.Load()
	key := 0
	for all.shard(c.hash(key)) != &all.of[shard] {
		key++
	}
	return key
}

func tryPut(c *Cache[int, int64], key int, size, deadline int64) bool {
	slot := c.Lock(key)
	defer slot.Unlock()
	return slot.Put(Entry[int64]{&size, deadline}, Replaced)
}

// putSized puts as callers of Put do, and returns how often it tried. It gives
// up only where a test has failed.
func putSized(c *Cache[int, int64], key int, size int64) (tries int) {
	for tries = 1; !tryPut(c, key, size, Never) && tries < 1000; tries++ {
		c.EvictOther(key)
	}
	return tries
}

const (
	most = 15 * shardBytes // more than half of all there may be
	half = 7 * shardBytes
)

func TestPutThatFindsNoRoomLeavesTheEntryAsItWas(t *testing.T) {
	c := newSized()
	defer c.Close()
	a, b := keyIn(c, 0), keyIn(c, 1)
	deadline := c.After(time.Hour)
	tryPut(c, a, most, Never)
	tryPut(c, b, 1, deadline)
	before, _ := c.Peek(b)
	n := c.shards.Load().of[1].tables.find(uint32(c.hash(b)), b)
	order := c.shards.Load().of[1].order.(*tinyLFU[int, int64])
	frequency := order.frequency(n)

	busy := c.Lock(a)
	for range 20 {
		if tryPut(c, b, most, Never) {
			t.Fatal("there was room")
		}
	}
	busy.Unlock()

	if e, ok := c.Peek(b); !ok || e != before {
		t.Errorf("the entry is %v, %v, want %v", e, ok, before)
	}
	if f := order.frequency(n); f != frequency {
		t.Errorf("it was used %d times, and now %d times", frequency, f)
	}
	if s := &c.shards.Load().of[1]; len(s.dues) != 1 || s.dues[0].at != deadline || s.next.Load() != deadline {
		t.Error("its deadline is forgotten")
	}
	got := c.Stats()
	if got.Sets != 2 || got.Bytes != most+1 || got.Removed != [causes]uint64{} {
		t.Errorf("counted is %+v", got)
	}
}

// What others keep at work with makes room as well: Evict waits for it.
func TestPutGetsRoomFromABusyShard(t *testing.T) {
	c := newSized()
	a, b := keyIn(c, 0), keyIn(c, 1)
	var others sync.WaitGroup
	var ended atomic.Bool
	for range 4 {
		others.Go(func() {
			for !ended.Load() {
				slot := c.Lock(a)
				if _, ok := slot.Entry(); ok {
					slot.Renew(Never)
				}
				slot.Unlock()
			}
		})
	}
	for range 200 {
		putSized(c, a, most)
		if tries := putSized(c, b, most); tries > 2 {
			t.Errorf("Put took %d tries, and one Evict makes room", tries)
		}
	}
	ended.Store(true)
	others.Wait()
}

func TestTwoThatGrowDoNotWaitForEachOther(t *testing.T) {
	c := newSized()
	a, b := keyIn(c, 0), keyIn(c, 1)
	size := int64(most)
	putSized(c, a, half)
	putSized(c, b, half)
	one, other := c.Lock(a), c.Lock(b)
	for _, slot := range []*Slot[int, int64]{&one, &other} {
		if slot.Put(Entry[int64]{&size, Never}, Replaced) {
			t.Error("there was room")
		}
	}
	one.Unlock()
	other.Unlock()

	for range 200 {
		putSized(c, a, half)
		putSized(c, b, half)
		var both sync.WaitGroup
		for _, key := range []int{a, b} {
			both.Go(func() {
				if tries := putSized(c, key, most); tries > 10 {
					t.Errorf("Put took %d tries, beside one other", tries)
				}
			})
		}
		both.Wait()
		if got := c.Stats(); got.Entries != 1 || got.Bytes != most {
			t.Fatalf("there are %d entries of %d bytes, want the one that came last", got.Entries, got.Bytes)
		}
	}
}

// A search may have found a node just before another goroutine took it out of
// the table. What stands there by then is no deadline.
func TestNodeThatWasRemovedIsNotFound(t *testing.T) {
	for p := range policies {
		c := newCache(Limits{Policy: p})
		put(c, "k", "v", 0)
		slot := c.Lock("k")
		slot.n.deadline.Store(gone) // and a search that finds it now began earlier
		slot.Unlock()
		if e, ok := c.Peek("k"); ok {
			t.Errorf("%v: Peek has found %v", p, e)
		}
		if c.shards.Load().reads == ordered {
			continue // Get takes the lock
		}
		if e, ok := c.Get("k"); ok {
			t.Errorf("%v: Get has found %v", p, e)
		}
	}
}

// A loop goes on with the shards that there are, not with those that there were.
func TestAllAfterShardsWereReplaced(t *testing.T) {
	for name, replace := range map[string]func(*testCache){
		"Reconfigure": func(c *testCache) {
			c.Reconfigure(Limits{Entries: 10, Policy: LRU}, nil)
			remove(c, "second")
		},
		"Close": (*testCache).Close,
	} {
		c := newCache(Limits{Policy: FIFO})
		put(c, "first", "v", 0)
		put(c, "second", "v", 0)
		for key := range c.All() {
			if key == "second" {
				t.Errorf("%s: an entry that was gone before its turn is yielded", name)
			}
			replace(c)
		}
	}
}

// Another goroutine that looks for the first deadline hides from no one that it
// has passed.
func TestLenWhileTheFirstDeadlineIsLookedFor(t *testing.T) {
	c := newSized()
	defer c.Close()
	var other sync.WaitGroup
	var ended atomic.Bool
	other.Go(func() {
		for !ended.Load() {
			c.findSoonest()
		}
	})
	for key := range 10_000 {
		tryPut(c, key, 1, c.Now())
		if n := c.Len(); n != 0 {
			t.Errorf("Len counts %d entries that have expired", n)
			break
		}
	}
	ended.Store(true)
	other.Wait()
}

// However many entries have expired, Pop removes a few of them under a lock
// before others get it.
func TestPopLetsOthersIn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that Gosched lets the other one run
	const n = 20 * atOnce
	var c *Cache[int, int64]
	var removed, seen int
	var other sync.WaitGroup
	c = New(Options[int, int64]{
		Limits: Limits{Entries: math.MaxInt64, Policy: FIFO},
		Hooks: func(Cause) any {
			if removed++; removed == 1 {
				other.Go(func() {
					slot := c.Lock(0)
					defer slot.Unlock()
					seen = removed
				})
				// So long a wait has the lock handed over to who waits.
				for start := time.Now(); time.Since(start) < 2*time.Millisecond; {
					runtime.Gosched()
				}
			}
			runtime.Gosched()
			return nil
		},
	})
	c.alarm.stop()
	for key := range n {
		tryPut(c, key, 1, 0)
	}
	c.Pop()
	other.Wait()
	if removed != n || seen == n {
		t.Errorf("Pop has removed %d of %d entries, and %d before anybody else got the lock", removed, n, seen)
	}
}

// A write that has to wait for others does not evict what it replaces.
func TestWriteThatWaitsEvictsNothingOfItsOwn(t *testing.T) {
	for turn := range 4 { // EvictOther begins with either shard
		var evicted []int
		c := New(Options[int, int64]{
			Limits: Limits{Entries: math.MaxInt64, Bytes: 2 * shardBytes},
			Size:   func(_ int, v *int64) int64 { return *v },
			Hooks:  func(Cause) any { return true },
			Removed: func(all []Removal[int, int64]) {
				for _, r := range all {
					evicted = append(evicted, r.Key)
				}
			},
		})
		c.turn.Add(uint64(turn))
		a, b := keyIn(c, 0), keyIn(c, 1)
		tryPut(c, a, shardBytes, Never)
		tryPut(c, b, 100, Never)
		busy := c.Lock(a)
		if tryPut(c, b, 2*shardBytes-100, Never) {
			t.Fatal("there was room")
		}
		busy.Unlock()
		c.EvictOther(b)
		if e, there := c.Peek(b); !there || *e.Value != 100 || !slices.Equal(evicted, []int{a}) {
			t.Errorf("evicted %v, of %d and %d, which is to be written: %v", evicted, a, b, there)
		}
		if !tryPut(c, b, 2*shardBytes-100, Never) || len(evicted) != 1 {
			t.Errorf("it was not put; evicted %v", evicted)
		}
	}
}
