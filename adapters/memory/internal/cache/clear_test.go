package cache

import (
	"math"
	"sync"
	"testing"
)

// What was there when Clear began is gone when it returns, though all entries
// move to other shards meanwhile.
func TestClearWhileEntriesMove(t *testing.T) {
	const n = 10 * atOnce
	for range 50 {
		removed := 0
		c := New(Options[float64, int]{
			Limits:  Limits{Entries: math.MaxInt64},
			Size:    func(float64, *int) int64 { return 1 },
			Hooks:   func(Cause) any { return true },
			Removed: func(all []Removal[float64, int]) { removed += len(all) },
		})
		c.Reconfigure(Limits{Entries: math.MaxInt64, Policy: LRU}, nil)
		for i := range n {
			key := float64(i)
			if i%2 == 0 {
				key = math.NaN()
			}
			slot := c.Lock(key)
			slot.Put(Entry[int]{&i, Never}, Replaced)
			slot.Unlock()
		}
		var all sync.WaitGroup
		all.Go(c.Clear)
		all.Go(func() {
			c.Reconfigure(Limits{Entries: math.MaxInt64, Policy: FIFO}, nil)
			c.Reconfigure(Limits{Entries: math.MaxInt64, Policy: LFU}, nil)
		})
		all.Wait()
		if left := c.Len(); left != 0 || removed != n {
			t.Fatalf("%d of %d entries are left, and %d were removed", left, n, removed)
		}
	}
}
