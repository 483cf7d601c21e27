// Package cache is a bounded concurrent hash table whose entries expire, and
// are evicted by a policy.
//
// It knows nothing of what it holds: keys are of any comparable type, and a
// value is a pointer that it hands out. Time is counted in nanoseconds since
// the Cache was made, by the monotonic clock.
package cache

import (
	"hash/maphash"
	"iter"
	"math"
	"sync/atomic"
	"time"
)

// Never is the deadline of an entry that does not expire.
const Never = math.MaxInt64

// These are long past, so that whoever compares them finds nothing.
const (
	gone     = math.MinInt64     // the deadline of a node that is not in the table any more
	changing = math.MinInt64 + 1 // and of one whose entry is being replaced
)

// An Entry is a value and when it ends.
type Entry[V any] struct {
	Value    *V
	Deadline int64
}

// Limits are how much a Cache may hold, and which entries go when that is not
// enough.
type Limits struct {
	Entries int64 // more than 0; math.MaxInt64 is no limit
	Bytes   int64 // as Options.Size counts them; 0 is no limit, and then they are not counted
	Policy  Policy
}

// Options are what a Cache is made of.
type Options[K comparable, V any] struct {
	Limits Limits

	// Size is what an entry counts towards Limits.Bytes. It must give the same
	// for the same value as long as that is in the Cache.
	Size func(key K, value *V) int64

	// Hooks is asked whenever a value leaves the Cache, under the lock of its
	// shard, so it may only look: who is to be told of it, or nil.
	Hooks func(Cause) any

	// Removed is told what a call, or the timer, has removed: by its goroutine,
	// outside all locks, before it returns. Slot.Unlock and Reconfigure return
	// that instead. It is needed if Hooks is given.
	Removed func(all []Removal[K, V])
}

// A Removal is a value that has left the Cache, and who is to be told of it, as
// Options.Hooks has answered.
type Removal[K comparable, V any] struct {
	Key   K
	Value *V
	Cause Cause
	Hooks any
}

// tell is how a call that may have removed something ends.
func (c *Cache[K, V]) tell(removed []Removal[K, V]) {
	if len(removed) > 0 {
		c.options.Removed(removed)
	}
}

// A Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	options Options[K, V]
	seed    maphash.Seed
	start   time.Time

	shards     atomic.Pointer[shards[K, V]]
	maxEntries atomic.Int64
	maxBytes   atomic.Int64

	_ [64]byte // what every write changes is not in the cache line of what every read loads

	entries atomic.Int64 // never more than maxEntries; also what is about to be inserted
	bytes   atomic.Int64
	turn    atomic.Uint64 // the shard that Pop and Evict have come to
	alarm   alarm
	reads   readCounts
	paused  atomic.Bool // nothing is counted
}

// New makes an empty Cache.
func New[K comparable, V any](o Options[K, V]) *Cache[K, V] {
	c := &Cache[K, V]{options: o, seed: maphash.MakeSeed(), start: time.Now()}
	c.maxEntries.Store(o.Limits.Entries)
	c.maxBytes.Store(o.Limits.Bytes)
	c.shards.Store(newShards[K, V](o.Limits))
	c.startAlarm()
	return c
}

func (c *Cache[K, V]) hash(key K) uint64 {
	if s, ok := any(key).(string); ok {
		return maphash.String(c.seed, s)
	}
	return maphash.Comparable(c.seed, key)
}

// Now is the present time.
func (c *Cache[K, V]) Now() int64 { return int64(time.Since(c.start)) }

// At is what Now is at the time t, which has a monotonic clock reading.
func (c *Cache[K, V]) At(t time.Time) int64 { return int64(t.Sub(c.start)) }

// After is the time d from now, and before Never.
func (c *Cache[K, V]) After(d time.Duration) int64 {
	now := c.Now()
	return now + min(int64(d), Never-1-now)
}

// Get finds the entry of key, and counts that as a use of it for the policy.
// Whether it has expired is up to the caller, who may know the time.
func (c *Cache[K, V]) Get(key K) (Entry[V], bool) {
	hash := c.hash(key)
	s := c.shards.Load()
	if s.reads == ordered {
		return c.getInOrder(key, hash)
	}
	n := s.shard(hash).tables.find(uint32(hash), key)
	if n == nil {
		return Entry[V]{}, false
	}
	if s.reads == counted {
		n.use()
	}
	e := c.entry(n)
	return e, e.Deadline != gone
}

// Peek finds the entry of key, which is no use of it.
func (c *Cache[K, V]) Peek(key K) (Entry[V], bool) {
	hash := c.hash(key)
	n := c.shards.Load().shard(hash).tables.find(uint32(hash), key)
	if n == nil {
		return Entry[V]{}, false
	}
	e := c.entry(n)
	return e, e.Deadline != gone
}

// getInOrder is Get for policies that want to be told of reads at once.
func (c *Cache[K, V]) getInOrder(key K, hash uint64) (Entry[V], bool) {
	s := c.lock(hash)
	defer s.mu.Unlock()
	n := s.tables.find(uint32(hash), key)
	if n == nil {
		return Entry[V]{}, false
	}
	if c.shards.Load().reads == ordered { // for sure, under the lock
		s.order.read(n)
	}
	return Entry[V]{n.value.Load(), n.deadline.Load()}, true
}

// entry reads value and deadline of the same moment. A reader that comes while
// they are changed waits for the change.
func (c *Cache[K, V]) entry(n *node[K, V]) Entry[V] {
	for {
		deadline := n.deadline.Load()
		e := Entry[V]{n.value.Load(), deadline}
		if deadline != changing && n.deadline.Load() == deadline && n.value.Load() == e.Value {
			return e
		}
		s := c.lock(c.hash(n.key))
		s.mu.Unlock()
	}
}

// Len is the number of entries. It removes those that have expired first.
func (c *Cache[K, V]) Len() int {
	c.Expire()
	c.Settle() // or what another goroutine is just removing would count
	return int(c.entries.Load())
}

// Full is whether one more entry, of this many bytes, evicts one. It removes
// those that have expired first.
func (c *Cache[K, V]) Full(bytes int64) bool {
	c.Expire()
	limit := c.maxBytes.Load()
	return c.entries.Load() >= c.maxEntries.Load() || limit > 0 && c.bytes.Load() > limit-bytes
}

// Settle returns when everything that is under a lock now is done.
func (c *Cache[K, V]) Settle() {
	all := c.lockAll()
	all.unlock()
}

// All yields the entries that are not removed when their turn comes, be they
// expired or not: those of a shard in the order in which they would have been
// evicted when All was called. It is no use of them.
func (c *Cache[K, V]) All() iter.Seq2[K, Entry[V]] {
	return func(yield func(K, Entry[V]) bool) {
		nodes, all := c.nodes()
		for _, n := range nodes {
			e, there := c.entry(n), true
			if c.shards.Load() != all { // others have a copy of n, if it was not removed
				e, there = c.Peek(n.key)
			}
			if there && e.Deadline != gone && !yield(n.key, e) {
				return
			}
		}
	}
}

// nodes are those of one shard after the other. Shards that are replaced
// meanwhile are asked for again.
func (c *Cache[K, V]) nodes() ([]*node[K, V], *shards[K, V]) {
	for {
		all := c.shards.Load()
		nodes := make([]*node[K, V], 0, c.entries.Load())
		current := true
		for i := range all.of {
			nodes, current = all.of[i].appendNodes(nodes)
			if !current {
				break
			}
		}
		if current {
			return nodes, all
		}
	}
}

// Close drops all entries and tells nobody. Nothing may be put any more.
func (c *Cache[K, V]) Close() {
	c.alarm.stop()
	old := c.lockAll()
	empty := newShards[K, V](Limits{Policy: old.policy})
	for i := range old.of {
		empty.of[0].counts.add(&old.of[i].counts)
	}
	c.shards.Store(empty)
	c.entries.Store(0)
	c.bytes.Store(0)
	old.retire()
}
