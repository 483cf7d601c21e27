package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/store"
)

// holdCases are those of the group Lease about time and about Hold.
var holdCases = group("Lease",
	rule("LifeEnds", "A lease ends with its life: its holder stores nothing any more, and the next who asks gets it. A process that dies while it loads must not keep the key from all others.", func(t *trial) {
		life := t.short()
		granted := t.GetOrLease("k", "first", life, nil).leased(store.LeaseGranted)
		last := t.GetOrLease("k", "second", life, nil) // may come too late, and is then granted
		if atMost(granted.began, last.ended) < life {
			last.leased(store.LeaseTaken).lastsLease(granted, life)
			last = granted
		}
		t.sleepPast(last, life)
		t.RenewLease("k", "first", t.long()).is(false)
		t.Fill("k", "first", "v", t.long()).is(false)
		t.Get("k").miss()
		t.GetOrLease("k", "third", t.long(), nil).leased(store.LeaseGranted)
		t.Fill("k", "first", "v", t.long()).is(false)
		t.Get("k").miss()
		t.Fill("k", "third", "v", t.long()).is(true)
	}),

	rule("Renew", "RenewLease begins the life anew, for loads that take longer than one.", func(t *trial) {
		life := 2 * t.short()
		t.prolongs(life, store.LeaseTaken, func() *outcome {
			return t.GetOrLease("k", "token", life, nil).leased(store.LeaseGranted)
		}, func() *outcome {
			return t.RenewLease("k", "token", life)
		}, func(o *outcome) { o.is(true) })
	}),

	rule("AskAgain", "Asking again with the token of the lease is granted again, and begins its life anew: the first answer may have been lost, and nobody else can end that lease.", func(t *trial) {
		life := 2 * t.short()
		t.prolongs(life, store.LeaseTaken, func() *outcome {
			return t.GetOrLease("k", "token", life, nil).leased(store.LeaseGranted)
		}, func() *outcome {
			return t.GetOrLease("k", "token", life, nil)
		}, func(o *outcome) { o.leased(store.LeaseGranted).lastsLease(nil, life) })
	}),

	rule("Abandon", "A lease that is abandoned is free for the next who asks, and its holder stores nothing any more: when a load has failed nobody should wait for the end of its life.", func(t *trial) {
		t.GetOrLease("k", "first", t.long(), nil).leased(store.LeaseGranted)
		t.Abandon("k", "first").ok()
		t.Fill("k", "first", "v", t.long()).is(false)
		t.Get("k").miss()
		t.GetOrLease("k", "second", t.long(), nil).leased(store.LeaseGranted)
		t.Abandon("k", "first").ok()
		t.Abandon("absent", "first").ok()
		t.Fill("k", "second", "v", t.long()).is(true)
		t.Abandon("k", "second").ok()
		t.Get("k").is("v")
		t.GetOrLease("k", "third", t.long(), store.LiveBytes([]byte("v"))).leased(store.LeaseGranted)
		t.Abandon("k", "third").ok()
		t.Get("k").is("v")
	}),

	rule("Hidden", "A lease and a Hold are no entries: no method sees a value, a key or a time to live where there is but one of them. A mark that is read as a value is served as one.", func(t *trial) {
		t.GetOrLease("leased", "token", t.long(), nil).leased(store.LeaseGranted)
		t.Hold("held", t.long()).ok()
		for _, key := range []string{"leased", "held"} {
			t.absent(key)
		}
		t.holds()
		t.GetOrLease("leased", "other", t.long(), nil).leased(store.LeaseTaken)
		t.GetOrLease("held", "other", t.long(), nil).leased(store.LeaseBlocked)
	}),

	rule("Hold", "Hold removes the entry, and until the key is written nobody can store what is loaded meanwhile: it may be what the write that is under way makes old.", func(t *trial) {
		clients, done := t.handles()
		defer done()
		t.Set("k", "old", t.long()).ok()
		held := t.Hold("k", t.long()).ok()
		for _, c := range clients {
			c.Get("k").miss()
			c.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseBlocked).lastsLease(held, t.long())
			c.GetOrLease("k", "reader", t.long(), store.LiveBytes([]byte("old"))).leased(store.LeaseBlocked)
			c.Fill("k", "reader", "old", t.long()).is(false)
			c.RenewLease("k", "reader", t.long()).is(false)
			c.Get("k").miss()
		}
		t.Delete("k").ok()
		t.Get("k").miss()
		t.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseGranted)
		t.Fill("k", "reader", "new", t.long()).is(true)
		t.Get("k").is("new")
	}),

	rule("HoldVoids", "Hold ends the lease of a load that is under way, for good: what that has read is from before the write.", func(t *trial) {
		life := t.short()
		t.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseGranted)
		held := t.Hold("k", life).ok()
		t.Fill("k", "reader", "old", t.long()).is(false)
		t.Get("k").miss()
		t.sleepPast(held, life)
		t.Fill("k", "reader", "old", t.long()).is(false)
		t.Get("k").miss()
	}),

	rule("HoldEnds", "A Hold ends with its life: a writer that has died must not keep the key uncached for ever.", func(t *trial) {
		life := t.short()
		held := t.Hold("k", life).ok()
		t.sleepPast(held, life)
		t.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseGranted)
		t.Fill("k", "reader", "v", t.long()).is(true)
		t.Get("k").is("v")
	}),

	rule("HoldAgain", "A second Hold takes the place of the first, with a life of its own: the second write is still under way.", func(t *trial) {
		life := 2 * t.short()
		hold := func() *outcome { return t.Hold("k", life) }
		t.prolongs(life, store.LeaseBlocked, hold, hold, func(o *outcome) { o.ok() })
	}),

	rule("HoldIsNoLease", "The methods of a load do not end a Hold, whatever token they are given: the write is still under way. And no token makes a lease a Hold.", func(t *trial) {
		t.Hold("k", t.long()).ok()
		for _, token := range []string{"reader", "hold", "H", "0", "\x00"} {
			t.Abandon("k", token).ok()
			t.RenewLease("k", token, t.long()).is(false)
			t.Fill("k", token, "v", t.long()).is(false)
			t.Get("k").miss()
			t.GetOrLease("k", token, t.long(), nil).leased(store.LeaseBlocked)
			key := "leased by " + token
			t.GetOrLease(key, token, t.long(), nil).leased(store.LeaseGranted)
			t.GetOrLease(key, "other", t.long(), nil).leased(store.LeaseTaken)
			t.Fill(key, token, "v", t.long()).is(true)
		}
	}),

	rule("HoldWrites", "A write during a Hold ends it: the new value can be read, and the next load is stored.", func(t *trial) {
		for i, ch := range t.changes() {
			if !ch.onAbsent {
				continue
			}
			key := fmt.Sprintf("key%d", i)
			t.Hold(key, t.long()).ok()
			ch.make(t.client, key)
			left := t.Get(key)
			if left.err != nil {
				left.miss()
				t.GetOrLease(key, "reader", t.long(), nil).leased(store.LeaseGranted)
				t.Fill(key, "reader", "loaded", t.long()).is(true)
				continue
			}
			value := string(left.bytes())
			t.GetOrLease(key, "reader", t.long(), nil).found(value)
			t.GetOrLease(key, "reader", t.long(), store.LiveBytes([]byte(value))).leased(store.LeaseGranted)
			t.Fill(key, "reader", "loaded", t.long()).is(true)
			t.Get(key).is("loaded")
		}
	}),

	updating("Update", "store.Update removes the entry before the write that it leads to, and leaves none behind: the old value is not in the cache when the new one is in the database, though the process may die in between.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		t.update("k", func(context.Context) error {
			t.Get("k").miss()
			t.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseBlocked)
			return nil
		}).ok()
		t.Get("k").miss()
		t.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseGranted)
	}),

	updating("UpdateDuringLoad", "What is loaded while store.Update runs is stored nowhere, whether the load began before it or during it: it may be the old value.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		t.GetOrLease("k", "early", t.long(), store.LiveBytes([]byte("old"))).leased(store.LeaseGranted)
		t.update("k", func(context.Context) error {
			t.GetOrLease("k", "during", t.long(), nil).leased(store.LeaseBlocked)
			t.Fill("k", "early", "old", t.long()).is(false)
			t.Fill("k", "during", "old", t.long()).is(false)
			t.Get("k").miss()
			return nil
		}).ok()
		t.Fill("k", "early", "old", t.long()).is(false)
		t.Fill("k", "during", "old", t.long()).is(false)
		t.Get("k").miss()
	}),

	updating("UpdateFails", "When the write fails or panics, store.Update hands that on, the entry is gone as something may have been written, and the key is free again.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		broken := errors.New("the database is away")
		if o := t.update("k", func(context.Context) error { return broken }); !errors.Is(o.err, broken) {
			o.wanted("the error of the write")
		}
		t.Get("k").miss()
		t.GetOrLease("k", "reader", t.long(), nil).leased(store.LeaseGranted)
		t.Fill("k", "reader", "old", t.long()).is(true)
		func() {
			defer func() {
				if p := recover(); p != any(broken) {
					panic(p)
				}
			}()
			t.update("k", func(context.Context) error { panic(broken) })
		}()
		t.Get("k").miss()
		t.GetOrLease("k", "next", t.long(), nil).leased(store.LeaseGranted)
	}),
)

// updating makes a case about store.Update, which is a function alone.
func updating(name, what string, run func(*trial)) testCase {
	c := rule(name, what, func(t *trial) {
		t.way = byFunction
		run(t)
	}, need("Lease"))
	c.once = true
	return c
}

func (c *client) update(key string, commit func(context.Context) error) *outcome {
	return c.ability("Update", key, quote(key)+", a function", func() (any, error) {
		return nil, store.Update(c.ctx, c.s, key, longTTL, commit)
	})
}

// absent checks that nothing is seen of the key by any method that reads, and
// that none that compares takes anything for it.
func (t *trial) absent(key string) {
	t.Get(key).miss()
	t.TTL(key).miss()
	for _, w := range []way{byMethod, byFunction} {
		for name, call := range map[string]func(c *client){
			"GetMany":          func(c *client) { c.GetMany(key).is(map[string]string{}) },
			"GetWithTTL":       func(c *client) { c.GetWithTTL(key).miss() },
			"GetManyWithTTL":   func(c *client) { c.GetManyWithTTL(key).is(map[string]string{}) },
			"Touch":            func(c *client) { c.Touch(key, t.long()).miss() },
			"CompareAndSwap":   func(c *client) { c.CompareAndSwap(key, nil, []byte("new"), t.long()).is(false) },
			"CompareAndDelete": func(c *client) { c.CompareAndDelete(key, nil).is(false) },
			"Live":             func(c *client) { c.GetLive(key).miss() },
			"LiveAt":           func(c *client) { c.GetLiveAt(key, time.Now()).miss() },
		} {
			if t.can(name, w) {
				call(t.by(w))
			}
		}
	}
}

// prolongs checks that again, called in the last third of the life of what
// begin has begun, lets it live for that long from then. While it does, others
// who ask are told want.
func (t *trial) prolongs(life time.Duration, want store.LeaseState, begin, again func() *outcome, check func(*outcome)) {
	ask := func() *outcome { return t.GetOrLease("k", "other", t.long(), nil) }
	first := begin().ok()
	t.sleepUntil(first.began, life*2/3)
	second := again()
	if atMost(first.began, second.ended) >= life {
		t.skip("the machine or the network was too slow")
	}
	check(second)
	t.sleepPast(first, life)
	asked := ask()
	if atMost(second.began, asked.ended) >= life {
		t.skip("the machine or the network was too slow")
	}
	asked.leased(want)
	t.sleepPast(second, life)
	ask().leased(store.LeaseGranted)
}
