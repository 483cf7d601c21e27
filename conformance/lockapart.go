package conformance

import (
	"fmt"
	"slices"

	"github.com/cairncache/cairn/store"
)

// lockApartCases are those of the group Lock about locks and entries.
var lockApartCases = group("Lock",
	rule("NoEntries", "A lock is no entry: no method that reads meets one, of its key or of any other, and where only a lock is a value can be added. Who lists what is cached must not find it, nor who deletes what was listed.", func(t *trial) {
		for i, key := range lockedKeys {
			t.TryLock(key, tokenOf(i), t.long()).locked()
		}
		for _, key := range lockedKeys {
			t.Get(key).miss()
			t.TTL(key).miss()
		}
		for _, w := range []way{byMethod, byFunction} {
			c := t.by(w)
			for name, call := range map[string]func(){
				"GetMany":          func() { c.GetMany(lockedKeys...).is(map[string]string{}) },
				"GetManyWithTTL":   func() { c.GetManyWithTTL(lockedKeys...).is(map[string]string{}) },
				"GetWithTTL":       func() { c.GetWithTTL("k").miss() },
				"Live":             func() { c.GetLive("k").miss() },
				"Keys":             func() { c.Keys("", nil).nothing().ok() },
				"Touch":            func() { c.Touch("k", t.long()).miss() },
				"CompareAndDelete": func() { c.CompareAndDelete("k", []byte(tokenOf(0))).is(false) },
				"Lease": func() {
					c.GetOrLease("k", "load", t.long(), nil).leased(store.LeaseGranted)
					c.Abandon("k", "load").ok()
				},
				"Add": func() {
					c.Add("k", "v", t.long()).is(true)
					t.Delete("k").ok()
				},
			} {
				if t.can(name, w) {
					call()
				}
			}
		}
		t.heldStill()
	}),

	rule("EntriesDoNot", "What happens to the entry of a key does not concern its lock, whatever method does it: the lock of a report is held while the report is written.", func(t *trial) {
		for i, key := range lockedKeys {
			t.TryLock(key, tokenOf(i), t.long()).locked()
		}
		t.eachOf(lockedKeys, func(key string) {
			for _, ch := range t.changes() {
				if ch.onOld {
					t.Set(key, "old", t.long()).ok()
					ch.make(t.client, key)
				}
				if ch.onAbsent {
					t.Delete(key).ok()
					ch.make(t.client, key)
				}
			}
			expires := t.Set(key, "v", t.short()).ok()
			if key == "k" {
				t.sleepPast(expires, t.short())
				t.Get(key).miss()
			}
		})
		t.heldStill()
	}),

	rule("ClearDoesNot", "Clear ends no lock: whoever clears a cache does not know who is at work.", func(t *trial) {
		for _, w := range []way{byMethod, byFunction} {
			for i, key := range lockedKeys {
				t.TryLock(key, tokenOf(i), t.long()).locked()
				t.Set(key, "v", t.long()).ok()
			}
			t.by(w).Clear().ok()
			t.Get("k").miss()
			t.heldStill()
		}
	}, need("Clear")),

	rule("LocksDoNot", "What happens to the lock of a key does not concern its entry, nor its lease: neither is there less time for it, nor is it gone with the lock.", func(t *trial) {
		set := t.Set("k", "v", t.long()).ok()
		t.TryLock("k", "first", t.long()/2).locked()
		t.ExtendLock("k", "first", t.long()/2).is(true)
		t.TryLock("k", "second", t.long()).refused()
		t.Get("k").is("v")
		t.Unlock("k", "first").is(true)
		t.Get("k").is("v")
		t.TTL("k").lasts(set, t.long())
		locked := t.TryLock("k", "third", t.short()).locked()
		t.sleepPast(locked, t.short())
		t.TryLock("k", "fourth", 2*t.long()).locked()
		t.Get("k").is("v")
		t.TTL("k").lasts(set, t.long())
		if t.can("Keys", byFunction) {
			t.by(byFunction).Keys("", nil).is([]string{"k"})
		}
		if t.can("Lease", byFunction) {
			c := t.by(byFunction)
			c.GetOrLease("leased", "load", t.long(), nil).leased(store.LeaseGranted)
			t.TryLock("leased", "load", t.long()).locked()
			t.Unlock("leased", "load").is(true)
			c.Fill("leased", "load", "v", t.long()).is(true)
		}
	}),
)

// lockedKeys are some of which the slots of a cluster are found in different
// ways.
var lockedKeys = []string{"k", "{tag}ged", "br{aces", "}"}

// heldStill checks that the locks of lockedKeys are held by their tokens, and
// frees them.
func (t *trial) heldStill() {
	for i, key := range slices.All(lockedKeys) {
		t.TryLock(key, fmt.Sprint("stranger", i), t.long()).refused()
		t.Unlock(key, tokenOf(i)).is(true)
	}
}
