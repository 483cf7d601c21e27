package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// Locks have no functions in package store, since package lock is what one
// calls. So they are tried by the methods alone.

var lockAbility = ability{"Lock", store.Supports[store.LockStore], func(ctx context.Context, s store.Store) error {
	return as(s, func(s store.LockStore) error { _, err := s.Unlock(ctx, probeKey, "probe"); return err })
}, false}

var lockMethods = []method{
	{ability: "Lock", keyed: true, call: func(c *client, key string) *outcome { return c.TryLock(key, "token", longTTL) }},
	{ability: "Lock", keyed: true, call: func(c *client, key string) *outcome { return c.ExtendLock(key, "token", longTTL) }},
	{ability: "Lock", keyed: true, call: func(c *client, key string) *outcome { return c.Unlock(key, "token") }},
	{ability: "WatchLock", keyed: true, later: true, call: func(c *client, key string) *outcome {
		if c.ctx == nil {
			return c.WatchLock(key)
		}
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		return c.with(ctx).WatchLock(key)
	}},
}

// hasFunction reports whether package store has a function for the ability.
func hasFunction(ability string) bool { return ability != "Lock" && ability != "WatchLock" }

func (c *client) TryLock(key, token string, ttl time.Duration) *outcome {
	return c.by(byMethod).ability("TryLock", key, leasing(key, token, ttl), func() (any, error) {
		return c.s.(store.LockStore).TryLock(c.ctx, key, token, ttl)
	})
}

func (c *client) ExtendLock(key, token string, ttl time.Duration) *outcome {
	return c.by(byMethod).ability("ExtendLock", key, leasing(key, token, ttl), func() (any, error) {
		return c.s.(store.LockStore).ExtendLock(c.ctx, key, token, ttl)
	})
}

func (c *client) Unlock(key, token string) *outcome {
	return c.by(byMethod).ability("Unlock", key, quote(key)+", "+quote(token), func() (any, error) {
		return c.s.(store.LockStore).Unlock(c.ctx, key, token)
	})
}

var lockCases = group("Lock",
	declines("Lock"),

	rule("OneHolds", "The first who asks gets the lock of a key, with a fence, and all others are told that it is held, by whatever process: two who work at the same thing at once is what a lock is there to prevent.", func(t *trial) {
		t.TryLock("k", "first", t.long()).locked()
		t.TryLock("k", "second", t.long()).refused()
		t.TryLock("other", "second", t.long()).locked()
		if t.suite.canReopen {
			second := t.reopen()
			defer t.closeQuietly(second.s)
			second.TryLock("k", "third", t.long()).refused()
			second.TryLock("another", "third", t.long()).locked()
			t.TryLock("another", "fourth", t.long()).refused()
		}
		t.TryLock("k", "fifth", t.long()).refused()
	}),

	rule("Exclusion", "Of any number of callers in several processes, one is in the critical section at a time. What they count is exact.", func(t *trial) {
		handles := []*client{t.client}
		if t.suite.canReopen {
			second := t.reopen()
			defer t.closeQuietly(second.s)
			handles = append(handles, second)
		}
		sections := []struct{ inside, count atomic.Int64 }{{}, {}} // of one lock each; count is not incremented by one step
		callers := 64 * len(handles)
		t.parallel(callers*len(sections), func(i int) {
			c, s := handles[i%len(handles)], &sections[i/callers]
			key, token := fmt.Sprintf("k%d", i/callers), tokenOf(i)
			for !c.TryLock(key, token, t.long()).lock().Acquired {
				if time.Sleep(2 * time.Millisecond); t.failed() {
					return // the lock may never be freed
				}
			}
			others := s.inside.Add(1) - 1
			n := s.count.Load()
			time.Sleep(time.Duration(i%3) * time.Millisecond)
			s.count.Store(n + 1)
			if others > 0 || s.inside.Add(-1) > 0 {
				t.fail(failure{"TryLock", "two callers hold the lock of one key at once", "one at a time"})
			}
			c.Unlock(key, token).is(true)
		})
		for i := range sections {
			if got := sections[i].count.Load(); got != int64(callers) {
				t.fail(failure{"a counter that is read and written under the lock", fmt.Sprint(got), fmt.Sprint(callers)})
			}
		}
	}),

	rule("Strangers", "Another token than the holder's frees nothing and prolongs nothing: it is that of somebody whose lock was lost, and who must not end the next one's.", func(t *trial) {
		locked := t.TryLock("k", "holder", t.long()).locked()
		for _, stranger := range []string{"stranger", "holde", "holder2", "HOLDER", "older", ":holder"} {
			t.Unlock("k", stranger).is(false)
			t.ExtendLock("k", stranger, 2*t.long()).is(false)
			t.TryLock("k", stranger, t.long()).refused().remains(locked, t.long())
		}
		t.Unlock("other", "holder").is(false)
		t.ExtendLock("other", "holder", t.long()).is(false)
		t.ExtendLock("k", "holder", t.long()).is(true)
		t.Unlock("k", "holder").is(true)
	}),

	rule("Unlock", "Unlock frees the lock and says so; the next who asks gets it at once. A second Unlock says false, and does not free the lock of who has it by then.", func(t *trial) {
		t.Unlock("k", "first").is(false)
		t.TryLock("k", "first", t.long()).locked()
		t.Unlock("k", "first").is(true)
		t.Unlock("k", "first").is(false)
		t.TryLock("k", "second", t.long()).locked()
		t.Unlock("k", "first").is(false)
		t.ExtendLock("k", "first", t.long()).is(false)
		t.TryLock("k", "third", t.long()).refused()
		t.Unlock("k", "second").is(true)
	}),

	rule("Expiry", "A lock lasts as long as its ttl and no longer: a process that dies must not hold it for ever, and one that lives must not lose it before.", func(t *trial) {
		ttl := t.short()
		locked := t.TryLock("k", "first", ttl).locked()
		for _, age := range []time.Duration{0, ttl / 2, ttl - ttl/10} {
			t.sleepUntil(locked.began, age)
			if asked := t.TryLock("k", "second", ttl); atMost(locked.began, asked.ended) < ttl {
				asked.refused()
			} else {
				t.skip("the machine or the network was too slow")
			}
		}
		t.sleepPast(locked, ttl)
		t.TryLock("k", "third", t.long()).locked()
	}),

	rule("Lost", "Who has held a lock past its ttl can neither prolong nor free it, whether somebody else has it by then or not. To be told so is how a holder learns that it was lost.", func(t *trial) {
		locked := t.TryLock("k", "first", t.short()).locked()
		other := t.TryLock("other", "first", t.short()).locked()
		t.sleepPast(locked, t.short())
		t.ExtendLock("k", "first", t.long()).is(false)
		t.Unlock("k", "first").is(false)
		t.TryLock("k", "second", t.long()).locked()
		t.ExtendLock("k", "first", t.long()).is(false)
		t.Unlock("k", "first").is(false)
		t.TryLock("k", "third", t.long()).refused()
		t.sleepPast(other, t.short())
		t.Unlock("other", "first").is(false)
	}),

	rule("Extend", "ExtendLock begins the ttl anew, from when it is called, longer or shorter than before: work may take longer than anybody knew.", func(t *trial) {
		ttl := 2 * t.short()
		t.keepsLock(ttl, func() *outcome { return t.ExtendLock("k", "token", ttl) }).is(true)
		t.TryLock("shorter", "token", t.long()).locked()
		extended := t.ExtendLock("shorter", "token", t.short()).is(true)
		t.sleepPast(extended, t.short())
		t.TryLock("shorter", "other", t.long()).locked()
	}),

	rule("Again", "Who asks again with the token that holds the lock has it, with the same fence, and the ttl begins anew: the first answer may have been lost, and nobody else can end that lock.", func(t *trial) {
		fence := t.TryLock("k", "token", t.long()).locked().fence()
		again := t.TryLock("k", "token", 2*t.long()).locked()
		again.hasFence(fence)
		t.TryLock("k", "other", t.long()).refused().remains(again, 2*t.long())
		if t.suite.canReopen {
			second := t.reopen()
			defer t.closeQuietly(second.s)
			second.TryLock("k", "token", t.long()).locked().hasFence(fence)
		}
		t.ExtendLock("k", "token", t.long()).is(true)
		t.TryLock("k", "token", t.long()).locked().hasFence(fence)
		t.Unlock("k", "token").is(true)
		ttl := 2 * t.short()
		t.keepsLock(ttl, func() *outcome { return t.TryLock("k", "token", ttl) }).locked()
	}),

	rule("Fences", "The fence of a key grows each time that the lock is taken, whoever takes it and however it has ended before. A resource that remembers the largest one refuses those who hold the lock no more.", func(t *trial) {
		handles := []*client{t.client}
		if t.suite.canReopen {
			second := t.reopen()
			defer t.closeQuietly(second.s)
			handles = append(handles, second)
		}
		last := uint64(0)
		grows := func(o *outcome) {
			if got := o.locked().fence(); got <= last {
				o.wanted("a fence that is larger than %d, the one before", last)
			}
			last = o.fence()
		}
		for i := range 40 {
			c := handles[i%len(handles)]
			grows(c.TryLock("k", tokenOf(i), t.long()))
			c.Unlock("k", tokenOf(i)).is(true)
		}
		for i, c := range handles {
			locked := c.TryLock("k", "expires"+tokenOf(i), t.short())
			grows(locked)
			t.sleepWellPast(locked, t.short())
		}
		grows(t.TryLock("k", "last", t.long()))
	}),

	rule("Remaining", "Who is refused learns how long the lock is held at most: after that time it is free. Who is told less asks in vain, and who is told more waits for nothing.", func(t *trial) {
		locked := t.TryLock("k", "holder", t.short()).locked()
		asked := t.TryLock("k", "other", t.long())
		if asked.lock().Acquired {
			t.skip("the machine or the network was too slow")
		}
		left := asked.remains(locked, t.short()).lock().Remaining
		if left == store.UnknownTTL {
			t.skip("the store cannot tell")
		}
		t.sleepUntil(asked.ended, left)
		t.TryLock("k", "other", t.long()).locked()
	}),

	rule("OddKeys", "Every key has a lock of its own, also one that is as long as keys may be, or looks like the name of a lock.", func(t *trial) {
		keys := oddSample(t.suite.opts.MaxKey)
		t.each(len(keys), func(i int) { t.TryLock(keys[i], tokenOf(i), t.long()).locked() })
		t.each(len(keys), func(i int) {
			t.TryLock(keys[i], "stranger", t.long()).refused()
			t.Unlock(keys[i], tokenOf(i+1)).is(false)
			t.ExtendLock(keys[i], tokenOf(i), t.long()).is(true)
			t.Unlock(keys[i], tokenOf(i)).is(true)
		})
	}),

	rule("BadArguments", "A token of no bytes or more than 64, and a ttl that is not positive, are ErrInvalid and change nothing: there is no lock that lasts for ever by mistake. A token is any bytes otherwise.", func(t *trial) {
		for _, token := range []string{"", strings.Repeat("t", 65)} {
			t.TryLock("k", token, t.long()).fails(store.ErrInvalid).nothing()
			t.ExtendLock("k", token, t.long()).fails(store.ErrInvalid).nothing()
			t.Unlock("k", token).fails(store.ErrInvalid).nothing()
		}
		any := "\x00\r\n \xff{}:" + strings.Repeat("t", 64-8)
		for _, ttl := range []time.Duration{0, -1, -t.long()} {
			t.TryLock("k", any, ttl).fails(store.ErrInvalid).nothing()
		}
		locked := t.TryLock("k", any, t.long()).locked()
		for _, ttl := range []time.Duration{0, -1, -t.long()} {
			t.ExtendLock("k", any, ttl).fails(store.ErrInvalid).nothing()
			t.TryLock("k", any, ttl).fails(store.ErrInvalid).nothing()
		}
		t.TryLock("k", any+"t", t.long()).fails(store.ErrInvalid)
		t.TryLock("k", strings.ReplaceAll(any, "t", "T"), t.long()).refused().remains(locked, t.long())
		t.TryLock("k", any, t.long()).locked().hasFence(locked.fence())
		t.Unlock("k", any).is(true)
		t.TryLock("forever", any, store.Forever).locked()
		t.ExtendLock("forever", any, 1).is(true)
	}),

	rule("DoneContext", "A call whose context has ended takes no lock and frees none: whoever made it has gone, and would never unlock.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		gone := t.with(ctx)
		gone.TryLock("k", "gone", t.long()).fails(context.Canceled).nothing()
		locked := t.TryLock("k", "holder", t.long()).locked()
		gone.ExtendLock("k", "holder", 2*t.long()).fails(context.Canceled).nothing()
		gone.TryLock("k", "holder", 2*t.long()).fails(context.Canceled).nothing()
		gone.Unlock("k", "holder").fails(context.Canceled).nothing()
		t.TryLock("k", "other", t.long()).refused().remains(locked, t.long())
		t.Unlock("k", "holder").is(true)
	}),
)

// declines makes the case of an ability that package store has no function
// for.
func declines(name string) testCase {
	c := rule("Unsupported", "A store with a method that it cannot stand up for declines by an error matching errors.ErrUnsupported, and changes nothing: who asks for a lock must not take the error for one.", func(t *trial) {
		t.Set("k", "old", store.Forever).ok()
		if a, _ := findAbility(name); errors.Is(a.call(t.ctx, t.s), errNoMethod) {
			t.skip("the store has no such method")
		}
		for _, m := range lockMethods {
			for _, key := range []string{"k", "absent"} {
				if m.ability != name {
					continue
				}
				o := m.call(t.client, key).nothing()
				if !errors.Is(o.err, errors.ErrUnsupported) {
					o.wanted("errors.ErrUnsupported, as before the first case")
				}
			}
		}
		t.Get("k").is("old")
		t.TTL("k").ok()
		t.Get("absent").miss()
	}, func(s *suite) string {
		if s.callable[name] {
			return "the store offers it: nothing to refuse"
		}
		return ""
	})
	c.once = true
	return c
}

// lock is what TryLock has returned.
func (o *outcome) lock() store.LockResult { return o.ok().value.(store.LockResult) }

func (o *outcome) fence() uint64 { return o.lock().Fence }

// locked checks that TryLock has taken the lock.
func (o *outcome) locked() *outcome {
	if r := o.lock(); !r.Acquired || r.Fence == 0 || r.Remaining != 0 {
		o.wanted("the lock, with a fence and no Remaining")
	}
	return o
}

// refused checks that somebody else holds the lock.
func (o *outcome) refused() *outcome {
	if r := o.lock(); r.Acquired || r.Fence != 0 || r.Remaining <= 0 && r.Remaining != store.UnknownTTL {
		o.wanted("no lock and no fence, and the time that it is held at most")
	}
	return o
}

func (o *outcome) hasFence(want uint64) {
	if o.fence() != want {
		o.wanted("the fence %d, as before", want)
	}
}

// remains checks for how long the lock is held that the call locked has taken
// with this ttl: not less than the truth, and hardly more.
func (o *outcome) remains(locked *outcome, ttl time.Duration) *outcome {
	s := o.t.suite
	got := o.refused().lock().Remaining
	high := s.longest(ttl) - o.t.atLeast(locked.ended, o.began) + s.opts.TTLStep
	low := ttl - atMost(locked.began, o.ended)
	switch {
	case got == store.UnknownTTL:
	case got > high:
		o.wanted("a Remaining of at most %v", high)
	case got < low:
		o.wanted("a Remaining of at least %v", low)
	}
	return o
}

// keepsLock checks that again, called in the last third of the ttl of a lock of
// "token", lets it be held for a whole ttl from then. The caller checks what
// again returned.
func (t *trial) keepsLock(ttl time.Duration, again func() *outcome) *outcome {
	tooSlow := func(since, now moment) {
		if atMost(since, now) >= ttl {
			t.skip("the machine or the network was too slow")
		}
	}
	first := t.TryLock("k", "token", ttl).locked()
	t.sleepUntil(first.began, ttl*2/3)
	tooSlow(first.began, t.now())
	second := t.now()
	o := again()
	tooSlow(first.began, o.ended)
	if o.value == false || o.err != nil {
		return o // which the caller refuses
	}
	t.sleepPast(first, ttl)
	asked := t.TryLock("k", "other", t.long())
	tooSlow(second, asked.ended)
	asked.refused()
	t.sleepUntil(t.now(), t.suite.longest(ttl))
	t.TryLock("k", "other", t.long()).locked()
	return o
}

func showLock(r store.LockResult) string {
	switch {
	case r == store.LockResult{}:
		return ""
	case r.Acquired:
		return fmt.Sprintf("the lock with the fence %d and Remaining %s", r.Fence, showLeft(r.Remaining))
	}
	return fmt.Sprintf("no lock, the fence %d and Remaining %s", r.Fence, showLeft(r.Remaining))
}
