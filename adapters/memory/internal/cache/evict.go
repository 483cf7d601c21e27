package cache

import "sync/atomic"

// makeRoom reserves room for more entries and bytes in the limits of the Cache,
// and evicts until there is: what has expired, then what s would miss least,
// and what other shards have if s has nothing left. s is locked. It reports
// false if it would have to wait for another lock.
func (c *Cache[K, V]) makeRoom(s *shard[K, V], entries, bytes int64) bool {
	for !c.reserve(entries, bytes) {
		if c.evictExpired(s) {
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
func (c *Cache[K, V]) evict(s *shard[K, V], cause Cause) bool {
	if c.evictExpired(s) {
		return true
	}
	n := s.order.victim()
	if n == nil {
		return false
	}
	c.drop(s, n, cause)
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
		other.mu.Unlock()
		if n > 0 {
			return true
		}
	}
	c.findSoonest()
	return false
}

// evictElsewhere evicts from a shard that is not s, which is locked and has
// nothing, and that nobody has locked.
func (c *Cache[K, V]) evictElsewhere(s *shard[K, V]) bool {
	all := c.shards.Load().of
	for i := range all {
		other := &all[i]
		if other == s || !other.mu.TryLock() {
			continue
		}
		n := other.order.victim()
		if n != nil {
			c.drop(other, n, Capacity)
		}
		other.mu.Unlock()
		if n != nil {
			return true
		}
	}
	return false
}

// Pop removes the next victim and returns it.
func (c *Cache[K, V]) Pop() (key K, e Entry[V], ok bool) {
	c.Expire() // a few under a lock
	c.eachShard(func(s *shard[K, V]) bool {
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
	return key, e, ok
}

// Evict evicts n entries as if room was needed for that many, and returns how
// many there were to evict.
func (c *Cache[K, V]) Evict(n int) (evicted int) {
	for evicted < n {
		before := evicted
		c.eachShard(func(s *shard[K, V]) bool {
			if evicted < n && c.evict(s, Capacity) {
				evicted++
			}
			return evicted < n
		})
		if evicted == before {
			break
		}
	}
	return evicted
}

// eachShard calls f with each shard, locked, until it returns false, and begins
// with another one each time, so that all shards give alike.
func (c *Cache[K, V]) eachShard(f func(*shard[K, V]) bool) {
	all, first := c.shards.Load(), c.turn.Add(1)
	for i := range all.of {
		s := c.lock((first + uint64(i)) << 32)
		goOn := f(s)
		s.mu.Unlock()
		if !goOn {
			return
		}
	}
	if c.shards.Load() != all { // and others have the entries
		c.eachShard(f)
	}
}
