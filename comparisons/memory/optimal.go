package memory

import (
	"container/heap"
	"math"
)

// Optimal is the greatest hit ratio that a cache can have that knows the future
// (Belady's algorithm): it evicts what is wanted again last, which may also be
// the key that was just asked for.
func Optimal(t Trace, capacity int) float64 {
	const never = math.MaxInt
	next := make([]int, len(t.Requests)) // when the key of a request is wanted again
	seen := make(map[int]int)
	for i := len(t.Requests) - 1; i >= 0; i-- {
		next[i] = never
		if later, ok := seen[t.Requests[i]]; ok {
			next[i] = later
		}
		seen[t.Requests[i]] = i
	}
	var last latest                  // requests that come, of keys that are or were cached
	cached := make(map[int]struct{}) // requests that come and will be hits
	hits := 0
	for i, again := range next {
		if _, ok := cached[i]; ok {
			hits++
			delete(cached, i)
		}
		if again == never {
			continue
		}
		cached[again] = struct{}{}
		heap.Push(&last, again)
		if len(cached) > capacity {
			// What is in the past cannot be on top: the request of i comes yet.
			delete(cached, heap.Pop(&last).(int))
		}
	}
	return float64(hits) / float64(len(t.Requests))
}

// latest is a heap with the greatest number on top.
type latest []int

func (h latest) Len() int           { return len(h) }
func (h latest) Less(i, j int) bool { return h[i] > h[j] }
func (h latest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *latest) Push(x any)        { *h = append(*h, x.(int)) }
func (h *latest) Pop() any {
	old := *h
	top := old[len(old)-1]
	*h = old[:len(old)-1]
	return top
}
