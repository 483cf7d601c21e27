package conformance

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// readEntries replaces GetManyWithTTL by one of keys that pick chooses.
func readEntries(pick func(keys []string) []string) func(f *faulty) {
	return func(f *faulty) {
		f.getEntries = func(ctx context.Context, keys []string) (map[string]store.Entry, error) {
			if err := store.Check(ctx, "getmanywithttl", keys...); err != nil {
				return nil, err
			}
			return f.ref.GetManyWithTTL(ctx, pick(keys))
		}
	}
}

// changeEntries changes what GetManyWithTTL has found.
func changeEntries(change func(f *faulty, keys []string, found map[string]store.Entry)) func(f *faulty) {
	return func(f *faulty) {
		f.getEntries = func(ctx context.Context, keys []string) (map[string]store.Entry, error) {
			found, err := f.ref.GetManyWithTTL(ctx, keys)
			if err == nil {
				change(f, keys, found)
			}
			return found, err
		}
	}
}

// changeLeft changes the times to live that GetManyWithTTL has found.
func changeLeft(change func(left time.Duration) time.Duration) func(f *faulty) {
	return changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
		for key, e := range found {
			found[key] = store.Entry{Value: e.Value, TTL: change(e.TTL)}
		}
	})
}

var manyTTLFaults = []fault{
	{what: "absent keys have an empty entry", caught: "GetManyWithTTL/PresentOnes", plant: changeEntries(func(_ *faulty, keys []string, found map[string]store.Entry) {
		for _, key := range keys {
			if _, ok := found[key]; !ok {
				found[key] = store.Entry{}
			}
		}
	})},
	{what: "empty values are left out", caught: "GetManyWithTTL/PresentOnes", plant: changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
		for key, e := range found {
			if len(e.Value) == 0 {
				delete(found, key)
			}
		}
	})},
	{what: "all have the longest ttl", caught: "GetManyWithTTL/OwnTTL", plant: changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
		var longest time.Duration
		for _, e := range found {
			longest = max(longest, e.TTL)
		}
		for key, e := range found {
			found[key] = store.Entry{Value: e.Value, TTL: longest}
		}
	})},
	{what: "all have the shortest ttl", caught: "GetManyWithTTL/OwnTTL", plant: changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
		shortest := store.Forever
		for _, e := range found {
			shortest = min(shortest, e.TTL)
		}
		for key, e := range found {
			found[key] = store.Entry{Value: e.Value, TTL: shortest}
		}
	})},
	{what: "times to live are put to the wrong keys", caught: "GetManyWithTTL/OwnTTL", plant: changeEntries(func(_ *faulty, keys []string, found map[string]store.Entry) {
		keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { _, ok := found[key]; return !ok })
		if len(keys) < 2 {
			return
		}
		first := found[keys[0]].TTL
		for i, key := range keys {
			left := first
			if i+1 < len(keys) {
				left = found[keys[i+1]].TTL
			}
			found[key] = store.Entry{Value: found[key].Value, TTL: left}
		}
	})},
	{what: "the ttl is rounded up to whole seconds", caught: "GetManyWithTTL/OwnTTL", plant: changeLeft(finite(func(d time.Duration) time.Duration {
		return (d + time.Second - 1).Truncate(time.Second)
	}))},
	{what: "no expiry is no time", caught: "GetManyWithTTL/OwnTTL", plant: changeLeft(func(left time.Duration) time.Duration {
		if left == store.Forever {
			return 0
		}
		return left
	})},
	{what: "the ttl is that of the first entry under the key", caught: "GetManyWithTTL/SameEntry", plant: func(f *faulty) {
		first := make(map[string]time.Duration)
		changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
			for key, e := range found {
				if left, ok := first[key]; ok {
					found[key] = store.Entry{Value: e.Value, TTL: left}
				}
				first[key] = found[key].TTL
			}
		})(f)
	}},
	{what: "the value is that of the first entry under the key", caught: "GetManyWithTTL/SameEntry", plant: func(f *faulty) {
		first := make(map[string][]byte)
		changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
			for key, e := range found {
				if value, ok := first[key]; ok {
					found[key] = store.Entry{Value: value, TTL: e.TTL}
				}
				first[key] = found[key].Value
			}
		})(f)
	}},
	{what: "expired entries are returned", caught: "GetManyWithTTL/Expired", plant: func(f *faulty) {
		f.getEntries = func(ctx context.Context, keys []string) (map[string]store.Entry, error) {
			if err := f.ref.begin(ctx, "getmanywithttl", keys...); err != nil {
				return nil, err
			}
			defer f.ref.mu.Unlock()
			found := make(map[string]store.Entry)
			for _, key := range keys {
				if e, ok := f.ref.entries[key]; ok {
					b, _ := e.live.Bytes()
					found[key] = store.Entry{Value: append([]byte{}, b...), TTL: max(time.Until(e.expires), 1)}
				}
			}
			return found, nil
		}
	}},
	{what: "the ttl is the one that was given", caught: "GetManyWithTTL/Expired", plant: func(f *faulty) {
		given := remember(f)
		changeEntries(func(_ *faulty, _ []string, found map[string]store.Entry) {
			for key, e := range found {
				if given[key] > 0 {
					found[key] = store.Entry{Value: e.Value, TTL: given[key]}
				}
			}
		})(f)
	}},
	{what: "a doubled key shifts the others", caught: "GetManyWithTTL/Twice", plant: changeEntries(func(_ *faulty, keys []string, found map[string]store.Entry) {
		distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
		if len(distinct) == len(keys) {
			return
		}
		shifted := make(map[string]store.Entry)
		for i, key := range distinct {
			if e, ok := found[key]; ok {
				shifted[keys[i]] = e
			}
		}
		clear(found)
		for key, e := range shifted {
			found[key] = e
		}
	})},
	{what: "the first thousand keys are read", caught: "GetManyWithTTL/Many", plant: readEntries(upTo1000[string])},
	{what: "names are trimmed in the result", caught: "GetManyWithTTL/OddKeys", plant: changeEntries(func(_ *faulty, keys []string, found map[string]store.Entry) {
		for _, key := range keys {
			if trimmed := strings.TrimSpace(key); trimmed != key {
				found[trimmed] = found[key]
				delete(found, key)
			}
		}
	})},
	{what: "a bad key is a miss", caught: "GetManyWithTTL/BadKey", plant: func(f *faulty) {
		f.getEntries = func(ctx context.Context, keys []string) (map[string]store.Entry, error) {
			return f.ref.GetManyWithTTL(ctx, slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
				return store.Check(bg, "getmanywithttl", key) != nil
			}))
		}
	}},
	{what: "what is there comes beside a bad key", caught: "GetManyWithTTL/BadKey", plant: func(f *faulty) {
		f.getEntries = func(ctx context.Context, keys []string) (map[string]store.Entry, error) {
			good := slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
				return store.Check(bg, "getmanywithttl", key) != nil
			})
			found, err := f.ref.GetManyWithTTL(ctx, good)
			if len(good) < len(keys) {
				err = store.Errorf("getmanywithttl", "", store.ErrInvalid, "bad key")
			}
			return found, err
		}
	}},
	{what: "the keys are sorted in place", caught: "GetManyWithTTL/Slices", plant: readEntries(func(keys []string) []string {
		slices.Sort(keys)
		return keys
	})},
	{what: "the values lie in one buffer", caught: "GetManyWithTTL/Slices", plant: changeEntries(func(_ *faulty, keys []string, found map[string]store.Entry) {
		var buffer []byte
		for _, key := range []string{"a", "b"} {
			buffer = append(buffer, found[key].Value...)
		}
		for _, key := range []string{"a", "b"} {
			if e, ok := found[key]; ok {
				n := len(e.Value)
				found[key], buffer = store.Entry{Value: buffer[:n], TTL: e.TTL}, buffer[n:]
			}
		}
	})},
	{what: "the store keeps the values that it returns", caught: "GetManyWithTTL/Slices", plant: changeEntries(func(f *faulty, _ []string, found map[string]store.Entry) {
		for key, e := range found {
			kept, err := f.peek(bg, key)
			if err != nil {
				continue
			}
			value, _ := kept.live.Bytes()
			found[key] = store.Entry{Value: value, TTL: e.TTL}
		}
	})},
}
