package conformance

import (
	"context"
	"strings"

	"github.com/cairncache/cairn/store"
)

var basicsCases = group("Basics",
	rule("SetThenGet", "What was set is what is read, and at once: a program that writes and then reads must not see an older state.", func(t *trial) {
		t.Set("k", "v", store.Forever).ok()
		t.Get("k").is("v")
		t.Get("k").is("v")
	}),

	rule("MissIsBare", "A miss is nil and ErrNotFound itself, from Get and TTL. It is the commonest result of a cache: wrapping it costs an allocation each time, and code that compares with == takes it for a failure.", func(t *trial) {
		t.Get("absent").miss()
		t.TTL("absent").miss()
		t.Set("k", "v", store.Forever).ok()
		t.Get("absent").miss()
		t.TTL("absent").miss()
	}),

	rule("SetReplaces", "The later Set wins, also with a shorter value. Otherwise readers get data that was replaced, or the old value's tail.", func(t *trial) {
		t.Set("k", "a long first value", store.Forever).ok()
		t.Set("k", "second", store.Forever).ok()
		t.Get("k").is("second")
		t.Set("k", "a still longer third value", store.Forever).ok()
		t.Get("k").is("a still longer third value")
	}),

	rule("DeleteRemoves", "After Delete the key is a miss, and can be set anew. A delete that does not is data that was withdrawn and is still served.", func(t *trial) {
		t.Set("k", "v", store.Forever).ok()
		t.Delete("k").ok()
		t.Get("k").miss()
		t.TTL("k").miss()
		t.Set("k", "w", store.Forever).ok()
		t.Get("k").is("w")
	}),

	rule("DeleteAbsent", "Deleting an absent key succeeds, so that an invalidation can be repeated and need not know whether anything was cached.", func(t *trial) {
		t.Delete("absent").ok()
		t.Set("k", "v", store.Forever).ok()
		t.Delete("k").ok()
		t.Delete("k").ok()
		t.Get("k").miss()
	}),

	rule("KeysAreApart", "Writing or deleting a key touches no other one.", func(t *trial) {
		t.Set("a", "1", store.Forever).ok()
		t.Set("ab", "2", store.Forever).ok()
		t.Set("b", "3", store.Forever).ok()
		t.Set("ab", "4", store.Forever).ok()
		t.Delete("a").ok()
		t.Get("a").miss()
		t.Get("ab").is("4")
		t.Get("b").is("3")
	}),

	rule("TTLIsNoWrite", "Asking for the ttl changes nothing: not the value, not the expiry.", func(t *trial) {
		set := t.Set("k", "v", t.long()).ok()
		t.TTL("k").lasts(set, t.long())
		t.TTL("k").lasts(set, t.long())
		t.Get("k").is("v")
	}),

	rule("ErrorsHideValues", "No error shows a value: errors are logged, and cached values are passwords and personal data too.", func(t *trial) {
		const secret = "a secret value"
		done, cancel := context.WithCancel(t.ctx)
		cancel()
		hides := func(o *outcome) {
			if o.err != nil && strings.Contains(o.err.Error(), secret) {
				o.wanted("an error without the value")
			}
		}
		for _, w := range t.writers() {
			hides(w.write(t.client, "k", secret, -1))
			hides(w.write(t.client, "", secret, t.long()))
			hides(w.write(t.client, strings.Repeat("k", store.MaxKeyLen+1), secret, t.long()))
			hides(w.write(t.with(done), "k", secret, t.long()))
		}
		t.Close()
		for _, w := range t.writers() {
			hides(w.write(t.client, "k", secret, t.long()))
		}
	}),
)
