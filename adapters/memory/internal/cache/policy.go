package cache

import (
	"iter"
	"strconv"
)

// A Policy says which entry goes when there is no room for another.
type Policy int

// The six policies beside TinyLFU keep one exact order of all entries.
const (
	TinyLFU Policy = iota // seldom used entries, whose earlier lives count too
	LRU                   // the least recently used or written
	MRU                   // the most recently used or written
	LFU                   // the least often used since it was last written, of these the one written first
	FIFO                  // the one written first
	LIFO                  // the one written last
	Random                // any one, each with the same probability
	policies
)

var policyNames = [policies]string{"TinyLFU", "LRU", "MRU", "LFU", "FIFO", "LIFO", "Random"}

// Valid is whether p is one of the constants.
func (p Policy) Valid() bool { return p >= 0 && p < policies }

// String returns the name of the constant.
func (p Policy) String() string {
	if p < 0 || p >= policies {
		return "Policy(" + strconv.Itoa(int(p)) + ")"
	}
	return policyNames[p]
}

// An order is the entries of one shard in the order in which they are to be
// evicted. Its methods are called under the shard's lock, for nodes that are in
// it, but for insert.
type order[K comparable, V any] interface {
	insert(n *node[K, V]) // n is new, and is not to be the next victim because of that, unless the order says so
	write(n *node[K, V])  // n got a new value
	read(n *node[K, V])   // n was read; called only if reads is ordered
	remove(n *node[K, V])

	// victim is the node to evict next, or nil if there is none. It may use the
	// occasion to rearrange the others, but calls without a change in between
	// return the same node.
	victim() *node[K, V]

	// all yields all nodes in the order in which they would be evicted. Nothing
	// changes meanwhile.
	all() iter.Seq[*node[K, V]]

	reads() readMode // always the same
}

// A readMode is what an order wants to know of reads.
type readMode int

const (
	ignored readMode = iota // nothing: a reader takes no lock and writes nothing
	counted                 // about how many there were: a reader takes no lock and calls node.use
	ordered                 // each one, in its turn: a reader takes the lock and calls order.read
)

// newOrder makes the empty order of a shard.
func newOrder[K comparable, V any](p Policy) order[K, V] {
	switch p {
	case LRU, MRU, FIFO, LIFO:
		return newQueue[K, V](p)
	case LFU:
		return newLFU[K, V]()
	case Random:
		return newRandom[K, V]()
	default:
		return newTinyLFU[K, V]()
	}
}
