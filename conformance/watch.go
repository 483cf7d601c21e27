package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cairncache/cairn/store"
)

var watchCases = group("Watch",
	unsupported("Watch"),

	rule("OwnWrites", "A key that is written, replaced or removed is told, by whatever method: a copy that another part of the program keeps of it would otherwise be served on.", func(t *trial) {
		t.tells(t.client)
	}),

	rule("OtherHandles", "What another process does is told as well: that is what cannot be known in any other way.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.tells(second)
	}, needReopen),

	rule("Clear", "Clear is told, by a Flush or key by key: what is kept elsewhere has to go as well.", func(t *trial) {
		l := t.listen()
		for _, w := range []way{byMethod, byFunction} {
			if w == byMethod && !t.suite.callable["Clear"] {
				continue
			}
			t.Set("a", "old", t.long()).ok()
			t.Set("b", "old", t.long()).ok()
			l.proves()
			l.reset()
			cleared := t.by(w).Clear().ok()
			l.hears("a", cleared.text)
			l.hears("b", cleared.text)
		}
	}, canClear),

	rule("Leases", "An entry that Fill stores and one that Hold removes are told like any other: whoever waits for the load of somebody else is woken by it.", func(t *trial) {
		t.Set("held", "old", t.long()).ok()
		l := t.listen()
		l.reset()
		c := t.by(byFunction)
		c.GetOrLease("filled", "token", t.long(), nil).leased(store.LeaseGranted)
		filled := c.Fill("filled", "token", "v", t.long()).is(true)
		l.hears("filled", filled.text)
		held := c.Hold("held", t.long()).ok()
		l.hears("held", held.text)
	}, need("Lease")),

	rule("Expiry", "That an entry has expired is told, by itself or soon after a Get that has missed it: its copy elsewhere may have been given more time.", func(t *trial) {
		l := t.listen()
		for ttl := t.short(); ; ttl *= 2 {
			set := t.Set("k", "v", ttl).ok()
			l.proves() // what the Set leads to was told by now
			if l.reset(); atMost(set.began, t.now()) < ttl-ttl/10 {
				t.sleepWellPast(set, ttl)
				t.Get("k").miss() // some backends remove what has expired when they come across it
				l.hears("k", "the Get of an entry that was set to live for "+ttl.String()+" and had expired")
				return
			}
			if ttl > patience {
				t.skip("the store takes too long to prove what it tells")
			}
		}
	}),

	rule("Proven", "What had changed before the time that Proven names was told before Proven is called, whoever changed it. A copy that is served on the strength of a false proof is stale, and nobody knows.", func(t *trial) {
		writers, done := t.handles()
		defer done()
		l := t.listen()
		for round := range 3 {
			for i, c := range writers {
				key := fmt.Sprintf("key%d.%d", round, i)
				set := c.Set(key, "v", t.long()).ok()
				l.mu.Lock()
				if l.told[key] == 0 {
					l.owed[key] = set.ended.wall
				}
				l.mu.Unlock()
				l.hears(key, set.text)
			}
			l.proves()
		}
	}),

	rule("BeforeReturn", "A store that calls Proven with AlwaysProven tells of a change before the method that makes it returns: nothing is read after a write that the write has made old.", func(t *trial) {
		changes := t.prepareChanges()
		l := t.listen()
		if !l.always() {
			t.skip("the store proves what it tells by time")
		}
		for i, ch := range changes {
			l.reset()
			made := ch.make(t.client, changeKey(i))
			if !l.heard(changeKey(i)) {
				t.fail(failure{made.text, "nothing was told when it had returned", "the Watcher to be told by then, as AlwaysProven says"})
			}
		}
	}),

	rule("OneAtATime", "The methods of a Watcher are called one at a time, whatever happens at once: it need not be safe for concurrent use.", func(t *trial) {
		l := t.listen()
		t.parallel(callers, func(i int) {
			for round := range rounds / 4 {
				key := fmt.Sprintf("key%d.%d", i, round)
				t.Set(key, "v", t.long()).ok()
				if round%4 == 0 {
					t.Delete(key).ok()
				}
			}
		})
		l.proves()
	}),

	rule("Ends", "Soon after the context has ended nothing is told any more, so that a Watcher that is given up is garbage, and not one call per write for ever.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		ended := t.with(ctx).listen()
		l := t.listen()
		cancel()
		t.endsFor(ended, l)
	}),

	rule("DoneContext", "Watch with a context that has ended already fails with its error, and registers nothing.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		l := t.listen()
		late := &listener{t: t, told: make(map[string]int)}
		t.with(ctx).Watch(late).fails(context.Canceled)
		t.endsFor(late, l)
	}),

	rule("Nil", "A nil Watcher is ErrInvalid at once, not a panic with the first write.", func(t *trial) {
		t.Watch(nil).fails(store.ErrInvalid)
		t.Set("k", "v", t.long()).ok()
		t.Delete("k").ok()
	}),

	rule("OwnKeys", "Keys are told as the caller knows them, whatever bytes they have, and no others: what the store keeps beside its entries is its own affair, and a name in its own notation would match nothing.", func(t *trial) {
		l := t.listen()
		l.reset()
		written := oddSample(t.suite.opts.MaxKey)
		t.eachOf(written, func(key string) { t.Set(key, "v", t.long()).ok() })
		if t.suite.offers("Lease") {
			c := t.by(byFunction)
			c.GetOrLease("leased", "token", t.long(), nil).leased(store.LeaseGranted)
			c.Hold("held", t.long()).ok()
		}
		l.proves()
		for _, key := range written {
			l.hears(key, "Set("+quote(key)+", …)")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for key := range l.told {
			if !slices.Contains(append(written, "leased", "held"), key) {
				t.fail(failure{"Invalidate", quote(key), "keys that were written to, and no others"})
			}
		}
	}),

	rule("TwoWatchers", "Each of several Watchers is told of everything, and the end of one does not concern the others: layers, and the loads that wait for others, each have their own.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		first, second, third := t.listen(), t.with(ctx).listen(), t.listen()
		set := t.Set("k", "v", t.long()).ok()
		for _, l := range []*listener{first, second, third} {
			l.hears("k", set.text)
		}
		cancel()
		time.Sleep(time.Millisecond)
		set = t.Set("l", "v", t.long()).ok()
		first.hears("l", set.text)
		third.hears("l", set.text)
	}),

	breaking(rule("AfterOutage", "Watch succeeds while the backend is away, and when it is back all Watchers are told and proven to again: what has to be watched must not depend on who was started first.", func(t *trial) {
		before := t.listen()
		t.suite.opts.Fault.Break()
		during := t.register()
		t.suite.opts.Fault.Restore()
		t.recovers()
		for i, l := range []*listener{before, during} {
			l.proves()
			l.reset()
			key := fmt.Sprintf("key%d", i)
			l.hears(key, t.Set(key, "v", t.long()).ok().text)
		}
	}, needBreak)),
)

func changeKey(i int) string { return fmt.Sprintf("key%d", i) }

// prepareChanges writes the entries that the changes replace or remove.
func (t *trial) prepareChanges() []change {
	changes := t.changes()
	for i, ch := range changes {
		if ch.onOld {
			t.Set(changeKey(i), "old", t.long()).ok()
		}
	}
	return changes
}

// tells checks that all changes which c makes are told.
func (t *trial) tells(c *client) {
	changes := t.prepareChanges()
	l := t.listen()
	for i, ch := range changes {
		l.reset()
		made := ch.make(c, changeKey(i))
		l.hears(changeKey(i), made.text)
	}
}

// endsFor checks that nothing is told to ended any more, soon. What l is told
// shows that there was something to tell.
func (t *trial) endsFor(ended, l *listener) {
	n := 0
	if !await(func() bool {
		n++
		ended.reset()
		key := fmt.Sprintf("key%d", n)
		l.hears(key, t.Set(key, "v", t.long()).ok().text)
		l.proves()
		return ended.quiet()
	}) {
		t.fail(failure{"a Watcher whose context has ended", "it is still told of writes", "nothing more"})
	}
}
