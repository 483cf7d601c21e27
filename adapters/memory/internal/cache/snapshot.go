package cache

import (
	"iter"
	"math"
	"slices"
)

// A Ranked is a key, and how often its entry was used, as far as the policy
// counts that.
type Ranked[K comparable] struct {
	Key  K
	Uses uint32
}

// Ranking returns the keys of all entries, be they expired or not, from the
// oldest to the newest, or from the least to the most valuable: put in this
// order into another Cache of the same policy, and Used as often, they would be
// evicted from there as from here, or nearly so with TinyLFU. It is no use of
// them.
func (c *Cache[K, V]) Ranking() []Ranked[K] {
	for {
		if ranking, ok := c.shards.Load().ranking(); ok {
			return ranking
		}
	}
}

// ranking takes a part of each shard in turn, so that what is most valuable in
// any of them comes last. It reports false if other shards have taken the place
// of these.
func (s *shards[K, V]) ranking() (all []Ranked[K], ok bool) {
	lists := make([][]Ranked[K], len(s.of))
	longest, n := 0, 0
	for i := range s.of {
		if lists[i], ok = s.of[i].ranking(); !ok {
			return nil, false
		}
		longest = max(longest, len(lists[i]))
		n += len(lists[i])
	}
	if s.policy == MRU || s.policy == LIFO {
		slices.Reverse(lists[0]) // their only shard: the newest was first
	}
	if len(lists) == 1 {
		return lists[0], true
	}
	all = make([]Ranked[K], 0, n)
	for left := longest; left > 0; left-- {
		for _, list := range lists {
			if left <= len(list) {
				all = append(all, list[len(list)-left])
			}
		}
	}
	return all, true
}

func (s *shard[K, V]) ranking() (list []Ranked[K], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return nil, false
	}
	for n, uses := range usesOf(s.order) {
		list = append(list, Ranked[K]{n.key, uses})
	}
	return list, true
}

// usesOf yields the nodes in the order in which they would be evicted, with
// their uses.
func usesOf[K comparable, V any](o order[K, V]) iter.Seq2[*node[K, V], uint32] {
	uses := func(*node[K, V]) uint32 { return 0 }
	switch o := o.(type) {
	case *lfu[K, V]:
		uses = func(n *node[K, V]) uint32 { return n.uses.Load() }
	case *tinyLFU[K, V]:
		uses = func(n *node[K, V]) uint32 { return uint32(max(o.frequency(n), 1)) - 1 } // insert counts one
	}
	return func(yield func(*node[K, V], uint32) bool) {
		for n := range o.all() {
			if !yield(n, uses(n)) {
				return
			}
		}
	}
}

// Used counts so many uses of the entry of key, if it still has that value and
// the policy counts them. They are no reads that the policy has yet to see.
func (c *Cache[K, V]) Used(key K, value *V, uses uint32) {
	slot := c.Lock(key)
	defer slot.Unlock()
	n := slot.n
	if n == nil || n.value.Load() != value {
		return
	}
	switch slot.s.order.(type) {
	case *lfu[K, V]:
		n.uses.Add(min(uses, math.MaxUint32-n.uses.Load()))
	case *tinyLFU[K, V]:
		s := standingOf(n)
		s.count += uint8(min(uses, maxCount-uint32(s.count)))
		s.keep(&n.segment)
	}
}
