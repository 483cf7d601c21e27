package cache

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A shard holds the entries of some of the hashes.
type shard[K comparable, V any] struct {
	tables tables[K, V]

	_ [64]byte // as in Cache: readers load what is above

	mu     sync.Mutex // for all that follows, and to change what is above
	moved  bool       // other shards have taken the place of this one
	len    int        // of order
	order  order[K, V]
	dues   dues[K, V]
	next   atomic.Int64 // dues.first()
	bytes  atomic.Int64 // its part of Cache.bytes, but for what is about to be inserted
	counts writeCounts

	removed []Removal[K, V] // by who has the lock, and nobody was told yet

	_ [64]byte // shards of different processors share no cache line
}

func (s *shard[K, V]) init(p Policy, tables int) {
	s.order = newOrder[K, V](p)
	s.tables = newTables[K, V](tables)
	s.next.Store(Never)
}

// shards are all shards of a Cache, as many as a power of two.
type shards[K comparable, V any] struct {
	policy Policy
	reads  readMode
	of     []shard[K, V]
}

const (
	shardEntries = 1 << 8 // a shard that may hold less is not worth having
	shardBytes   = 4 << 20
)

// newShards makes one shard for the policies that keep one order of all
// entries. Those of TinyLFU are so many that two processors seldom want the
// same one, but not so many that the entries of one are too few to choose from.
func newShards[K comparable, V any](l Limits) *shards[K, V] {
	n := shardCount(l)
	s := &shards[K, V]{policy: l.Policy, of: make([]shard[K, V], n)}
	for i := range s.of {
		s.of[i].init(l.Policy, max(1, allTables/n))
	}
	s.reads = s.of[0].order.reads()
	return s
}

func shardCount(l Limits) int {
	if l.Policy != TinyLFU {
		return 1
	}
	most := min(int64(8*runtime.GOMAXPROCS(0)), l.Entries/shardEntries)
	if l.Bytes > 0 {
		most = min(most, l.Bytes/shardBytes)
	}
	n := 1
	for int64(2*n) <= most {
		n *= 2
	}
	return n
}

func (s *shards[K, V]) shard(hash uint64) *shard[K, V] {
	return &s.of[hash>>32&uint64(len(s.of)-1)]
}

// lock locks the shard of a hash.
func (c *Cache[K, V]) lock(hash uint64) *shard[K, V] {
	for {
		s := c.shards.Load().shard(hash)
		s.mu.Lock()
		if !s.moved {
			return s
		}
		s.mu.Unlock()
	}
}

// lockAll locks all shards, so that nobody is in the middle of anything. Who
// holds one lock never waits for another, but for this, which takes them in
// their order.
func (c *Cache[K, V]) lockAll() *shards[K, V] {
	for {
		all := c.shards.Load()
		for i := range all.of {
			all.of[i].mu.Lock()
		}
		if !all.of[0].moved {
			return all
		}
		all.unlock()
	}
}

func (s *shards[K, V]) unlock() {
	for i := range s.of {
		s.of[i].mu.Unlock()
	}
}

// retire empties shards that others have replaced, and unlocks them. Who waits
// for a lock of theirs goes to the others.
func (s *shards[K, V]) retire() {
	for i := range s.of {
		old := &s.of[i]
		old.moved = true
		old.order, old.dues = nil, nil
		old.next.Store(Never)
	}
	s.unlock()
}

// take returns what was removed, for who has the lock and tells of it.
func (s *shard[K, V]) take() []Removal[K, V] {
	removed := s.removed
	if removed != nil {
		s.removed = nil
	}
	return removed
}

// appendNodes appends those of s, in the order in which they would be evicted.
// It reports false if others have taken the place of s.
func (s *shard[K, V]) appendNodes(nodes []*node[K, V]) ([]*node[K, V], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return nodes, false
	}
	for n := range s.order.all() {
		nodes = append(nodes, n)
	}
	return nodes, true
}

// insert adds n, which is new, for e. There is room for it.
func (c *Cache[K, V]) insert(s *shard[K, V], n *node[K, V], e Entry[V]) {
	n.value.Store(e.Value)
	n.deadline.Store(e.Deadline)
	s.order.insert(n)
	c.schedule(s, n, e.Deadline)
	s.len++
	s.tables.insert(n, s.len)
}

// drop removes n, which makes room for another.
func (c *Cache[K, V]) drop(s *shard[K, V], n *node[K, V], cause Cause) {
	if size := c.size(n.key, n.value.Load()); size > 0 {
		c.bytes.Add(-size)
		s.bytes.Add(-size)
	}
	c.unlink(s, n, cause)
	c.entries.Add(-1)
}

// unlink removes n. What room it has taken is up to the caller.
func (c *Cache[K, V]) unlink(s *shard[K, V], n *node[K, V], cause Cause) {
	s.len--
	s.tables.remove(n, s.len)
	s.order.remove(n)
	c.schedule(s, n, Never)
	n.deadline.Store(gone)
	c.note(s, n.key, n.value.Load(), cause)
}

// schedule gives n a deadline in the heap of its shard.
func (c *Cache[K, V]) schedule(s *shard[K, V], n *node[K, V], deadline int64) {
	if deadline == Never && n.due == notDue {
		return
	}
	s.dues.set(n, deadline)
	if first := s.dues.first(); first != s.next.Load() {
		s.next.Store(first)
		c.alarm.set(first)
	}
}

// note takes note of a value that has left the shard.
func (c *Cache[K, V]) note(s *shard[K, V], key K, value *V, cause Cause) {
	c.countWrite(s, int(cause))
	if c.options.Hooks == nil {
		return
	}
	if hooks := c.options.Hooks(cause); hooks != nil {
		s.removed = append(s.removed, Removal[K, V]{key, value, cause, hooks})
	}
}

// size is 0 where bytes are not limited.
func (c *Cache[K, V]) size(key K, value *V) int64 {
	if c.maxBytes.Load() == 0 {
		return 0
	}
	return c.options.Size(key, value)
}
