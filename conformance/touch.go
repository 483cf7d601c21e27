package conformance

import (
	"time"

	"github.com/cairncache/cairn/store"
)

var touchCases = group("Touch",
	unsupported("Touch"),

	rule("NewTTL", "The entry has the new ttl, counted from now, whether it is shorter or longer than what was left, and the same value.", func(t *trial) {
		short, long := t.short(), t.long()
		t.Set("shorter", "v", long).ok()
		shorter := t.Touch("shorter", short).ok()
		first := t.Set("longer", "w", short).ok()
		longer := t.Touch("longer", long)
		if longer.late(first, short) {
			t.skip("the machine or the network was too slow")
		}
		longer.ok()
		t.TTL("longer").lasts(longer, long)
		t.lives(shorter, "shorter", "v", short)
		t.sleepWellPast(first, short)
		t.Get("longer").is("w")
		forever := t.Touch("longer", store.Forever).ok()
		t.TTL("longer").lasts(forever, store.Forever)
		t.Get("longer").is("w")
	}),

	rule("TTL", "A ttl means what it means to Set, whatever its length: one library rounds up in Set and down in Touch, and so turns half a second into \"for ever\".", func(t *trial) {
		t.obeys(func(key string, ttl time.Duration) *outcome {
			t.Set(key, "v", t.long()/2).ok()
			return t.Touch(key, ttl).ok()
		})
	}),

	rule("Miss", "An absent, deleted or expired key is the bare ErrNotFound, and is not brought back: its value is gone for a reason.", func(t *trial) {
		t.Touch("absent", t.long()).miss()
		t.Get("absent").miss()
		t.Set("deleted", "v", t.long()).ok()
		t.Delete("deleted").ok()
		t.Touch("deleted", t.long()).miss()
		t.Get("deleted").miss()
		set := t.Set("expired", "v", t.short()).ok()
		t.sleepPast(set, t.short())
		t.Touch("expired", t.long()).miss()
		t.Get("expired").miss()
	}),

	rule("KeepsValue", "The value stays as it is, also when it is empty, large or odd.", func(t *trial) {
		t.eachOnKey(append(oddValues(), "", pattern(10_000)), func(key, value string) {
			t.Set(key, value, t.long()).ok()
			t.Touch(key, t.long()).ok()
			t.Get(key).is(value)
		})
	}),
)
