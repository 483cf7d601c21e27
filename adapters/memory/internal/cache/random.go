package cache

import (
	"iter"
	"math/rand/v2"
)

// A random is the order of Random: a slice without any. A node's place in it is
// in node.uses.
type random[K comparable, V any] struct {
	nodes []*node[K, V]

	// chosen is the victim that was named last, and nil as soon as the choice
	// is no longer one among all nodes that are there.
	chosen *node[K, V]
}

func newRandom[K comparable, V any]() order[K, V] { return &random[K, V]{} }

func (r *random[K, V]) insert(n *node[K, V]) {
	n.uses.Store(uint32(len(r.nodes)))
	r.nodes = append(r.nodes, n)
	r.chosen = nil
}

func (r *random[K, V]) write(*node[K, V]) { r.chosen = nil }
func (r *random[K, V]) read(*node[K, V])  {}
func (r *random[K, V]) reads() readMode   { return ignored }

// remove puts the last node in n's place.
func (r *random[K, V]) remove(n *node[K, V]) {
	i, last := n.uses.Load(), len(r.nodes)-1
	r.nodes[i] = r.nodes[last]
	r.nodes[i].uses.Store(i)
	r.nodes[last] = nil
	r.nodes = shrunk(r.nodes[:last])
	r.chosen = nil
}

func (r *random[K, V]) victim() *node[K, V] {
	if r.chosen == nil && len(r.nodes) > 0 {
		r.chosen = r.nodes[rand.IntN(len(r.nodes))]
	}
	return r.chosen
}

func (r *random[K, V]) all() iter.Seq[*node[K, V]] {
	return func(yield func(*node[K, V]) bool) {
		if r.chosen != nil && !yield(r.chosen) {
			return
		}
		for _, n := range r.nodes {
			if n != r.chosen && !yield(n) {
				return
			}
		}
	}
}
