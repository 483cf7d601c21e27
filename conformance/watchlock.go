package conformance

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/cairncache/cairn/store"
)

var watchLockAbility = ability{"WatchLock", store.Supports[store.WatchLockStore], func(ctx context.Context, s store.Store) error {
	return as(s, func(s store.WatchLockStore) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		_, err := s.WatchLock(ctx, probeKey)
		return err
	})
}, false}

func (c *client) WatchLock(key string) *outcome {
	return c.by(byMethod).ability("WatchLock", key, quote(key), func() (any, error) {
		return c.s.(store.WatchLockStore).WatchLock(c.ctx, key)
	})
}

var watchLockCases = group("WatchLock",
	declines("WatchLock"),

	rule("OwnUnlock", "Who waits is told when the lock is freed, each time, and so is everybody else who waits: otherwise they ask again and again, or too late.", func(t *trial) {
		first, second := t.waitFor("k"), t.waitFor("k")
		t.tellsUnlock(t.client, "k", first, second)
	}, need("Lock")),

	rule("OtherHandles", "What another process frees is told as well: that is what cannot be known in any other way.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.tellsUnlock(second, "k", t.waitFor("k"))
		t.tellsUnlock(t.client, "k", second.waitFor("k"))
	}, needReopen, need("Lock")),

	rule("MissesNothing", "Who calls WatchLock and then TryLock gets the lock, however closely the Unlock comes in between, and while the watch may still be connecting. A wake-up that is lost is a wait for nothing.", func(t *trial) {
		waiter := t.client
		if t.suite.canReopen {
			waiter = t.reopen()
			defer t.closeQuietly(waiter.s)
		}
		for round := range rounds {
			key := fmt.Sprintf("key%d", round%(rounds/2)) // the second time the watch may be there from the first
			t.TryLock(key, "holder", t.long()).locked()
			t.parallel(2, func(i int) {
				if i == 0 {
					for range round % 12 {
						runtime.Gosched()
					}
					t.Unlock(key, "holder").is(true)
					return
				}
				ctx, cancel := context.WithCancel(t.ctx)
				defer cancel()
				e := waiter.with(ctx).waitFor(key)
				for !waiter.TryLock(key, "waiter", t.long()).lock().Acquired {
					e.hears("Unlock of " + quote(key) + ", while another one came to wait for it")
				}
				waiter.Unlock(key, "waiter").is(true)
			})
		}
	}, need("Lock")),

	rule("OwnKeys", "Every key is told by itself: what is freed under one does not use up, or end, the waiting for another one, whatever bytes they have.", func(t *trial) {
		keys := append(oddSample(t.suite.opts.MaxKey), lockedKeys...)
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		ears := make(map[string]*ear)
		var awaited []string
		for i, key := range keys {
			if i%2 == 0 {
				ears[key] = t.waitFor(key)
				awaited = append(awaited, key)
			} else {
				t.with(ctx).waitFor(key)
			}
		}
		cancel()
		for round, blocks := range square(awaited) {
			for _, block := range blocks {
				t.eachOf(block, func(key string) { t.frees(t.client, key, fmt.Sprint(round), ears[key]) })
			}
		}
	}, need("Lock")),

	rule("Ends", "Soon after the context has ended nothing is told any more, and whoever waits besides goes on being told: requests end all the time.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		ended, other := t.with(ctx).waitFor("k"), t.waitFor("k")
		t.tellsUnlock(t.client, "k", ended, other)
		cancel()
		n := 0
		if !await(func() bool {
			n++
			ended.heard()
			t.frees(t.client, "k", fmt.Sprint("end", n), other)
			return !ended.heard()
		}) {
			t.fail(failure{"a channel whose context has ended", "it still receives", "nothing more"})
		}
	}, need("Lock")),

	rule("Unread", "A channel from which nobody receives holds up neither Unlock nor the others who wait: they may be busy with the lock itself.", func(t *trial) {
		t.waitFor("k")
		other := t.waitFor("k")
		for i := range 20 {
			t.frees(t.client, "k", fmt.Sprint(i), other)
		}
	}, need("Lock")),

	rule("DoneContext", "WatchLock with a context that has ended already fails with its error, and no channel.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		t.with(ctx).WatchLock("k").fails(context.Canceled).nothing()
	}),

	breaking(rule("AfterOutage", "WatchLock succeeds while the backend is away, and when it is back all who wait are told again: so long as it was away nobody could be.", func(t *trial) {
		before := t.waitFor("k")
		t.tellsUnlock(t.client, "k", before)
		t.suite.opts.Fault.Break()
		during := t.waitFor("l")
		t.suite.opts.Fault.Restore()
		t.recovers()
		t.tellsUnlock(t.client, "k", before)
		t.tellsUnlock(t.client, "l", during)
	}, needBreak, need("Lock"))),
)

// An ear is what WatchLock has returned.
type ear struct {
	t     *trial
	freed <-chan struct{}
}

func (c *client) waitFor(key string) *ear {
	o := c.WatchLock(key).ok()
	freed := o.value.(<-chan struct{})
	if freed == nil {
		o.wanted("a channel")
	}
	return &ear{c.t, freed}
}

// heard reports whether something was told and not yet noticed.
func (e *ear) heard() bool {
	select {
	case _, open := <-e.freed:
		e.check(open)
		return true
	default:
		return false
	}
}

// hears waits until something is told.
func (e *ear) hears(by string) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case _, open := <-e.freed:
		e.check(open)
	case <-limit.C:
		e.t.fail(failure{by, fmt.Sprintf("nothing is received within %v", patience), "the channel to receive"})
	}
}

func (e *ear) check(open bool) {
	if !open {
		e.t.fail(failure{"the channel of WatchLock", "it is closed", "a channel that is never closed"})
	}
}

// tellsUnlock checks that Unlocks by c are told, more of them than a connection
// may still bring about by being made.
func (t *trial) tellsUnlock(c *client, key string, ears ...*ear) {
	for round := range 4 {
		t.frees(c, key, fmt.Sprint("tells", round), ears...)
	}
}

// frees takes and frees the lock, and waits until the ears have heard of it.
func (t *trial) frees(c *client, key, token string, ears ...*ear) {
	c.TryLock(key, token, t.long()).locked()
	for _, e := range ears {
		e.heard()
	}
	unlocked := c.Unlock(key, token).is(true)
	for _, e := range ears {
		e.hears(unlocked.text)
	}
}
