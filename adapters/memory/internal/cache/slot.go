package cache

// A Slot is the place of a key, locked: what is seen and done in it is one
// atomic step. Other keys may share the lock, so that nothing that takes time,
// or uses the Cache, may happen before Unlock.
type Slot[K comparable, V any] struct {
	c    *Cache[K, V]
	s    *shard[K, V]
	n    *node[K, V] // nil if there is no entry
	key  K
	hash uint64

	spare *node[K, V] // to be inserted; nil if it is still to be made
}

// Lock locks the slot of key.
func (c *Cache[K, V]) Lock(key K) Slot[K, V] {
	hash := c.hash(key)
	s := c.lock(hash)
	return Slot[K, V]{c: c, s: s, n: s.tables.find(uint32(hash), key), key: key, hash: hash}
}

// LockToPut is Lock for who is going to Put. It makes the node of a new key
// before it waits for the lock, so that others wait for that no longer.
func (c *Cache[K, V]) LockToPut(key K) Slot[K, V] {
	hash := c.hash(key)
	var spare *node[K, V]
	if c.shards.Load().shard(hash).tables.find(uint32(hash), key) == nil {
		spare = newNode[K, V](key, uint32(hash))
	}
	s := c.lock(hash)
	return Slot[K, V]{c: c, s: s, n: s.tables.find(uint32(hash), key), key: key, hash: hash, spare: spare}
}

// Unlock ends the use of the Slot. It returns what has left the Cache by it, in
// its order, for the caller to tell.
func (l *Slot[K, V]) Unlock() []Removal[K, V] {
	removed := l.s.take()
	l.s.mu.Unlock()
	return removed
}

// Entry is what is there, whether it has expired or not.
func (l *Slot[K, V]) Entry() (Entry[V], bool) {
	if l.n == nil {
		return Entry[V]{}, false
	}
	return Entry[V]{l.n.value.Load(), l.n.deadline.Load()}, true
}

// Put makes e the entry, as a write for the policy, and evicts others if that
// takes more room than there is. The size of e by itself is within the limit.
// Cause is what becomes of the value that is there: Replaced or, if the caller
// has seen that it has expired, Expired. A value is not replaced by itself.
//
// Put seldom reports false: only others have what could be evicted, and they
// are busy. The entry is then as it was. The caller unlocks, calls EvictOther,
// which waits for them, and begins again.
func (l *Slot[K, V]) Put(e Entry[V], cause Cause) bool {
	c, s := l.c, l.s
	size := c.size(l.key, e.Value)
	if l.n == nil {
		if !c.makeRoom(s, 1, size) {
			return false
		}
		if l.spare == nil {
			l.spare = newNode[K, V](l.key, uint32(l.hash))
		}
		c.insert(s, l.spare, e)
		l.n, l.spare = l.spare, nil
		if size > 0 {
			s.bytes.Add(size)
		}
		c.countWrite(s, sets)
		return true
	}
	old := l.n.value.Load()
	if !l.write(size - c.size(l.key, old)) {
		return false
	}
	l.set(e)
	if old != e.Value || cause == Expired {
		c.countWrite(s, sets)
		c.note(s, l.key, old, cause)
	}
	return true
}

// write tells the policy of a write that needs more bytes, or less. They do not
// come at the price of the entry itself, whatever the policy thinks of it.
func (l *Slot[K, V]) write(more int64) bool {
	c, s, n := l.c, l.s, l.n
	if more <= 0 {
		s.order.write(n)
		if more < 0 {
			c.bytes.Add(more)
			s.bytes.Add(more)
		}
		return true
	}
	ok := c.sparing(s, n, func() bool { return c.makeRoom(s, 0, more) })
	if ok {
		s.bytes.Add(more)
	}
	return ok
}

// Renew gives the entry that is there another deadline. For the policy that is
// nothing.
func (l *Slot[K, V]) Renew(deadline int64) {
	l.set(Entry[V]{l.n.value.Load(), deadline})
}

// set changes the node so that readers, who take no lock, see both or neither.
func (l *Slot[K, V]) set(e Entry[V]) {
	n := l.n
	if n.deadline.Load() != e.Deadline {
		n.deadline.Store(changing)
	}
	n.value.Store(e.Value)
	n.deadline.Store(e.Deadline)
	l.c.schedule(l.s, n, e.Deadline)
}

// Remove removes the entry, if there is one.
func (l *Slot[K, V]) Remove(cause Cause) {
	if l.n != nil {
		l.c.drop(l.s, l.n, cause)
		l.n = nil
	}
}
