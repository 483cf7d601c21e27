package conformance

import (
	"slices"
	"time"

	"github.com/cairncache/cairn/store"
)

var getManyWithTTLCases = append(group("GetManyWithTTL", readsMany((*trial).GetManyWithTTL)...), group("GetManyWithTTL",
	rule("PresentOnes", "The result has the keys that are present, with their values, and no others, as for GetMany.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "empty": "", "c": "3"})
		t.GetManyWithTTL("a", "absent", "empty", "gone").is(map[string]string{"a": "1", "empty": ""})
		t.GetManyWithTTL("absent", "gone").is(map[string]string{})
		t.GetManyWithTTL().is(map[string]string{})
	}),

	rule("OwnTTL", "Each value comes with the time to live of its own entry. A layer above keeps its copy for as long as this says, so that the ttl of another one serves stale data.", func(t *trial) {
		ttls := append(testedTTLs(), store.Forever, store.DefaultTTL)
		written := make(map[string]*outcome)
		var keys []string
		for i, ttl := range ttls {
			key := string(rune('a' + i))
			written[key] = t.Set(key, "value of "+key, ttl).ok()
			keys = append(keys, key, "no "+key)
		}
		slices.Reverse(keys)
		found := t.GetManyWithTTL(keys...)
		for i, ttl := range ttls {
			key := string(rune('a' + i))
			found.of(key).isWithin(written[key], ttl, "value of "+key).lasts(written[key], ttl)
		}
	}),

	rule("SameEntry", "Value and time to live are of one entry: when that is replaced both change, whichever of the two had been longer.", func(t *trial) {
		for _, ttl := range []time.Duration{t.long(), 2 * t.long(), store.Forever, t.long()} {
			set := t.Set("k", showTTL(ttl), ttl).ok()
			t.GetManyWithTTL("absent", "k").of("k").is(showTTL(ttl)).lasts(set, ttl)
		}
	}),

	rule("Expired", "An expired entry is left out, and the time left of the others shrinks as time passes.", func(t *trial) {
		short := t.Set("short", "v", t.short()).ok()
		long := t.Set("long", "w", t.long()).ok()
		t.sleepPast(short, t.short())
		found := t.GetManyWithTTL("short", "long").is(map[string]string{"long": "w"})
		found.of("long").lasts(long, t.long())
	}),

	rule("Twice", "A key that is named twice is one entry of the result, and does not shift the others.", func(t *trial) {
		a := t.Set("a", "1", t.long()).ok()
		b := t.Set("b", "2", 2*t.long()).ok()
		found := t.GetManyWithTTL("a", "absent", "a", "b", "absent", "b").is(map[string]string{"a": "1", "b": "2"})
		found.of("a").lasts(a, t.long())
		found.of("b").lasts(b, 2*t.long())
	}),

	rule("Slices", "The caller owns the map and the values, and the slice of keys: it is neither kept nor changed, its order included.", func(t *trial) {
		t.setAll(map[string]string{"a": "first", "b": "second"})
		keys := append(make([]string, 0, 8), "b", "absent", "a", "b")
		before := slices.Clone(keys)
		o := t.GetManyWithTTL(keys...).is(map[string]string{"a": "first", "b": "second"})
		if !slices.Equal(keys, before) {
			t.fail(failure{o.text, "the keys became " + quoteAll(keys), quoteAll(before)})
		}
		scribble(o.of("a").bytes())
		if string(o.of("b").bytes()) != "second" {
			o.wanted("values that share no memory: writing to one, up to its capacity, changed another")
		}
		scribble(o.of("b").bytes())
		clear(o.value.(map[string]store.Entry))
		t.GetManyWithTTL("a", "b").is(map[string]string{"a": "first", "b": "second"})
	}),
)...)
