package cache

import "slices"

// Clear removes all entries that are there when it begins, a few under a lock
// before others get it. It asks for no key, and so removes those as well that
// are not equal to themselves.
func (c *Cache[K, V]) Clear() { c.tell(c.clearAll()) }

func (c *Cache[K, V]) clearAll() (removed []Removal[K, V]) {
	all := c.shards.Load().of
	for i := range all {
		some, current := c.clear(&all[i])
		removed = append(removed, some...)
		if !current {
			return append(removed, c.clearAll()...) // others have the entries that are left
		}
	}
	return removed
}

// clear empties one shard. It reports false if others have taken its place.
func (c *Cache[K, V]) clear(s *shard[K, V]) (removed []Removal[K, V], current bool) {
	nodes, current := s.appendNodes(nil)
	for some := range slices.Chunk(nodes, atOnce) {
		of, still := c.clearNodes(s, some)
		removed = append(removed, of...)
		if !still {
			return removed, false
		}
	}
	return removed, current
}

func (c *Cache[K, V]) clearNodes(s *shard[K, V], nodes []*node[K, V]) (removed []Removal[K, V], current bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return nil, false
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
	return s.take(), true
}
