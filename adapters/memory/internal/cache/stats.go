package cache

import (
	"sync/atomic"
	"unsafe"
)

// Stats is what a Cache has done, and what it holds, at one moment.
type Stats struct {
	Hits, Misses uint64         // as Hit and Miss were called
	Sets         uint64         // values put
	Removed      [causes]uint64 // values that have left, by Cause
	Entries      int
	Bytes        int64
}

// writeCounts are counted under the lock of a shard: values that have left by
// their Cause, which begins at 1, and those that were put.
type writeCounts [causes]uint64

const sets = 0

func (w *writeCounts) add(other *writeCounts) {
	for i := range w {
		w[i] += other[i]
	}
}

func (c *Cache[K, V]) countWrite(s *shard[K, V], what int) {
	if !c.paused.Load() {
		s.counts[what]++
	}
}

// readCounts are counted in stripes, so that goroutines that run at the same
// time mostly write to cache lines of their own.
type readCounts [32]struct {
	hits, misses atomic.Uint64
	_            [112]byte // two cache lines in all, as processors fetch pairs
}

// stripe is that of the goroutine, which is known by the place of its stack.
func stripe() uint64 {
	var here byte
	return uint64(uintptr(unsafe.Pointer(&here))) >> 11 * 0x9e3779b97f4a7c15 >> 59
}

// Hit counts a read that found something.
func (c *Cache[K, V]) Hit() {
	if !c.paused.Load() {
		c.reads[stripe()].hits.Add(1)
	}
}

// Miss counts a read that did not.
func (c *Cache[K, V]) Miss() {
	if !c.paused.Load() {
		c.reads[stripe()].misses.Add(1)
	}
}

// Stats looks at all shards at the same moment: every value that was put is
// either there or among the removed, but for what happened while counting was
// paused or before it was reset. Entries that have expired are removed first.
func (c *Cache[K, V]) Stats() (stats Stats) {
	c.Expire()
	all := c.lockAll()
	defer all.unlock()
	var sum writeCounts
	for i := range all.of {
		sum.add(&all.of[i].counts)
	}
	stats.Sets, sum[sets] = sum[sets], 0
	stats.Removed = sum
	stats.Entries, stats.Bytes = int(c.entries.Load()), c.bytes.Load()
	for i := range c.reads {
		stats.Hits += c.reads[i].hits.Load()
		stats.Misses += c.reads[i].misses.Load()
	}
	return stats
}

// ResetStats sets all counts to 0.
func (c *Cache[K, V]) ResetStats() {
	all := c.lockAll()
	defer all.unlock()
	for i := range all.of {
		all.of[i].counts = writeCounts{}
	}
	for i := range c.reads {
		c.reads[i].hits.Store(0)
		c.reads[i].misses.Store(0)
	}
}

// PauseStats stops counting, or begins again.
func (c *Cache[K, V]) PauseStats(pause bool) { c.paused.Store(pause) }

// StatsPaused is whether counting is paused.
func (c *Cache[K, V]) StatsPaused() bool { return c.paused.Load() }
