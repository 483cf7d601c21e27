package cache

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// few maps all keys to a few hashes, so that buckets overflow.
func few(key, hashes uint32) uint32 { return key % hashes * 0x9e3779b9 }

// count is the number of nodes.
func (t *table[K, V]) count() (n int) {
	for i := range t.buckets {
		for b := &t.buckets[i]; b != nil; b = b.next.Load() {
			for j := range b.nodes {
				if b.nodes[j].Load() != nil {
					n++
				}
			}
		}
	}
	return n
}

func TestTableAgainstMap(t *testing.T) {
	for _, hashes := range []uint32{1, 3, 100, 1 << 31} {
		table := newTable[uint32, int](0)
		want := make(map[uint32]*node[uint32, int])
		for i := range 5000 {
			key := rand.Uint32N(300)
			if n := want[key]; n != nil && i%3 > 0 {
				table.remove(n)
				delete(want, key)
			} else if n == nil {
				n := &node[uint32, int]{key: key, hash: few(key, hashes)}
				want[key] = n
				if !table.fits(len(want)) {
					table = table.resized(len(want))
				}
				table.insert(n)
			}
			for range 3 {
				key := rand.Uint32N(300)
				if got := table.find(few(key, hashes), key); got != want[key] {
					t.Fatalf("%d hashes: find(%d) = %p, want %p", hashes, key, got, want[key])
				}
			}
		}
	}
}

// A table that once was large does not stay so.
func TestTableShrinks(t *testing.T) {
	c := newCache(Limits{Policy: FIFO})
	for i := range 10_000 {
		put(c, strconv.Itoa(i), "v", 0)
	}
	for i := range 10_000 {
		remove(c, strconv.Itoa(i))
	}
	for i := range c.shards.Load().of[0].tables {
		if n := len(c.shards.Load().of[0].tables[i].Load().buckets); n > minBuckets {
			t.Errorf("an empty table has %d buckets", n)
		}
	}
}

// What is there all the time is found all the time, while tables grow and
// shrink, and other keys come and go in the same buckets.
func TestNoReadMissesWhatIsThere(t *testing.T) {
	for p := TinyLFU; p.Valid(); p++ {
		c := newCache(Limits{Policy: p})
		const stays = 100
		for i := range stays {
			put(c, fmt.Sprint("stays", i), "v", 0)
		}
		var writers, readers sync.WaitGroup
		var ended atomic.Bool
		for w := range 4 {
			writers.Go(func() {
				for range 20 {
					for i := range 500 {
						put(c, fmt.Sprint(w, i), "v", 0)
					}
					for i := range 500 {
						remove(c, fmt.Sprint(w, i))
					}
				}
			})
		}
		for range 2 {
			readers.Go(func() {
				for !ended.Load() {
					key := fmt.Sprint("stays", rand.IntN(stays))
					if _, ok := c.Get(key); !ok {
						t.Errorf("%v: Get(%q) missed", p, key)
						return
					}
				}
			})
		}
		for _, limits := range []Limits{{Policy: (p + 1) % policies}, {Policy: p}} {
			limits.Entries = 1 << 40
			c.Reconfigure(limits, nil)
		}
		writers.Wait()
		ended.Store(true)
		readers.Wait()
		if n := c.Len(); n != stays {
			t.Errorf("%v: %d entries are left, want %d", p, n, stays)
		}
	}
}

// A reader sees a value with its own deadline, never with that of another.
func TestReadersSeeValueAndDeadlineTogether(t *testing.T) {
	for _, p := range []Policy{TinyLFU, LRU} {
		c := New(Options[string, int64]{Limits: Limits{Entries: 10, Policy: p}})
		var writers, readers sync.WaitGroup
		var ended atomic.Bool
		write := func(v int64) {
			slot := c.Lock("k")
			defer slot.Unlock()
			slot.Put(Entry[int64]{&v, Never - v}, Replaced)
		}
		write(0)
		for range 2 {
			writers.Go(func() {
				for range 50_000 {
					write(rand.Int64N(3)) // two that have a deadline, and one that has none
				}
			})
			readers.Go(func() {
				for !ended.Load() {
					for _, get := range []func(string) (Entry[int64], bool){c.Get, c.Peek} {
						if e, ok := get("k"); !ok || e.Deadline != Never-*e.Value {
							t.Errorf("%v: a value of deadline %d has the deadline %d", p, Never-*e.Value, e.Deadline)
							return
						}
					}
				}
			})
		}
		writers.Wait()
		ended.Store(true)
		readers.Wait()
	}
}

// The limit holds at every moment, with keys in all shards.
func TestLimitsHoldWhileAllWrite(t *testing.T) {
	for name, limits := range map[string]Limits{
		"entries": {Entries: 4 * shardEntries},
		"bytes":   {Entries: 1 << 40, Bytes: 4 * shardBytes},
		"one":     {Entries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(limits)
			large := make([]byte, shardBytes*3/2) // more than the share of a shard
			value := string(large)
			if limits.Bytes == 0 {
				value = ""
			}
			var writers sync.WaitGroup
			for range 4 {
				writers.Go(func() {
					for range 5000 {
						put(c, strconv.Itoa(rand.IntN(10_000)), value[:rand.IntN(len(value)+1)], 0)
						if n, b := c.entries.Load(), c.bytes.Load(); n > limits.Entries || limits.Bytes > 0 && b > limits.Bytes {
							t.Errorf("%d entries of %d bytes", n, b)
							return
						}
					}
				})
			}
			writers.Wait()
			var bytes int64
			n := 0
			for _, e := range c.All() {
				bytes += int64(len(*e.Value))
				n++
			}
			got := c.Stats()
			if got.Entries != n || limits.Bytes > 0 && got.Bytes != bytes {
				t.Errorf("Stats has %d entries of %d bytes, there are %d of %d", got.Entries, got.Bytes, n, bytes)
			}
			if limits.Bytes == 0 && int64(n) < limits.Entries {
				t.Errorf("%d entries, want as many as there may be, %d", n, limits.Entries)
			}
		})
	}
}

// A loop over all entries goes on with those that other shards have got.
func TestAllWhileShardsAreReplaced(t *testing.T) {
	for _, replace := range []func(*testCache){
		func(c *testCache) { c.Reconfigure(Limits{Entries: 1 << 40, Policy: LRU}, nil) },
		(*testCache).Close,
	} {
		c := newCache(Limits{})
		for i := range 100 {
			put(c, strconv.Itoa(i), "v", 0)
		}
		n := 0
		for range c.All() {
			if n++; n == 1 {
				replace(c)
			}
		}
		if n == 0 || n > 100 {
			t.Errorf("%d entries of 100", n)
		}
		var loops sync.WaitGroup
		for range 4 {
			loops.Go(func() {
				for range 100 {
					for range c.All() {
					}
					replace(c)
				}
			})
		}
		loops.Wait()
	}
}
