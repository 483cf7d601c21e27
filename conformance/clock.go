package conformance

import (
	"fmt"
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

// A moment is a reading of the clock. Where Options.Advance moves the store's
// clock it is not known whether that clock also runs by itself, so that two
// moments are apart by at least and at most so much.
type moment struct {
	wall  time.Time
	moved time.Duration // by Options.Advance
}

func (t *trial) now() moment {
	return moment{time.Now(), time.Duration(t.suite.moved.Load())}
}

// atMost is the longest time that can have passed on the store's clock.
func atMost(from, to moment) time.Duration {
	return to.wall.Sub(from.wall) + to.moved - from.moved
}

// atLeast is the shortest time that must have passed on the store's clock.
func (t *trial) atLeast(from, to moment) time.Duration {
	if t.suite.opts.Advance != nil {
		return to.moved - from.moved
	}
	return to.wall.Sub(from.wall)
}

// sleep lets the time pass on the store's clock.
func (t *trial) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	t.note("waited %v", d)
	if t.suite.opts.Advance != nil {
		t.suite.opts.Advance(d)
		t.suite.moved.Add(int64(d))
		return
	}
	if t.suite.opts.Bubble {
		time.Sleep(d)
		return
	}
	const coarse = 2 * time.Millisecond // what time.Sleep may oversleep
	end := time.Now().Add(d)
	time.Sleep(d - coarse)
	for time.Now().Before(end) {
		time.Sleep(10 * time.Microsecond)
	}
}

// sleepUntil sleeps until at least d has passed since from.
func (t *trial) sleepUntil(from moment, d time.Duration) { t.sleep(d - t.atLeast(from, t.now())) }

// sleepPast sleeps until the entry that o wrote with this ttl must be gone.
func (t *trial) sleepPast(o *outcome, ttl time.Duration) {
	t.sleepUntil(o.ended, t.suite.longest(ttl))
}

// sleepWellPast is sleepPast and a little longer, so that what the store does
// at that moment has been done.
func (t *trial) sleepWellPast(o *outcome, ttl time.Duration) {
	t.sleepPast(o, ttl)
	t.sleep(t.suite.opts.TTLStep)
}

// virtual reports whether waiting costs no time.
func (s *suite) virtual() bool { return s.opts.Bubble || s.opts.Advance != nil }

// roundUp is the ttl that a store with this step makes of ttl, never Forever.
func (s *suite) roundUp(ttl time.Duration) time.Duration {
	if ttl == store.Forever {
		return ttl
	}
	step := s.opts.TTLStep
	if over := ttl % step; over > 0 {
		if ttl > math.MaxInt64-1-(step-over) {
			return math.MaxInt64 - 1
		}
		return ttl + step - over
	}
	return ttl
}

// longest is the time after which an entry must be gone. A clock that is read
// in whole steps may be late by one of them; a virtual one is exact.
func (s *suite) longest(ttl time.Duration) time.Duration {
	rounded := s.roundUp(ttl)
	if s.virtual() || rounded > math.MaxInt64-1-s.opts.TTLStep {
		return rounded
	}
	return rounded + s.opts.TTLStep
}

// A lifetime is what is known of an entry's ttl: at least low, at most high.
type lifetime struct{ low, high time.Duration }

// life is the lifetime that a ttl given to a write should lead to.
func (s *suite) life(ttl time.Duration) lifetime {
	switch ttl {
	case store.DefaultTTL:
		return s.defaultTTL
	case store.Forever:
		return lifetime{store.Forever, store.Forever}
	}
	return lifetime{min(ttl, furthest), s.longest(ttl)}
}

// furthest is as far as a clock that counts nanoseconds from when the store was
// made, not more than an hour ago, can surely see.
const furthest = math.MaxInt64 - time.Hour

// short is a ttl that can be waited for, a whole number of steps.
func (t *trial) short() time.Duration {
	step := t.suite.opts.TTLStep
	switch {
	case t.suite.virtual():
		return t.suite.roundUp(10 * time.Minute)
	case step < 20*time.Millisecond:
		return t.suite.roundUp(60 * time.Millisecond)
	}
	return 2 * step
}

// long is a ttl that does not pass during a case unless the case waits for it.
func (t *trial) long() time.Duration { return t.suite.roundUp(6 * time.Hour) }

// lives checks that the value which the call o wrote under key, with this ttl,
// is there as long as it must be and no longer. It is judged by clocks: a read
// that may have come too late proves nothing and fails nothing. The result
// tells whether a read came late enough in the entry's life to prove that it
// was not cut short.
func (t *trial) lives(o *outcome, key, value string, ttl time.Duration) (proved bool) {
	last := ttl - ttl/10
	if t.suite.opts.Bubble {
		last = ttl - 1
	}
	for _, age := range []time.Duration{0, ttl / 2, last} {
		t.sleepUntil(o.began, age)
		got := t.Get(key).isWithin(o, ttl, value)
		proved = age == last && atMost(o.began, got.ended) < ttl
	}
	t.sleepPast(o, ttl)
	t.Get(key).miss()
	t.TTL(key).miss()
	return proved
}

// tries is how often a case makes an entry that lives for a few steps, to see
// one in the last part of its life even if the machine is slow.
func (t *trial) tries() int {
	if t.suite.opts.Bubble || t.suite.opts.TTLStep >= 20*time.Millisecond {
		return 1
	}
	return 8
}

// testedTTLs are lengths that different clocks and protocols have got wrong.
func testedTTLs() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 59 * time.Second, time.Minute, time.Hour + time.Millisecond,
		25 * day, 30 * day, 30*day + time.Second, 31 * day, 366 * day, 36525 * day, math.MaxInt64 / 2, math.MaxInt64 - 1,
	}
}

// obeys checks that a method which takes a ttl gives it the meaning that it has
// for Set: its length, what Forever and DefaultTTL stand for, and rounding.
// write writes the value "v" under a key that is new to it. It is called
// concurrently.
func (t *trial) obeys(write func(key string, ttl time.Duration) *outcome) {
	long := append(testedTTLs(), store.Forever, store.DefaultTTL)
	t.each(len(long), func(i int) {
		key, ttl := fmt.Sprintf("long%d", i), long[i]
		written := write(key, ttl).ok()
		t.Get(key).isWithin(written, ttl, "v")
		t.TTL(key).lasts(written, ttl)
	})
	short := []time.Duration{1, t.suite.opts.TTLStep * 12 / 5, t.short()}
	t.each(len(short), func(i int) {
		for try := range t.tries() {
			key, ttl := fmt.Sprintf("short%d.%d", i, try), short[i]
			if t.lives(write(key, ttl), key, "v", ttl) {
				break
			}
		}
	})
}
