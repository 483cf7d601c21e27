package cache

import (
	"math/bits"
	"sync/atomic"
)

// Tables find nodes by their keys. They are changed under the lock of their
// shard, while any number of goroutines search them without one.
//
// A search that began before a change may miss it; it then overlaps with the
// change, and either answer is right. No node ever moves to another place of
// the same table, so that no search misses one that was there all the time.
//
// A table grows in one step, which takes time in proportion to it. So that it is
// short, the entries of a Cache are spread over many.
type tables[K comparable, V any] []atomic.Pointer[table[K, V]]

const allTables = 64 // of a Cache, at least

func newTables[K comparable, V any](n int) tables[K, V] {
	t := make(tables[K, V], n)
	for i := range t {
		t[i].Store(newTable[K, V](0))
	}
	return t
}

// of chooses by bits that find a bucket only in tables of millions.
func (t tables[K, V]) of(hash uint32) *atomic.Pointer[table[K, V]] {
	return &t[hash>>19&uint32(len(t)-1)]
}

func (t tables[K, V]) find(hash uint32, key K) *node[K, V] {
	return t.of(hash).Load().find(hash, key)
}

// insert adds n, whose key is not there, as one of count.
func (t tables[K, V]) insert(n *node[K, V], count int) { t.fitted(n.hash, count).insert(n) }

// remove takes out n, which is there, and leaves count.
func (t tables[K, V]) remove(n *node[K, V], count int) { t.fitted(n.hash, count).remove(n) }

// fitted is the table of a hash after it has got the size for its share of count.
func (t tables[K, V]) fitted(hash uint32, count int) *table[K, V] {
	at := t.of(hash)
	one := at.Load()
	if share := (count + len(t) - 1) / len(t); !one.fits(share) {
		one = one.resized(share)
		at.Store(one)
	}
	return one
}

// A table does not know how many nodes it has: a count would be in the cache line
// that every reader loads.
type table[K comparable, V any] struct {
	buckets []bucket[K, V] // as many as a power of two
}

// A bucket is 64 bytes, which is a cache line.
type bucket[K comparable, V any] struct {
	tags  atomic.Uint64 // byte i tells most other hashes from that of nodes[i]; 0 is no node
	nodes [bucketNodes]atomic.Pointer[node[K, V]]
	next  atomic.Pointer[bucket[K, V]] // for what has no room here
}

const (
	bucketNodes = 6
	fullBucket  = 5 // nodes for each bucket, on average, before the table grows
	everyByte   = 0x0101_0101_0101_0101
)

func newTable[K comparable, V any](nodes int) *table[K, V] {
	n := 1
	for n*fullBucket < nodes {
		n *= 2
	}
	return &table[K, V]{buckets: make([]bucket[K, V], n)}
}

func (t *table[K, V]) bucket(hash uint32) *bucket[K, V] {
	return &t.buckets[hash&uint32(len(t.buckets)-1)]
}

// zeroBytes has the high bit of each byte of x that is 0, and perhaps of some
// above one that are not.
func zeroBytes(x uint64) uint64 { return (x - everyByte) &^ x & (0x80 * everyByte) }

// tagOf takes the bits that choose the bucket last.
func tagOf(hash uint32) uint64 { return uint64(hash>>25) | 0x80 }

func (t *table[K, V]) find(hash uint32, key K) *node[K, V] {
	tag := tagOf(hash) * everyByte
	for b := t.bucket(hash); b != nil; b = b.next.Load() {
		for same := zeroBytes(b.tags.Load() ^ tag); same != 0; same &= same - 1 {
			n := b.nodes[bits.TrailingZeros64(same)/8].Load()
			if n != nil && n.hash == hash && n.key == key {
				return n
			}
		}
	}
	return nil
}

// insert adds n, whose key the table does not have.
func (t *table[K, V]) insert(n *node[K, V]) {
	for b := t.bucket(n.hash); ; b = b.next.Load() {
		tags := b.tags.Load()
		if i := bits.TrailingZeros64(zeroBytes(tags)) / 8; i < bucketNodes {
			b.nodes[i].Store(n) // before the tag, which leads to it
			b.tags.Store(tags | tagOf(n.hash)<<(8*i))
			return
		}
		if b.next.Load() == nil {
			b.next.Store(new(bucket[K, V]))
		}
	}
}

// remove takes out n, which the table has.
func (t *table[K, V]) remove(n *node[K, V]) {
	tag := tagOf(n.hash) * everyByte
	for b := t.bucket(n.hash); ; b = b.next.Load() {
		tags := b.tags.Load()
		for same := zeroBytes(tags ^ tag); same != 0; same &= same - 1 {
			if i := bits.TrailingZeros64(same) / 8; b.nodes[i].Load() == n {
				b.tags.Store(tags &^ (0xff << (8 * i)))
				b.nodes[i].Store(nil)
				return
			}
		}
	}
}

// fits is whether n nodes are neither too many nor far too few for the table.
func (t *table[K, V]) fits(n int) bool {
	return n <= fullBucket*len(t.buckets) && (8*n >= fullBucket*len(t.buckets) || len(t.buckets) <= minBuckets)
}

const minBuckets = 8

// resized is a table for n nodes, with those of t in it.
func (t *table[K, V]) resized(n int) *table[K, V] {
	to := newTable[K, V](n)
	for i := range t.buckets {
		for b := &t.buckets[i]; b != nil; b = b.next.Load() {
			for j := range b.nodes {
				if n := b.nodes[j].Load(); n != nil {
					to.insert(n)
				}
			}
		}
	}
	return to
}
