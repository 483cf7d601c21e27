package cache

import "sync/atomic"

// makeRoom reserves room for more entries and bytes in the limits of the Cache,
// and evicts until there is: what has expired, then what s would miss least. If
// that is not enough it goes on with the shard that holds the most bytes, as the
// others of s are not to pay alone for a large entry, and with any if s has
// nothing left. s is locked. It reports false if it would have to wait for
// another lock.
func (c *Cache[K, V]) makeRoom(s *shard[K, V], entries, bytes int64) bool {
	for victims := 0; !c.reserve(entries, bytes); victims++ {
		if c.evictExpired(s) {
			continue
		}
		if victims > 0 && bytes > 0 && c.evictIn(c.fullest(), s) {
			continue
		}
		n := s.order.victim()
		switch {
		case n == nil && !c.evictElsewhere(s):
			return false
		case n != nil && entries == 1 && c.maxBytes.Load() == 0:
			c.unlink(s, n, Capacity) // and its room is taken
			return true
		case n != nil:
			c.drop(s, n, Capacity)
		}
	}
	return true
}

// reserve takes room if there is enough.
func (c *Cache[K, V]) reserve(entries, bytes int64) bool {
	if !take(&c.entries, entries, &c.maxEntries) {
		return false
	}
	if bytes > 0 && !take(&c.bytes, bytes, &c.maxBytes) {
		c.entries.Add(-entries)
		return false
	}
	return true
}

func take(used *atomic.Int64, n int64, limit *atomic.Int64) bool {
	for {
		u := used.Load()
		if u > limit.Load()-n {
			return false
		}
		if used.CompareAndSwap(u, u+n) {
			return true
		}
	}
}

// evict removes the next victim of s, which is locked, or something that has
// expired anywhere. It reports false if s has nothing.
func (c *Cache[K, V]) evict(s *shard[K, V]) bool {
	if c.evictExpired(s) {
		return true
	}
	n := s.order.victim()
	if n == nil {
		return false
	}
	c.drop(s, n, Capacity)
	return true
}

// evictExpired removes something that has expired, be it in s, which is locked,
// or in another shard.
func (c *Cache[K, V]) evictExpired(s *shard[K, V]) bool {
	soonest := c.alarm.soonest.Load()
	if soonest == Never {
		return false
	}
	now := c.Now()
	if soonest > now {
		return false
	}
	if c.dropExpired(s, now, 1) > 0 {
		return true
	}
	all := c.shards.Load().of
	for i := range all {
		other := &all[i]
		if other == s || other.next.Load() > now || !other.mu.TryLock() {
			continue
		}
		n := c.dropExpired(other, now, 1)
		s.removed = append(s.removed, other.take()...)
		other.mu.Unlock()
		if n > 0 {
			return true
		}
	}
	c.findSoonest()
	return false
}

// fullest is the shard that holds the most bytes.
func (c *Cache[K, V]) fullest() *shard[K, V] {
	all := c.shards.Load().of
	most := &all[0]
	for i := range all {
		if all[i].bytes.Load() > most.bytes.Load() {
			most = &all[i]
		}
	}
	return most
}

// evictElsewhere evicts from a shard that is not s, which is locked and has
// nothing, and that nobody has locked.
func (c *Cache[K, V]) evictElsewhere(s *shard[K, V]) bool {
	all := c.shards.Load().of
	for i := range all {
		if c.evictIn(&all[i], s) {
			return true
		}
	}
	return false
}

// evictIn evicts from a shard that is not s, which is locked. It reports false if
// that is s, has nothing, or is locked.
func (c *Cache[K, V]) evictIn(other, s *shard[K, V]) bool {
	if other == s || !other.mu.TryLock() {
		return false
	}
	defer other.mu.Unlock()
	n := other.order.victim()
	if n == nil {
		return false
	}
	c.drop(other, n, Capacity)
	s.removed = append(s.removed, other.take()...)
	return true
}

// Pop removes the next victim and returns it.
func (c *Cache[K, V]) Pop() (key K, e Entry[V], ok bool) {
	c.Expire() // a few under a lock
	removed := c.eachShard(func(s *shard[K, V]) bool {
		for c.evictExpired(s) {
		}
		n := s.order.victim()
		if n == nil {
			return true
		}
		key, e, ok = n.key, Entry[V]{n.value.Load(), n.deadline.Load()}, true
		c.drop(s, n, Popped)
		return false
	})
	c.tell(removed)
	return key, e, ok
}

// Evict evicts n entries as if room was needed for that many, and returns how
// many there were to evict.
func (c *Cache[K, V]) Evict(n int) (evicted int) {
	var removed []Removal[K, V]
	for evicted < n {
		before := evicted
		removed = append(removed, c.eachShard(func(s *shard[K, V]) bool {
			if evicted < n && c.evict(s) {
				evicted++
			}
			return evicted < n
		})...)
		if evicted == before {
			break
		}
	}
	c.tell(removed)
	return evicted
}

// EvictOther evicts an entry that is not that of key. It waits for those who
// are busy with others.
func (c *Cache[K, V]) EvictOther(key K) {
	hash := uint32(c.hash(key))
	c.tell(c.eachShard(func(s *shard[K, V]) bool {
		evicted := false
		if n := s.tables.find(hash, key); n != nil {
			evicted = c.sparing(s, n, func() bool { return c.evict(s) })
		} else {
			evicted = c.evict(s)
		}
		return !evicted
	}))
}

// sparing lets f evict anything in s but n, and reports what f does. If f fails n
// has been used no more often than before.
func (c *Cache[K, V]) sparing(s *shard[K, V], n *node[K, V], f func() bool) bool {
	uses := n.uses.Load()
	s.order.remove(n)
	c.schedule(s, n, Never)
	ok := f()
	s.order.insert(n)
	if !ok { // only TinyLFU has other shards
		n.uses.Store(uses)
	}
	c.schedule(s, n, n.deadline.Load())
	return ok
}

// eachShard calls f with each shard, locked, until it returns false, and begins
// with another one each time, so that all shards give alike. It returns what f
// has removed.
func (c *Cache[K, V]) eachShard(f func(*shard[K, V]) bool) (removed []Removal[K, V]) {
	all, first := c.shards.Load(), c.turn.Add(1)
	for i := range all.of {
		s := c.lock((first + uint64(i)) << 32)
		goOn := f(s)
		removed = append(removed, s.take()...)
		s.mu.Unlock()
		if !goOn {
			return removed
		}
	}
	if c.shards.Load() != all { // and others have the entries
		removed = append(removed, c.eachShard(f)...)
	}
	return removed
}
