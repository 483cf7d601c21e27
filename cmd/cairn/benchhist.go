package main

import (
	"math"
	"math/bits"
	"time"
)

// A histogram counts durations in buckets whose width grows with the duration,
// so that a quantile is at most 1 % off. Its zero value is empty. It is for one
// goroutine.
type histogram struct {
	counts []uint64 // nil if empty
	total  uint64
	max    time.Duration // exact
}

const (
	histBits    = 6  // each power of two has 64 buckets
	histLargest = 40 // durations from 2^40 ns, 18 minutes, share the last bucket
	histBuckets = (histLargest - histBits + 1) << histBits
)

// bucket is the index of the bucket that holds d. Below 128 ns each has one of
// its own.
func bucket(d time.Duration) int {
	n := uint64(max(0, min(d, 1<<histLargest-1)))
	shift := max(0, bits.Len64(n)-histBits-1)
	return shift<<histBits + int(n>>shift)
}

// middle is the duration in the middle of a bucket.
func middle(bucket int) time.Duration {
	shift := max(0, bucket>>histBits-1)
	low := uint64(bucket-shift<<histBits) << shift
	return time.Duration(low + (1<<shift-1)/2)
}

func (h *histogram) add(d time.Duration) {
	if h.counts == nil {
		h.counts = make([]uint64, histBuckets)
	}
	h.counts[bucket(d)]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	if h.counts == nil && other.counts != nil {
		h.counts = make([]uint64, histBuckets)
	}
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// reset makes h empty.
func (h *histogram) reset() {
	clear(h.counts)
	h.total, h.max = 0, 0
}

// quantile is the duration that a part q of all does not exceed; 0 if there are
// none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(1, uint64(math.Ceil(q*float64(h.total))))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(middle(i), h.max)
		}
	}
	return h.max
}

// octaves counts the durations by powers of two: the first element those below
// 1 ns, and each other one those from 2^(i-1) ns to below 2^i ns.
func (h *histogram) octaves() (counts [histLargest + 1]uint64) {
	for i, n := range h.counts {
		counts[bits.Len64(uint64(middle(i)))] += n
	}
	return counts
}
