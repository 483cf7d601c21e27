package conformance

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// many is more keys than backends and fallbacks put into one request.
const many = 1200

func manyKeys() []string {
	keys := make([]string, many)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%04d", i)
	}
	return keys
}

func itemsOf(values map[string]string) []store.Item {
	var items []store.Item
	for key, value := range values {
		items = append(items, store.Item{Key: key, Value: []byte(value), TTL: store.Forever})
	}
	return items
}

// setAll stores values by Set, so that a case is about one ability alone.
func (t *trial) setAll(values map[string]string) {
	t.eachOf(slices.Collect(maps.Keys(values)), func(key string) {
		t.Set(key, values[key], store.Forever).ok()
	})
}

// getsAll checks values by Get, likewise.
func (t *trial) getsAll(want map[string]string) {
	t.eachOf(slices.Collect(maps.Keys(want)), func(key string) { t.Get(key).is(want[key]) })
}

// readsMany are the cases that GetMany and GetManyWithTTL share.
func readsMany(get func(t *trial, keys ...string) *outcome) []testCase {
	return []testCase{
		rule("Many", "More keys than fit into one request all get their own value.", func(t *trial) {
			want := make(map[string]string)
			keys := manyKeys()
			for i, key := range keys {
				if i%3 > 0 { // so that the present ones are not where they were asked for
					want[key] = "value of " + key
				}
			}
			t.by(byFunction).SetMany(itemsOf(want)...).ok()
			get(t, keys...).is(want)
		}),

		rule("OddKeys", "The result names the keys as the caller did, byte for byte, whatever the backend calls them.", func(t *trial) {
			want := make(map[string]string)
			for _, key := range oddSample(t.suite.opts.MaxKey) {
				want[key] = "value of " + key
			}
			t.setAll(want)
			get(t, oddSample(t.suite.opts.MaxKey)...).is(want)
		}),

		rule("BadKey", "A bad key fails the whole call with ErrInvalid. Answered as a miss it would hide a bug of the caller.", func(t *trial) {
			t.Set("a", "1", store.Forever).ok()
			for _, bad := range []string{"", strings.Repeat("k", store.MaxKeyLen+1)} {
				get(t, bad).fails(store.ErrInvalid).nothing()
				get(t, "a", bad, "absent").fails(store.ErrInvalid).nothing()
			}
		}),
	}
}

var getManyCases = append(group("GetMany", readsMany((*trial).GetMany)...), group("GetMany",
	rule("PresentOnes", "The result has the keys that are present, with their values, and no others: a caller takes what is not in the map for a miss, and loads it.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2", "c": "3"})
		t.GetMany("a", "absent", "c", "gone").is(map[string]string{"a": "1", "c": "3"})
		t.GetMany("absent", "gone").is(map[string]string{})
		t.GetMany("b").is(map[string]string{"b": "2"})
	}),

	rule("NoKeys", "No keys give no values and no error: batches are often empty after a first level has answered.", func(t *trial) {
		t.GetMany().is(map[string]string{})
	}),

	rule("EmptyValues", "An empty value is there, as it is for Get.", func(t *trial) {
		t.setAll(map[string]string{"empty": "", "full": "v"})
		t.GetMany("empty", "full", "absent").is(map[string]string{"empty": "", "full": "v"})
	}),

	rule("Expired", "An expired entry is left out: a batch that looks at no clock serves what single reads know to be gone.", func(t *trial) {
		set := t.Set("short", "v", t.short()).ok()
		t.Set("long", "w", t.long()).ok()
		t.sleepPast(set, t.short())
		t.GetMany("short", "long").is(map[string]string{"long": "w"})
	}),

	rule("Twice", "A key that is named twice is one entry of the result, and does not shift the others.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2"})
		t.GetMany("a", "absent", "a", "b", "absent", "b").is(map[string]string{"a": "1", "b": "2"})
	}),

	rule("ResultIsTheCallers", "The caller owns the map and the values: writing to one value changes neither another one nor the store.", func(t *trial) {
		t.setAll(map[string]string{"a": "first", "b": "second", "c": "third"})
		o := t.GetMany("a", "b", "c").ok()
		values := o.value.(map[string][]byte)
		scribble(values["a"])
		if string(values["b"]) != "second" || string(values["c"]) != "third" {
			o.wanted("values that share no memory: writing to one, up to its capacity, changed another")
		}
		scribble(values["b"])
		clear(values)
		t.GetMany("a", "b", "c").is(map[string]string{"a": "first", "b": "second", "c": "third"})
		t.Get("a").is("first")
	}),

	rule("KeysAreTheCallers", "The slice of keys is neither kept nor changed, its order included.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2"})
		keys := append(make([]string, 0, 8), "b", "absent", "a", "b")
		before := slices.Clone(keys)
		o := t.GetMany(keys...).is(map[string]string{"a": "1", "b": "2"})
		if !slices.Equal(keys, before) {
			t.fail(failure{o.text, "the keys became " + quoteAll(keys), quoteAll(before)})
		}
	}),
)...)

var setManyCases = group("SetMany",
	rule("StoresAll", "Every item is stored, over what was there.", func(t *trial) {
		t.Set("b", "old", store.Forever).ok()
		want := map[string]string{"a": "1", "b": "2", "empty": ""}
		t.SetMany(itemsOf(want)...).ok()
		for key, value := range want {
			t.Get(key).is(value)
		}
	}),

	rule("NoItems", "No items are no error, and change nothing.", func(t *trial) {
		t.Set("k", "v", store.Forever).ok()
		t.SetMany().ok()
		t.Get("k").is("v")
	}),

	rule("OwnTTL", "Each item has its own ttl, with the meaning that it has for Set, and replaces the expiry that was there.", func(t *trial) {
		short, long := t.short(), t.long()
		t.Set("short", "old", store.Forever).ok()
		t.Set("forever", "old", short).ok()
		o := t.SetMany(
			store.Item{Key: "short", Value: []byte("1"), TTL: short},
			store.Item{Key: "long", Value: []byte("2"), TTL: long},
			store.Item{Key: "forever", Value: []byte("3"), TTL: store.Forever},
			store.Item{Key: "default", Value: []byte("4"), TTL: store.DefaultTTL},
		).ok()
		t.TTL("long").lasts(o, long)
		t.TTL("forever").lasts(o, store.Forever)
		t.TTL("default").lasts(o, store.DefaultTTL)
		t.lives(o, "short", "1", short)
		t.Get("long").is("2")
		t.Get("forever").is("3")
	}),

	rule("TTL", "A ttl means what it means to Set, whatever its length: rounded up, never down and never to no expiry.", func(t *trial) {
		t.obeys(func(key string, ttl time.Duration) *outcome {
			return t.SetMany(store.Item{Key: key, Value: []byte("v"), TTL: ttl}).ok()
		})
	}),

	rule("LastWins", "Of two items with one key the later wins, as if they were set one after the other.", func(t *trial) {
		o := t.SetMany(
			store.Item{Key: "k", Value: []byte("first"), TTL: t.short()},
			store.Item{Key: "other", Value: []byte("v"), TTL: store.Forever},
			store.Item{Key: "k", Value: []byte("second"), TTL: t.long()},
		).ok()
		t.Get("k").is("second")
		t.TTL("k").lasts(o, t.long())
		t.Get("other").is("v")
	}),

	rule("Many", "More items than fit into one request are all stored.", func(t *trial) {
		want := make(map[string]string)
		for _, key := range manyKeys() {
			want[key] = "value of " + key
		}
		t.SetMany(itemsOf(want)...).ok()
		t.by(byFunction).GetMany(manyKeys()...).is(want)
	}),

	rule("OddKeys", "Odd keys are stored under themselves, as by Set.", func(t *trial) {
		want := make(map[string]string)
		for _, key := range oddSample(t.suite.opts.MaxKey) {
			want[key] = "value of " + key
		}
		t.SetMany(itemsOf(want)...).ok()
		t.getsAll(want)
	}),

	rule("BadItem", "A bad key or a negative ttl in any item is ErrInvalid before anything is stored: half a batch is worse than none.", func(t *trial) {
		good := store.Item{Key: "good", Value: []byte("new"), TTL: store.Forever}
		for _, bad := range []store.Item{
			{Key: "", Value: []byte("new"), TTL: store.Forever},
			{Key: strings.Repeat("k", store.MaxKeyLen+1), Value: []byte("new"), TTL: store.Forever},
			{Key: "bad", Value: []byte("new"), TTL: -1},
		} {
			t.SetMany(good, bad).fails(store.ErrInvalid)
			t.SetMany(bad, good).fails(store.ErrInvalid)
			t.Get("good").miss()
			t.Get("bad").miss()
		}
	}),

	rule("KeepsNoSlice", "SetMany neither keeps nor changes the items or their values.", func(t *trial) {
		buffer := []byte("value and room behind it")
		before := bytes.Clone(buffer)
		items := []store.Item{{Key: "a", Value: buffer[:5], TTL: t.long()}, {Key: "b", Value: []byte("second"), TTL: t.long()}, {Key: "a", Value: buffer[:5], TTL: t.long()}}
		o := t.SetMany(items...).ok()
		if !bytes.Equal(buffer, before) || items[0].Key != "a" || items[1].Key != "b" || items[1].TTL != t.long() {
			t.fail(failure{o.text, "the items became " + showItems(items) + ", the buffer " + showBytes(buffer), "no change"})
		}
		scribble(buffer)
		items[1] = store.Item{}
		t.Get("a").is("value")
		t.Get("b").is("second")
	}),
)

var deleteManyCases = group("DeleteMany",
	rule("RemovesThese", "Every key that is named is removed, present or not, and no other one.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2", "c": "3", "ab": "4"})
		t.DeleteMany("a", "absent", "c").ok()
		t.Get("a").miss()
		t.Get("c").miss()
		t.Get("b").is("2")
		t.Get("ab").is("4")
		t.DeleteMany("a", "absent").ok()
	}),

	rule("NoKeys", "No keys are no error, and remove nothing.", func(t *trial) {
		t.Set("k", "v", store.Forever).ok()
		t.DeleteMany().ok()
		t.Get("k").is("v")
	}),

	rule("Twice", "A key may be named twice, as when the keys of several requests are put together.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2"})
		t.DeleteMany("a", "b", "a").ok()
		t.Get("a").miss()
		t.Get("b").miss()
	}),

	rule("Many", "More keys than fit into one request are all removed.", func(t *trial) {
		want := make(map[string]string)
		for _, key := range manyKeys() {
			want[key] = "v"
		}
		t.Set("kept", "v", store.Forever).ok()
		t.by(byFunction).SetMany(itemsOf(want)...).ok()
		t.DeleteMany(manyKeys()...).ok()
		t.by(byFunction).GetMany(append(manyKeys(), "kept")...).is(map[string]string{"kept": "v"})
	}),

	rule("OddKeys", "Odd keys remove their own entry each: the key * is one key.", func(t *trial) {
		odd := oddSample(t.suite.opts.MaxKey)
		kept := make(map[string]string)
		var gone []string
		t.eachOf(odd, func(key string) { t.Set(key, "value of "+key, store.Forever).ok() })
		for i, key := range odd {
			if i%2 == 0 {
				gone = append(gone, key)
			} else {
				kept[key] = "value of " + key
			}
		}
		t.DeleteMany(gone...).ok()
		t.by(byFunction).GetMany(odd...).is(kept)
	}),

	rule("BadKey", "A bad key fails the whole call with ErrInvalid, before anything is removed.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2"})
		for _, bad := range []string{"", strings.Repeat("k", store.MaxKeyLen+1)} {
			t.DeleteMany("a", bad, "b").fails(store.ErrInvalid)
		}
		t.Get("a").is("1")
		t.Get("b").is("2")
	}),

	rule("KeysAreTheCallers", "The slice of keys is neither kept nor changed.", func(t *trial) {
		t.setAll(map[string]string{"a": "1", "b": "2"})
		keys := append(make([]string, 0, 8), "b", "absent", "a", "b")
		before := slices.Clone(keys)
		o := t.DeleteMany(keys...).ok()
		if !slices.Equal(keys, before) {
			t.fail(failure{o.text, "the keys became " + quoteAll(keys), quoteAll(before)})
		}
	}),
)

var getWithTTLCases = group("GetWithTTL",
	rule("Both", "It returns what Get and TTL do. A layer above keeps its copy for as long as this says, so that a ttl which is too long serves stale data.", func(t *trial) {
		for _, ttl := range append(testedTTLs(), store.Forever, store.DefaultTTL) {
			set := t.Set("k", "v", ttl).ok()
			t.GetWithTTL("k").isWithin(set, ttl, "v").lasts(set, ttl)
		}
	}),

	rule("Miss", "A miss is the bare ErrNotFound, for absent, deleted and expired entries.", func(t *trial) {
		t.GetWithTTL("absent").miss()
		t.Set("deleted", "v", store.Forever).ok()
		t.Delete("deleted").ok()
		t.GetWithTTL("deleted").miss()
		set := t.Set("k", "v", t.short()).ok()
		t.sleepPast(set, t.short())
		t.GetWithTTL("k").miss()
	}),

	rule("Empty", "An entry with an empty value is a hit, as it is for Get.", func(t *trial) {
		set := t.Set("k", "", t.long()).ok()
		t.GetWithTTL("k").is("").lasts(set, t.long())
	}),

	rule("ResultIsTheCallers", "The caller owns the value: writing to it changes no later read.", func(t *trial) {
		t.Set("k", "value", t.long()).ok()
		scribble(t.GetWithTTL("k").is("value").bytes())
		t.GetWithTTL("k").is("value")
		t.Get("k").is("value")
	}),

	rule("CountsDown", "The time left shrinks as time passes, and is that of the entry, not of the read.", func(t *trial) {
		ttl := 2 * t.short()
		set := t.Set("k", "v", ttl).ok()
		t.sleepUntil(set.began, ttl/2)
		t.GetWithTTL("k").isWithin(set, ttl, "v").lasts(set, ttl)
		t.sleepPast(set, ttl)
		t.GetWithTTL("k").miss()
	}),
)
