package cache

import (
	"sync"
	"testing"
)

// What is not inserted is not made either.
func TestLockAllocations(t *testing.T) {
	c := newCache(Limits{})
	put(c, "old", "value", 0)
	for name, lock := range map[string]func(){
		"a key that is not there":           func() { slot := c.Lock("new"); slot.Unlock() },
		"to put a key that is there":        func() { slot := c.LockToPut("old"); slot.Unlock() },
		"to remove a key that is not there": func() { remove(c, "new") },
	} {
		if n := testing.AllocsPerRun(100, lock); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Each has made a node of its own before it got the lock, and one is inserted.
func TestLockToPutTogether(t *testing.T) {
	for range 100 {
		c := newCache(Limits{})
		var begin, end sync.WaitGroup
		begin.Add(1)
		for range 4 {
			end.Go(func() {
				begin.Wait()
				slot := c.LockToPut("key")
				defer slot.Unlock()
				value := "value"
				if !slot.Put(Entry[string]{&value, Never}, Replaced) {
					t.Error("there is no room")
				}
			})
		}
		begin.Done()
		end.Wait()
		if entries, _ := held(c); entries != 1 {
			t.Fatalf("%d entries", entries)
		}
		if stats := c.Stats(); stats.Sets != 4 || stats.Removed[Replaced] != 3 {
			t.Fatalf("stats %+v", stats)
		}
	}
}
