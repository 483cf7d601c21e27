package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

var leaseCases = group("Lease",
	unsupported("Lease"),

	rule("Found", "Where there is an entry GetOrLease returns it with the time that it has left, and takes no lease: a hit must not keep the next load waiting.", func(t *trial) {
		set := t.Set("k", "v", t.long()).ok()
		t.GetOrLease("k", "first", t.long(), nil).found("v").lasts(set, t.long())
		forever := t.Set("forever", "", store.Forever).ok()
		t.GetOrLease("forever", "first", t.long(), nil).found("").lasts(forever, store.Forever)
		t.GetOrLease("k", "second", t.long(), store.LiveBytes([]byte("v"))).leased(store.LeaseGranted)
	}),

	rule("OneLoads", "Where there is no entry the first who asks gets the lease, and all others are told that it is taken and for how long: else a missing entry is loaded by every caller at once.", func(t *trial) {
		granted := t.GetOrLease("k", "first", t.long(), nil).leased(store.LeaseGranted).lastsLease(nil, t.long())
		t.GetOrLease("k", "second", t.long()/2, nil).leased(store.LeaseTaken).lastsLease(granted, t.long())
		t.GetOrLease("other", "second", t.long(), nil).leased(store.LeaseGranted)
		if t.suite.canReopen {
			second := t.reopen()
			defer t.closeQuietly(second.s)
			second.GetOrLease("k", "third", t.long(), nil).leased(store.LeaseTaken).lastsLease(granted, t.long())
		}
		t.GetOrLease("k", "fourth", t.long(), nil).leased(store.LeaseTaken)
	}),

	rule("Fill", "The holder of the lease stores what it has loaded, once: the lease has ended by then, and a second Fill does not bring back what was deleted after the first.", func(t *trial) {
		t.GetOrLease("k", "first", t.long(), nil).leased(store.LeaseGranted)
		filled := t.Fill("k", "first", "v", t.long()).is(true)
		t.Get("k").is("v")
		t.GetOrLease("k", "second", t.long(), nil).found("v").lasts(filled, t.long())
		t.Fill("k", "first", "again", t.long()).is(false)
		t.RenewLease("k", "first", t.long()).is(false)
		t.Get("k").is("v")
		t.Delete("k").ok()
		t.Fill("k", "first", "again", t.long()).is(false)
		t.Get("k").miss()
		t.GetOrLease("k", "second", t.long(), nil).leased(store.LeaseGranted)
	}),

	rule("FillTTL", "Fill gives the entry the ttl that it is given, with the meaning that it has for Set.", func(t *trial) {
		t.obeys(func(key string, ttl time.Duration) *outcome {
			t.GetOrLease(key, "token", t.long(), nil).leased(store.LeaseGranted)
			return t.Fill(key, "token", "v", ttl).is(true)
		})
	}),

	rule("FillLive", "Fill stores what SetLive would: Get reads its bytes, and a live store hands out the value itself.", func(t *trial) {
		v, l := newThing("text")
		t.GetOrLease("k", "token", t.long(), nil).leased(store.LeaseGranted)
		t.fillLive("k", "token", l, t.long()).is(true)
		t.by(byFunction).GetLive("k").is("text")
		if t.suite.offers("Live") && t.by(byFunction).GetLive("k").thing() != v {
			t.fail(failure{`GetLive("k")`, "another value of the same text", "the value that Fill was given"})
		}
		t.GetOrLease("k", "other", t.long(), nil).found("text")
		t.Get("k").is("text")
	}),

	rule("Strangers", "Another token than that of the lease stores nothing, renews nothing and ends nothing: it is that of a load which was overtaken.", func(t *trial) {
		t.GetOrLease("k", "holder", t.long(), nil).leased(store.LeaseGranted)
		for _, stranger := range []string{"stranger", "holde", "holder2", "HOLDER"} {
			t.Fill("k", stranger, "stolen", t.long()).is(false)
			t.Get("k").miss()
			t.RenewLease("k", stranger, t.long()).is(false)
			t.Abandon("k", stranger).ok()
			t.GetOrLease("k", stranger, t.long(), nil).leased(store.LeaseTaken)
		}
		t.Fill("other", "holder", "v", t.long()).is(false)
		t.Get("other").miss()
		t.Fill("k", "holder", "v", t.long()).is(true)
		t.Get("k").is("v")
	}),

	rule("WritesVoid", "Every write of the key ends its lease, so that a load which began before the write stores nothing after it. Else what was deleted comes back, and what was replaced stays.", func(t *trial) {
		t.voids(t.client)
	}),

	rule("OthersVoid", "A write by another process ends the lease as well.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.voids(second)
	}, needReopen),

	rule("ClearVoids", "Clear ends all leases and Holds: loads that began before it store nothing after it.", func(t *trial) {
		for _, w := range []way{byMethod, byFunction} {
			token := "lease by " + string(w)
			t.GetOrLease("k", token, t.long(), nil).leased(store.LeaseGranted)
			t.Hold("held", t.long()).ok()
			t.by(w).Clear().ok()
			t.Fill("k", token, "v", t.long()).is(false)
			t.Get("k").miss()
			t.GetOrLease("k", "next", t.long(), nil).leased(store.LeaseGranted)
			t.GetOrLease("held", "next", t.long(), nil).leased(store.LeaseGranted)
			t.Abandon("k", "next").ok()
			t.Abandon("held", "next").ok()
		}
	}, need("Clear")),

	rule("OthersDoNot", "What changes no value ends no lease: reads, Touch, expiry, and the writes that find another value than they want. A load that is refused for nothing is a load more.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		t.GetOrLease("k", "token", t.long(), store.LiveBytes([]byte("old"))).leased(store.LeaseGranted)
		t.GetOrLease("absent", "token", t.long(), nil).leased(store.LeaseGranted)
		t.idle("k")
		t.idle("absent")
		t.Fill("k", "token", "new", t.long()).is(true)
		t.Fill("absent", "token", "new", t.long()).is(true)
		set := t.Set("expires", "old", t.short()).ok()
		asked := t.GetOrLease("expires", "token", t.long(), store.LiveBytes([]byte("old")))
		asked.leased(store.LeaseGranted)
		t.sleepPast(set, t.short())
		t.Fill("expires", "token", "new", t.long()).is(true)
		t.Get("expires").is("new")
	}),

	rule("Despite", "An entry that the caller has found too old counts as none, and stays readable meanwhile: it is renewed by one caller, without a gap.", func(t *trial) {
		_, old := newThing("old")
		t.Set("k", "old", t.long()).ok()
		t.GetOrLease("k", "other", t.long(), store.LiveBytes([]byte("older"))).found("old")
		t.GetOrLease("k", "holder", t.long(), old).leased(store.LeaseGranted)
		t.Get("k").is("old")
		t.GetOrLease("k", "other", t.long(), nil).found("old")
		t.GetOrLease("k", "other", t.long(), old).leased(store.LeaseTaken)
		t.Fill("k", "holder", "new", t.long()).is(true)
		t.Get("k").is("new")
		t.GetOrLease("k", "other", t.long(), old).found("new")
		t.Set("empty", "", t.long()).ok()
		t.GetOrLease("empty", "holder", t.long(), store.LiveBytes(nil)).leased(store.LeaseGranted)
		t.Fill("empty", "holder", "v", t.long()).is(true)
		t.GetOrLease("absent", "holder", t.long(), old).leased(store.LeaseGranted)
		t.Fill("absent", "holder", "v", t.long()).is(true)
	}),

	rule("DespiteReplaced", "A lease despite an entry ends when that is written anew, even with the same bytes: it is younger than the load, which must not replace it.", func(t *trial) {
		old := store.LiveBytes([]byte("old"))
		for _, value := range []string{"new", "old", ""} {
			t.Set("k", "old", t.long()).ok()
			t.GetOrLease("k", "token of "+value, t.long(), old).leased(store.LeaseGranted)
			t.Set("k", value, t.long()).ok()
			t.Fill("k", "token of "+value, "loaded", t.long()).is(false)
			t.Get("k").is(value)
		}
	}),

	rule("OddKeys", "Any key can be leased, also one that is as long as keys may be, or looks like the name of a lease.", func(t *trial) {
		keys := oddSample(t.suite.opts.MaxKey)
		t.each(len(keys), func(i int) {
			t.GetOrLease(keys[i], tokenOf(i), t.long(), nil).leased(store.LeaseGranted)
		})
		t.each(len(keys), func(i int) {
			t.Get(keys[i]).miss()
			t.Fill(keys[i], tokenOf(i), "value of "+keys[i], t.long()).is(true)
		})
		t.eachOf(keys, func(key string) { t.Get(key).is("value of " + key) })
	}),

	rule("BadArguments", "A token of no bytes or more than 64, a life that is not positive, and what SetLive refuses are ErrInvalid and change nothing. A token is any bytes otherwise.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		for _, token := range []string{"", strings.Repeat("t", 65)} {
			t.GetOrLease("k", token, t.long(), nil).fails(store.ErrInvalid)
			t.GetOrLease("absent", token, t.long(), nil).fails(store.ErrInvalid)
			t.Fill("absent", token, "v", t.long()).fails(store.ErrInvalid)
			t.RenewLease("absent", token, t.long()).fails(store.ErrInvalid)
			t.Abandon("absent", token).fails(store.ErrInvalid)
		}
		any := "\x00\r\n \xff{}:" + strings.Repeat("t", 64-8)
		for _, life := range []time.Duration{0, -1, -t.long()} {
			t.GetOrLease("absent", any, life, nil).fails(store.ErrInvalid)
			t.RenewLease("absent", any, life).fails(store.ErrInvalid)
			t.Hold("k", life).fails(store.ErrInvalid)
		}
		t.GetOrLease("absent", any, t.long(), nil).leased(store.LeaseGranted)
		t.fillLive("absent", any, nil, t.long()).fails(store.ErrInvalid)
		t.Fill("absent", any, "v", -1).fails(store.ErrInvalid)
		t.Get("absent").miss()
		t.Fill("absent", any, "v", t.long()).is(true)
		t.Get("absent").is("v")
		t.Get("k").is("old")
	}),
)

// tokenOf is a token of its own for each i.
func tokenOf(i int) string { return fmt.Sprintf("token-%d", i) }

// lookup is what GetOrLease has returned.
func (o *outcome) lookup() store.Lookup { return o.ok().value.(store.Lookup) }

// leased checks for a Lookup that has no entry.
func (o *outcome) leased(want store.LeaseState) *outcome {
	if l := o.lookup(); l.Lease != want || l.Live != nil {
		o.wanted("a Lookup that says %v, without a Live", want)
	}
	return o
}

// found checks for a Lookup that has an entry.
func (o *outcome) found(want string) *outcome {
	l := o.lookup()
	if l.Lease != store.LeaseNone || l.Live == nil {
		o.wanted("a Lookup with the entry %s", quote(want))
	}
	if b, err := l.Live.Bytes(); err != nil || string(b) != want {
		o.t.fail(failure{o.text, "the entry " + showBytes(b), quote(want)})
	}
	return o
}

// lastsLease checks how long the lease or the Hold lasts that the call began
// has begun, or this one if began is nil: never more than the truth.
func (o *outcome) lastsLease(began *outcome, life time.Duration) *outcome {
	if began == nil {
		began = o
	}
	s := o.t.suite
	high := s.longest(life)
	if began != o {
		high -= o.t.atLeast(began.ended, o.began)
	}
	low := life - atMost(began.began, o.ended) - s.opts.TTLStep
	switch got := o.lookup().TTL; {
	case got > high:
		o.wanted("a TTL of at most %v", high)
	case got < low || got <= 0:
		o.wanted("a TTL of at least %v", max(low, 1))
	}
	return o
}

// voids checks that each change that c makes ends the lease that was granted
// before.
func (t *trial) voids(c *client) {
	changes := t.changes()
	t.each(len(changes), func(i int) {
		ch := changes[i]
		if ch.onAbsent {
			key := fmt.Sprintf("absent%d", i)
			t.GetOrLease(key, "token", t.long(), nil).leased(store.LeaseGranted)
			t.voided(ch.make(c, key), key)
		}
		if ch.onOld {
			key := fmt.Sprintf("old%d", i)
			t.Set(key, "old", t.long()).ok()
			t.GetOrLease(key, "token", t.long(), store.LiveBytes([]byte("old"))).leased(store.LeaseGranted)
			t.voided(ch.make(c, key), key)
		}
	})
}

// voided checks that there is no lease, and that it stores nothing over what
// the change has left.
func (t *trial) voided(made *outcome, key string) {
	left := t.Get(key)
	t.RenewLease(key, "token", t.long()).is(false)
	t.Fill(key, "token", "loaded", t.long()).is(false)
	if left.err != nil {
		left.miss()
		t.Get(key).miss()
		t.GetOrLease(key, "next", t.long(), nil).leased(store.LeaseGranted)
		return
	}
	t.Get(key).is(string(left.bytes()))
}

// idle calls what changes no value, on a key whose value is not "other".
func (t *trial) idle(key string) {
	t.Get(key)
	t.TTL(key)
	for _, w := range []way{byMethod, byFunction} {
		for name, call := range map[string]func(c *client){
			"GetMany":          func(c *client) { c.GetMany(key).ok() },
			"GetWithTTL":       func(c *client) { c.GetWithTTL(key) },
			"GetManyWithTTL":   func(c *client) { c.GetManyWithTTL(key).ok() },
			"Touch":            func(c *client) { c.Touch(key, t.long()/2) },
			"CompareAndSwap":   func(c *client) { c.CompareAndSwap(key, []byte("other"), []byte("new"), t.long()).is(false) },
			"CompareAndDelete": func(c *client) { c.CompareAndDelete(key, []byte("other")).is(false) },
			"Live":             func(c *client) { c.GetLive(key) },
			"Keys":             func(c *client) { c.Keys("", nil).ok() },
		} {
			if t.can(name, w) {
				call(t.by(w))
			}
		}
	}
	if t.can("Add", byFunction) && t.Get(key).err == nil {
		t.by(byFunction).Add(key, "new", t.long()).is(false)
	}
}

// can reports whether an ability can be called in this way.
func (t *trial) can(name string, w way) bool {
	ways, _ := t.suite.ways(testCase{ability: name, needs: always})
	return slices.Contains(ways, w)
}
