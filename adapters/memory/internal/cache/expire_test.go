package cache

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type testCache = Cache[string, string]

func newCache(l Limits) *testCache {
	if l.Entries == 0 {
		l.Entries = 1 << 40
	}
	return New(Options[string, string]{Limits: l, Size: func(_ string, v *string) int64 { return int64(len(*v)) }})
}

func put(c *testCache, key, value string, ttl time.Duration) {
	e := Entry[string]{&value, Never}
	if ttl > 0 {
		e.Deadline = c.After(ttl)
	}
	for {
		slot := c.Lock(key)
		done := slot.Put(e, Replaced)
		slot.Unlock()
		if done {
			return
		}
		c.EvictOther(key)
	}
}

func remove(c *testCache, key string) {
	slot := c.Lock(key)
	defer slot.Unlock()
	slot.Remove(Deleted)
}

// held is what the Cache keeps, expired or not.
func held(c *testCache) (entries, deadlines int) {
	all := c.lockAll()
	defer all.unlock()
	for i := range all.of {
		for j := range all.of[i].tables {
			entries += all.of[i].tables[j].Load().count()
		}
		deadlines += len(all.of[i].dues)
	}
	return entries, deadlines
}

func TestExpiredMemoryIsFreedUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(Limits{})
		const n = 1000
		ttl := func(i int) time.Duration { return time.Duration(i+1) * 7 * time.Millisecond }
		for _, i := range rand.Perm(n) {
			put(c, strconv.Itoa(i), "v", ttl(i))
		}
		put(c, "stays", "v", 0)
		for start, gone := time.Now(), 0; gone < n; gone++ {
			time.Sleep(time.Until(start.Add(ttl(gone) + sweepEvery)))
			synctest.Wait()
			if entries, deadlines := held(c); entries > n-gone || deadlines > n-gone-1 {
				t.Fatalf("0.1s after %d of %d have expired there are %d entries and %d deadlines", gone+1, n, entries-1, deadlines)
			}
		}
		if _, ok := c.Get("stays"); !ok {
			t.Error("an entry without a deadline is gone")
		}
	})
}

func countSweeps(c *testCache) *atomic.Int64 {
	var n atomic.Int64
	sweep := c.alarm.sweep
	c.alarm.sweep = func() { n.Add(1); sweep() }
	return &n
}

// The timer must not fire for ever once nothing is left to expire, nor more
// than ten times a second.
func TestSweepsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(Limits{})
		sweeps := countSweeps(c)
		put(c, "forever", "v", 0)
		if c.alarm.timer != nil {
			t.Error("there is a timer for an entry that does not expire")
		}
		for i := range 1000 {
			put(c, strconv.Itoa(i), "v", time.Duration(i+1)*time.Millisecond)
		}
		time.Sleep(time.Hour)
		if n := sweeps.Load(); n > 11 {
			t.Errorf("%d sweeps for entries that expire within a second, want 11 at most", n)
		}
		put(c, "late", "v", time.Hour)
		time.Sleep(time.Hour + sweepEvery)
		synctest.Wait()
		if entries, deadlines := held(c); entries != 1 || deadlines != 0 {
			t.Errorf("after a pause the timer did not come back: %d entries and %d deadlines", entries, deadlines)
		}
	})
}

// A deadline that is put off, or whose entry goes, must not stop the timer for
// those that are left.
func TestTimerGoesOnAfterTheFirstDeadlineIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(Limits{})
		put(c, "first", "v", time.Second)
		put(c, "second", "v", time.Minute)
		remove(c, "first")
		time.Sleep(time.Minute + sweepEvery)
		synctest.Wait()
		if entries, _ := held(c); entries != 0 {
			t.Errorf("%d entries after their deadlines", entries)
		}
	})
}

// A deadline is forgotten with its entry, or rewriting one key would pile them
// up.
func TestOneDeadlineForAnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(Limits{Entries: 50})
		for i := range 10_000 {
			key := strconv.Itoa(rand.IntN(100))
			switch i % 4 {
			case 0, 1, 2:
				put(c, key, "v", time.Duration(rand.Int64N(2)*rand.Int64N(int64(time.Minute))))
			default:
				remove(c, key)
			}
			time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
		}
		synctest.Wait()
		expiring := 0
		for n := range c.shards.Load().of[0].order.all() {
			if n.due == notDue {
				continue
			}
			expiring++
			if due := c.shards.Load().of[0].dues[n.due]; due.node != n || due.at != n.deadline.Load() {
				t.Fatalf("the deadline of %q is not kept as it should be", n.key)
			}
		}
		if _, deadlines := held(c); expiring == 0 || deadlines != expiring {
			t.Errorf("%d deadlines for %d entries that expire", deadlines, expiring)
		}
	})
}

func TestCloseStopsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(Limits{})
		sweeps := countSweeps(c)
		put(c, "k", "v", time.Second)
		c.Close()
		time.Sleep(time.Hour)
		if n := sweeps.Load(); n != 0 {
			t.Errorf("%d sweeps after Close", n)
		}
	})
}

// Expire asks the shards: the alarm may not know of a deadline yet, while
// another goroutine looks for the first one.
func TestExpireAsksTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(Limits{})
		defer c.Close()
		put(c, "k", "v", time.Millisecond)
		c.alarm.soonest.Store(Never)
		time.Sleep(time.Millisecond)
		if n := c.Len(); n != 0 {
			t.Errorf("Len is %d, and what there is has expired", n)
		}
	})
}
