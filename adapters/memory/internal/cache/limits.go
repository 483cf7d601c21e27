package cache

import "slices"

// Reconfigure sets other limits, and another policy, at once and before any
// other call. Entries stay, in the order that the old policy gave them, but for
// those that there is no room for.
//
// Where Bytes were not limited before, Options.Size is called for all entries
// under all locks. So is apply, if it is not nil, for what has to change together
// with the limits. It returns what there was no room for, and what had expired.
func (c *Cache[K, V]) Reconfigure(l Limits, apply func()) (removed []Removal[K, V]) {
	_, removed = c.expire()
	all := c.lockAll()
	if apply != nil {
		apply()
	}
	sized := c.maxBytes.Load() > 0
	c.maxEntries.Store(l.Entries)
	c.maxBytes.Store(l.Bytes)
	if (l.Bytes > 0) != sized {
		c.bytes.Store(all.count(c))
	}
	removed = append(removed, all.shrink(c)...)
	if l.Policy == all.policy && shardCount(l) == len(all.of) {
		all.unlock()
		return removed
	}
	c.shards.Store(all.copied(c, l))
	all.retire()
	c.findSoonest()
	return removed
}

// Limits are the present ones.
func (c *Cache[K, V]) Limits() Limits {
	all := c.lockAll()
	defer all.unlock()
	return Limits{Entries: c.maxEntries.Load(), Bytes: c.maxBytes.Load(), Policy: all.policy}
}

// count counts the bytes that there are, in all and of each shard. All shards are
// locked, here and below.
func (s *shards[K, V]) count(c *Cache[K, V]) (all int64) {
	for i := range s.of {
		var bytes int64
		for n := range s.of[i].order.all() {
			bytes += c.size(n.key, n.value.Load())
		}
		s.of[i].bytes.Store(bytes)
		all += bytes
	}
	return all
}

// shrink evicts until the limits hold, from one shard after another.
func (s *shards[K, V]) shrink(c *Cache[K, V]) (removed []Removal[K, V]) {
	for i := 0; !c.within(); i++ {
		one := &s.of[i%len(s.of)]
		if n := one.order.victim(); n != nil {
			c.drop(one, n, Capacity)
			removed = append(removed, one.take()...)
		}
	}
	return removed
}

func (c *Cache[K, V]) within() bool {
	limit := c.maxBytes.Load()
	return c.entries.Load() <= c.maxEntries.Load() && (limit == 0 || c.bytes.Load() <= limit)
}

// copied is shards for other limits that have copies of all entries: those who
// read the old ones meanwhile still count uses in the old nodes.
func (s *shards[K, V]) copied(c *Cache[K, V], l Limits) *shards[K, V] {
	to := newShards[K, V](l)
	for i := range s.of {
		to.of[i%len(to.of)].counts.add(&s.of[i].counts)
		nodes := slices.Collect(s.of[i].order.all())
		if s.policy == MRU || s.policy == LIFO {
			slices.Reverse(nodes) // what comes last is to be the newest
		}
		for _, n := range nodes {
			hash := c.hash(n.key)
			c.insert(to.shard(hash), newNode[K, V](n.key, uint32(hash)), Entry[V]{n.value.Load(), n.deadline.Load()})
		}
	}
	to.count(c)
	return to
}
