package cache

import "iter"

// A ring is a list of nodes. Its root is before the first and after the last of
// them, so that a node leaves it without knowing which one it is in.
type ring[K comparable, V any] struct {
	root node[K, V]
}

func newRing[K comparable, V any]() *ring[K, V] {
	r := &ring[K, V]{}
	r.root.prev, r.root.next = &r.root, &r.root
	return r
}

func (r *ring[K, V]) empty() bool { return r.root.next == &r.root }

func (r *ring[K, V]) pushBack(n *node[K, V]) {
	n.prev, n.next = r.root.prev, &r.root
	n.prev.next, r.root.prev = n, n
}

// unlink takes n out of the list it is in. A node that has left does not keep
// its former neighbors from being collected.
func (n *node[K, V]) unlink() {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
}

// A queue is the order of LRU, MRU, FIFO and LIFO: by last write, or by last
// use, and from the one end or from the other.
type queue[K comparable, V any] struct {
	nodes       *ring[K, V] // the newest is at the back
	mode        readMode
	newestFirst bool
}

func newQueue[K comparable, V any](p Policy) order[K, V] {
	q := &queue[K, V]{nodes: newRing[K, V](), newestFirst: p == MRU || p == LIFO}
	if p == LRU || p == MRU {
		q.mode = ordered
	}
	return q
}

func (q *queue[K, V]) insert(n *node[K, V]) { q.nodes.pushBack(n) }
func (q *queue[K, V]) remove(n *node[K, V]) { n.unlink() }
func (q *queue[K, V]) reads() readMode      { return q.mode }

func (q *queue[K, V]) write(n *node[K, V]) {
	n.unlink()
	q.nodes.pushBack(n)
}

func (q *queue[K, V]) read(n *node[K, V]) { q.write(n) }

func (q *queue[K, V]) victim() *node[K, V] {
	n := q.nodes.root.next
	if q.newestFirst {
		n = q.nodes.root.prev
	}
	if n == &q.nodes.root {
		return nil
	}
	return n
}

func (q *queue[K, V]) all() iter.Seq[*node[K, V]] {
	return func(yield func(*node[K, V]) bool) {
		root := &q.nodes.root
		if q.newestFirst {
			for n := root.prev; n != root && yield(n); n = n.prev {
			}
			return
		}
		for n := root.next; n != root && yield(n); n = n.next {
		}
	}
}
