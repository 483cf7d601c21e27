package cache

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// An lfu is the order of LFU. Its victim is the first node with the fewest uses,
// in the order of writing. To find it, it keeps of each node a lower bound of
// its uses, and raises that only when it looks for a victim: a read is no more
// than a count.
//
// The bounds never rise from an older node to a newer one. So the nodes are in
// lists by bound, each in the order of writing, and all nodes of a list are
// older than those of the next. Only the last list, which has the lowest bound,
// is searched: its first node is the victim if its uses are equal to the bound.
// If they are more, the node goes to the end of the list before, with a bound
// that is raised, at least by one. So many reads came before, and every
// operation takes constant time in the long run.
type lfu[K comparable, V any] struct {
	levels []*level[K, V] // by falling bounds; those behind top are for reuse
	top    int            // index of the last in use, or -1
}

type level[K comparable, V any] struct {
	*ring[K, V]
	bound uint32 // no node in the list has fewer uses
}

func newLFU[K comparable, V any]() order[K, V] { return &lfu[K, V]{top: -1} }

func (o *lfu[K, V]) insert(n *node[K, V]) {
	n.uses.Store(0)
	if o.top < 0 || o.levels[o.top].bound > 0 {
		o.push(0)
	}
	o.levels[o.top].pushBack(n)
}

func (o *lfu[K, V]) write(n *node[K, V]) {
	n.unlink()
	o.insert(n)
}

func (o *lfu[K, V]) remove(n *node[K, V]) { n.unlink() }
func (o *lfu[K, V]) reads() readMode      { return ordered }

func (o *lfu[K, V]) read(n *node[K, V]) {
	if n.uses.Load() < math.MaxUint32 {
		n.uses.Add(1)
	}
}

func (o *lfu[K, V]) victim() *node[K, V] {
	for ; o.top >= 0; o.top-- {
		last := o.levels[o.top]
		for !last.empty() {
			n := last.root.next
			if n.uses.Load() == last.bound {
				return n
			}
			o.raise(n)
			last = o.levels[o.top]
		}
	}
	return nil
}

// raise moves n, the first of the last list, to the end of the one before.
func (o *lfu[K, V]) raise(n *node[K, V]) {
	uses := n.uses.Load()
	if o.top == 0 || uses < o.levels[o.top-1].bound {
		o.push(uses)
		o.levels[o.top], o.levels[o.top-1] = o.levels[o.top-1], o.levels[o.top]
	}
	n.unlink()
	o.levels[o.top-1].pushBack(n)
}

// push makes an empty last list.
func (o *lfu[K, V]) push(bound uint32) {
	o.top++
	if o.top == len(o.levels) {
		o.levels = append(o.levels, &level[K, V]{ring: newRing[K, V]()})
	}
	o.levels[o.top].bound = bound
}

func (o *lfu[K, V]) all() iter.Seq[*node[K, V]] {
	type counted struct {
		*node[K, V]
		uses uint32
	}
	var nodes []counted
	for _, l := range o.levels[:o.top+1] {
		for n := l.root.next; n != &l.root; n = n.next {
			nodes = append(nodes, counted{n, n.uses.Load()})
		}
	}
	slices.SortStableFunc(nodes, func(a, b counted) int { return cmp.Compare(a.uses, b.uses) })
	return func(yield func(*node[K, V]) bool) {
		for _, n := range nodes {
			if !yield(n.node) {
				return
			}
		}
	}
}
