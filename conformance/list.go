package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/cairncache/cairn/store"
)

var keysCases = group("Keys",
	unsupported("Keys"),

	rule("All", "The empty prefix yields every key of this store, and none that is not there: deleting by pattern must find all of them.", func(t *trial) {
		t.Keys("", nil).is([]string(nil))
		t.setAll(map[string]string{"a": "1", "b": "2", "c": "", "d": "4"})
		t.Delete("d").ok()
		t.Keys("", nil).is([]string{"a", "b", "c"})
	}),

	rule("Prefix", "Only keys that begin with the prefix are yielded, and the prefix is text: a * in it is a *, and a scan that takes it for a pattern lists, and then deletes, other people's keys.", func(t *trial) {
		t.setAll(map[string]string{"user:1": "", "user:2": "", "user": "", "use": "", "user*x": "", "users:1": "", "u?": "", "ux": "", "[u]": "", "u": "", `\u`: "", "User:1": ""})
		t.Keys("user:", nil).is([]string{"user:1", "user:2"})
		t.Keys("user*", nil).is([]string{"user*x"})
		t.Keys("u?", nil).is([]string{"u?"})
		t.Keys("[u]", nil).is([]string{"[u]"})
		t.Keys(`\u`, nil).is([]string{`\u`})
		t.Keys("U", nil).is([]string{"User:1"})
		t.Keys("user:1", nil).is([]string{"user:1"})
		t.Keys("absent", nil).is([]string(nil))
		t.Keys("*", nil).is([]string(nil))
	}),

	rule("OddKeys", "Keys are yielded as they were set, byte for byte: what is listed must be what can be read and deleted.", func(t *trial) {
		odd := oddSample(t.suite.opts.MaxKey)
		t.eachOf(odd, func(key string) { t.Set(key, "v", store.Forever).ok() })
		t.Keys("", nil).is(odd)
	}),

	rule("Expired", "An expired key is never listed, even if it has not been removed yet: it cannot be read.", func(t *trial) {
		set := t.Set("short", "v", t.short()).ok()
		t.Set("long", "w", t.long()).ok()
		t.sleepPast(set, t.short())
		t.Keys("", nil).is([]string{"long"})
		t.Keys("s", nil).is([]string(nil))
	}),

	rule("Many", "A key that is there the whole time is yielded, however many there are, also while others come and go.", func(t *trial) {
		keys := manyKeys()
		want := make(map[string]string)
		for _, key := range keys {
			want[key] = "v"
		}
		t.by(byFunction).SetMany(itemsOf(want)...).ok()
		t.Keys("", nil).is(keys)
		t.Keys("key:00", nil).is(keys[:100])
		n := 0
		o := t.Keys("key:", func(key string) bool {
			if n++; n%10 == 0 {
				t.parallel(2, func(i int) {
					if i == 0 {
						t.Set(fmt.Sprintf("other:%d", n), "v", store.Forever).ok()
					} else {
						t.Delete(fmt.Sprintf("other:%d", n-10)).ok()
					}
				})
			}
			return true
		})
		o.is(keys)
	}),

	rule("LoopUsesStore", "No lock is held while a key is yielded: the loop may read, write and delete, or else it waits for itself.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2", "c": "3"})
		t.Keys("", func(key string) bool {
			t.Get(key).ok()
			t.Delete(key).ok()
			return true
		}).ok()
		t.Keys("", nil).is([]string(nil))
	}),

	rule("StopEarly", "A loop that ends early is left alone, and the store works afterwards.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2", "c": "3"})
		o := t.Keys("", func(string) bool { return false }).ok()
		if len(o.value.([]string)) != 1 {
			o.wanted("one key, as the loop ended then")
		}
		t.Get("a").is("1")
		t.Set("a", "2", store.Forever).ok()
		t.Keys("", nil).is([]string{"a", "b", "c"})
	}),

	rule("ErrorLast", "A context that ends during the loop ends it with one error, yielded last and without a key, or lets it finish. A loop that just stops is taken for complete.", func(t *trial) {
		want := make(map[string]string)
		for _, key := range manyKeys() {
			want[key] = "v"
		}
		t.by(byFunction).SetMany(itemsOf(want)...).ok()
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		o := t.with(ctx).Keys("", func(string) bool { cancel(); return true })
		if o.err != nil {
			o.fails(context.Canceled)
		} else if keys := slices.Compact(o.value.([]string)); len(keys) != many {
			o.wanted("%d keys, or an error at the end", many)
		}
	}),

	rule("Matching", "GetMatching and DeleteMatching find the entries that a pattern selects, and those alone: that a key is a pattern too has no meaning.", func(t *trial) {
		t.setAll(map[string]string{"user:1": "1", "user:2": "2", "user:*": "3", "use": "4", "team:1": "5", "User:1": "6"})
		glob, err := store.Glob("user:?")
		if err != nil {
			t.fail(failure{`store.Glob("user:?")`, err.Error(), "a Match"})
		}
		found, err := store.GetMatching(t.ctx, t.s, glob)
		(&outcome{t: t, text: `store.GetMatching(Glob("user:?"))`, value: found, err: err}).is(map[string]string{"user:1": "1", "user:2": "2", "user:*": "3"})
		literal, err := store.Glob(`user:\*`)
		if err != nil {
			t.fail(failure{"store.Glob(`user:\\*`)", err.Error(), "a Match"})
		}
		n, err := store.DeleteMatching(t.ctx, t.s, literal)
		(&outcome{t: t, text: "store.DeleteMatching(Glob(`user:\\*`))", value: n, err: err}).is(1)
		t.by(byFunction).Keys("", nil).is([]string{"User:1", "team:1", "use", "user:1", "user:2"})
	}),

	rule("Views", "A view made by store.Prefix lists its own keys alone, without the prefix, and so do views of which one's prefix looks like a pattern for the other's.", func(t *trial) {
		for _, prefix := range []string{"a:", "b:", "*:", "ab:", "[ab]:", "a?"} {
			t.on(store.Prefix(t.s, prefix), "view "+prefix).Set("in "+prefix, "v", store.Forever).ok()
		}
		for _, prefix := range []string{"a:", "b:", "*:", "ab:", "[ab]:", "a?"} {
			t.on(store.Prefix(t.s, prefix), "view "+prefix).Keys("", nil).is([]string{"in " + prefix})
		}
	}),
)

var clearCases = group("Clear",
	unsupported("Clear"),

	rule("RemovesAll", "After Clear the store is empty, whatever the keys and expiries were.", func(t *trial) {
		t.Clear().ok()
		odd := oddSample(t.suite.opts.MaxKey)
		t.each(len(odd), func(i int) {
			ttl := store.Forever
			if i%2 == 0 {
				ttl = t.long()
			}
			t.Set(odd[i], "v", ttl).ok()
		})
		t.Clear().ok()
		t.by(byFunction).GetMany(odd...).is(map[string]string{})
		t.TTL(odd[0]).miss()
		t.holds()
	}),

	rule("Many", "Clear removes more entries than fit into one request.", func(t *trial) {
		want := make(map[string]string)
		for _, key := range manyKeys() {
			want[key] = "v"
		}
		t.by(byFunction).SetMany(itemsOf(want)...).ok()
		t.Clear().ok()
		t.by(byFunction).GetMany(manyKeys()...).is(map[string]string{})
	}),

	rule("ThenUse", "A cleared store is used as before, with the same keys: what was cleared does not come back, and neither do its ttls.", func(t *trial) {
		first := t.Set("k", "old", t.short()).ok()
		t.Set("other", "old", store.Forever).ok()
		t.Clear().ok()
		set := t.Set("k", "new", t.long()).ok()
		t.Get("k").is("new")
		t.TTL("k").lasts(set, t.long())
		t.sleepWellPast(first, t.short())
		t.Get("k").is("new")
		t.Get("other").miss()
		t.Clear().ok()
		t.Get("k").miss()
	}),

	rule("Neighbours", "Clear removes this store's entries and nothing else on the server: one library's Clear is FLUSHALL, and everybody's data is gone.", func(t *trial) {
		neighbour := t.on(t.open(), "neighbour")
		defer t.closeQuietly(neighbour.s)
		t.Set("k", "mine", store.Forever).ok()
		if neighbour.Get("k").err == nil {
			t.skip("open returned a second handle on the same entries, not a store of its own")
		}
		neighbour.Set("k", "theirs", store.Forever).ok()
		neighbour.Set("other", "theirs", store.Forever).ok()
		t.Clear().ok()
		t.Get("k").miss()
		neighbour.Get("k").is("theirs")
		neighbour.Get("other").is("theirs")
	}),

	rule("Views", "Clearing a view made by store.Prefix leaves everything beside it, also under a prefix that begins alike or looks like a pattern.", func(t *trial) {
		t.Set("plain", "v", store.Forever).ok()
		for _, prefix := range []string{"a:", "ab:", "*:", "?:"} {
			t.on(store.Prefix(t.s, prefix), "view "+prefix).Set("k", "v", store.Forever).ok()
		}
		t.on(store.Prefix(t.s, "*:"), "view *:").by(byFunction).Clear().ok()
		t.Get("*:k").miss()
		t.Get("?:k").is("v")
		t.on(store.Prefix(t.s, "a:"), "view a:").by(byFunction).Clear().ok()
		t.Get("a:k").miss()
		t.Get("ab:k").is("v")
		t.Get("?:k").is("v")
		t.Get("plain").is("v")
	}, need("Keys")),
)
