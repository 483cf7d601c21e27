package cache

import "sync/atomic"

// A node is an entry in the table. Readers look at it without a lock: what they
// read never changes, or is atomic. The rest belongs to the lock of its shard.
//
// It takes 64 bytes for keys that are strings. There are millions of them.
type node[K comparable, V any] struct {
	key      K
	value    atomic.Pointer[V]
	deadline atomic.Int64 // as Cache.Now counts, or Never
	hash     uint32

	// uses is how often the entry was read, as far as the order wants to know;
	// the order resets it as it likes. Random keeps the node's index in it.
	uses atomic.Uint32

	prev, next *node[K, V] // of the order
	due        int32       // index in shard.dues, or notDue
	segment    uint8       // of TinyLFU
}

const notDue = -1

func newNode[K comparable, V any](key K, hash uint32) *node[K, V] {
	return &node[K, V]{key: key, hash: hash, due: notDue}
}

// maxUses is as far as readers count.
const maxUses = 15

// use counts a read. Two at the same time may count as one. Past maxUses it
// writes nothing, so that what everybody reads stays in every processor's
// cache.
func (n *node[K, V]) use() {
	if u := n.uses.Load(); u < maxUses {
		n.uses.Store(u + 1)
	}
}
