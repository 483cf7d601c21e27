package cache

import "slices"

// Clear removes all entries that are there when it begins, a few under a lock
// before others get it. It asks for no key, and so removes those as well that
// are not equal to themselves.
func (c *Cache[K, V]) Clear() {
	all := c.shards.Load().of
	for i := range all {
		if !c.clear(&all[i]) {
			c.Clear() // others have the entries that are left
			return
		}
	}
}

// clear empties one shard. It reports false if others have taken its place.
func (c *Cache[K, V]) clear(s *shard[K, V]) bool {
	nodes, current := s.appendNodes(nil)
	for some := range slices.Chunk(nodes, atOnce) {
		if !c.clearNodes(s, some) {
			return false
		}
	}
	return current
}

func (c *Cache[K, V]) clearNodes(s *shard[K, V], nodes []*node[K, V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return false
	}
	now := c.Now()
	for _, n := range nodes {
		switch deadline := n.deadline.Load(); {
		case deadline == gone:
		case deadline <= now:
			c.drop(s, n, Expired)
		default:
			c.drop(s, n, Cleared)
		}
	}
	return true
}
