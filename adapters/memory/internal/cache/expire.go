package cache

import (
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

const (
	// sweepEvery is the least time between two sweeps, so that many short
	// deadlines cost few of them.
	sweepEvery = 100 * time.Millisecond

	// atOnce is how many entries are removed under a lock before others get it.
	atOnce = 128
)

// An alarm is the timer that sweeps when a deadline has passed. Reads do not
// depend on it, they compare the deadline; it frees the memory.
type alarm struct {
	soonest atomic.Int64 // no deadline is earlier; there may be none as early

	mu      sync.Mutex
	start   time.Time
	sweep   func()
	timer   *time.Timer
	wake    int64 // when the timer fires; Never if it is not set
	stopped bool
}

// startAlarm lets the timer sweep c without keeping it in memory.
func (c *Cache[K, V]) startAlarm() {
	w := weak.Make(c)
	c.alarm.soonest.Store(Never)
	c.alarm.wake = Never
	c.alarm.start = c.start
	c.alarm.sweep = func() {
		if c := w.Value(); c != nil {
			c.sweep()
		}
	}
}

// set takes note of the first deadline of a shard.
func (a *alarm) set(at int64) {
	for {
		soonest := a.soonest.Load()
		if soonest <= at {
			return
		}
		if a.soonest.CompareAndSwap(soonest, at) {
			a.arm(at)
			return
		}
	}
}

// arm sets the timer for a deadline, unless it fires earlier anyway.
func (a *alarm) arm(at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := int64(time.Since(a.start))
	at = max(at, now+int64(sweepEvery))
	if at >= a.wake || a.stopped {
		return
	}
	a.wake = at
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Duration(at-now), a.sweep)
		return
	}
	a.timer.Reset(time.Duration(at - now))
}

func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// findSoonest looks for the first deadline anew, after the one that was is
// gone. soonest is never later than a deadline that was there when it began:
// who asks meanwhile must not miss what has expired. A deadline that comes
// meanwhile is set afterwards, or seen by the second look.
func (c *Cache[K, V]) findSoonest() {
	all := c.shards.Load().of
	for {
		was, first := c.alarm.soonest.Load(), int64(Never)
		for i := range all {
			first = min(first, all[i].next.Load())
		}
		if c.alarm.soonest.CompareAndSwap(was, first) {
			c.alarm.arm(first)
			break
		}
	}
	all = c.shards.Load().of // which may be others now
	for i := range all {
		c.alarm.set(all[i].next.Load())
	}
}

// sweep is what the timer does.
func (c *Cache[K, V]) sweep() {
	c.alarm.mu.Lock()
	c.alarm.wake = Never
	c.alarm.mu.Unlock()
	_, removed := c.expire()
	c.alarm.arm(c.alarm.soonest.Load())
	c.tell(removed)
}

// Expire removes all entries that have expired by now, and returns how many.
func (c *Cache[K, V]) Expire() (expired int) {
	expired, removed := c.expire()
	c.tell(removed)
	return expired
}

func (c *Cache[K, V]) expire() (expired int, removed []Removal[K, V]) {
	now := c.Now() // alarm.soonest may just be late: a shard knows its own
	all := c.shards.Load()
	for i := range all.of {
		s := &all.of[i]
		for s.next.Load() <= now {
			s.mu.Lock()
			expired += c.dropExpired(s, now, atOnce)
			removed = append(removed, s.take()...)
			s.mu.Unlock()
		}
	}
	if expired > 0 || c.alarm.soonest.Load() <= now {
		c.findSoonest()
	}
	if c.shards.Load() != all { // and others have the entries
		n, more := c.expire()
		expired, removed = expired+n, append(removed, more...)
	}
	return expired, removed
}

// dropExpired removes at most n entries of s, which is locked, that have
// expired by now.
func (c *Cache[K, V]) dropExpired(s *shard[K, V], now int64, n int) (dropped int) {
	for dropped < n && s.dues.first() <= now {
		c.drop(s, s.dues[0].node, Expired)
		dropped++
	}
	return dropped
}
