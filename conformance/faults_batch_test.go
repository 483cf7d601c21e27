package conformance

import (
	"bytes"
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// readMany replaces GetMany by single reads of keys that pick chooses.
func readMany(pick func(keys []string) []string) func(f *faulty) {
	return func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			return f.ref.GetMany(ctx, pick(keys))
		}
	}
}

// changeMany changes what GetMany has found.
func changeMany(change func(ctx context.Context, keys []string, values map[string][]byte)) func(f *faulty) {
	return func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			values, err := f.ref.GetMany(ctx, keys)
			if err == nil {
				change(ctx, keys, values)
			}
			return values, err
		}
	}
}

// writeMany replaces SetMany by a Set of each item, which see may change.
func writeMany(see func(f *faulty, items []store.Item) []store.Item) func(f *faulty) {
	return func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			if err := store.CheckItems(ctx, "setmany", items); err != nil {
				return err
			}
			return f.ref.SetMany(ctx, see(f, slices.Clone(items)))
		}
	}
}

// deleteSome replaces DeleteMany by one of the keys that pick chooses.
func deleteSome(pick func(f *faulty, keys []string) []string) func(f *faulty) {
	return func(f *faulty) {
		f.deleteMany = func(ctx context.Context, keys []string) error {
			if err := store.Check(ctx, "deletemany", keys...); err != nil {
				return err
			}
			return f.ref.DeleteMany(ctx, pick(f, keys))
		}
	}
}

func upTo1000[T any](items []T) []T { return items[:min(len(items), 1000)] }

func notEmpty(op string) error {
	return store.Errorf(op, "", store.ErrInvalid, "there is nothing to do")
}

var batchFaults = []fault{
	{what: "absent keys have a nil value", caught: "GetMany/PresentOnes", plant: changeMany(func(_ context.Context, keys []string, values map[string][]byte) {
		for _, key := range keys {
			if _, ok := values[key]; !ok {
				values[key] = nil
			}
		}
	})},
	{what: "values are put to the wrong keys", caught: "GetMany/PresentOnes", plant: changeMany(func(_ context.Context, keys []string, values map[string][]byte) {
		var found [][]byte
		for _, key := range keys {
			if value, ok := values[key]; ok {
				found = append(found, value)
			}
		}
		clear(values)
		for i, value := range found {
			values[keys[i]] = value
		}
	})},
	{what: "no keys are an error", caught: "GetMany/NoKeys", plant: func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			if len(keys) == 0 {
				return nil, notEmpty("getmany")
			}
			return f.ref.GetMany(ctx, keys)
		}
	}},
	{what: "empty values are left out", caught: "GetMany/EmptyValues", plant: changeMany(func(_ context.Context, _ []string, values map[string][]byte) {
		for key, value := range values {
			if len(value) == 0 {
				delete(values, key)
			}
		}
	})},
	{what: "expired entries are returned", caught: "GetMany/Expired", plant: func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			if err := f.ref.begin(ctx, "getmany", keys...); err != nil {
				return nil, err
			}
			defer f.ref.mu.Unlock()
			values := make(map[string][]byte)
			for _, key := range keys {
				if e, ok := f.ref.entries[key]; ok {
					b, _ := e.live.Bytes()
					values[key] = bytes.Clone(b)
				}
			}
			return values, nil
		}
	}},
	{what: "a doubled key shifts the others", caught: "GetMany/Twice", plant: func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
			if len(distinct) == len(keys) {
				return f.ref.GetMany(ctx, keys)
			}
			values := make(map[string][]byte)
			for i, key := range distinct {
				if value, err := f.ref.Get(ctx, key); err == nil {
					values[keys[i]] = value
				}
			}
			return values, nil
		}
	}},
	{what: "the first thousand keys are read", caught: "GetMany/Many", plant: readMany(upTo1000[string])},
	{what: "names are trimmed in the result", caught: "GetMany/OddKeys", plant: changeMany(func(_ context.Context, keys []string, values map[string][]byte) {
		for _, key := range keys {
			if trimmed := strings.TrimSpace(key); trimmed != key {
				values[trimmed] = values[key]
				delete(values, key)
			}
		}
	})},
	{what: "a bad key is a miss", caught: "GetMany/BadKey", plant: readMany(func(keys []string) []string {
		return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "" })
	})},
	{what: "a bad key fails beside the values of the good ones", caught: "GetMany/BadKey", plant: func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			good := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "" || len(key) > store.MaxKeyLen })
			values, err := f.ref.GetMany(ctx, good)
			if len(good) < len(keys) {
				err = store.Errorf("getmany", "", store.ErrInvalid, "bad key")
			}
			return values, err
		}
	}},
	{what: "the values lie in one buffer", caught: "GetMany/ResultIsTheCallers", plant: changeMany(func(_ context.Context, keys []string, values map[string][]byte) {
		var buffer []byte
		for _, key := range keys {
			buffer = append(buffer, values[key]...)
		}
		for _, key := range keys {
			n := len(values[key])
			values[key], buffer = buffer[:n], buffer[n:]
		}
	})},
	{what: "the keys are sorted in place", caught: "GetMany/KeysAreTheCallers", plant: readMany(func(keys []string) []string {
		slices.Sort(keys)
		return keys
	})},

	{what: "SetMany skips what is there", caught: "SetMany/StoresAll", plant: func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			for _, item := range items {
				if _, err := f.ref.Add(ctx, item.Key, item.Value, item.TTL); err != nil {
					return err
				}
			}
			return store.Check(ctx, "setmany")
		}
	}},
	{what: "no items are an error", caught: "SetMany/NoItems", plant: func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			if len(items) == 0 {
				return notEmpty("setmany")
			}
			return f.ref.SetMany(ctx, items)
		}
	}},
	{what: "all items have the first one's ttl", caught: "SetMany/OwnTTL", plant: writeMany(func(_ *faulty, items []store.Item) []store.Item {
		for i := range items {
			items[i].TTL = items[0].TTL
		}
		return items
	})},
	{what: "SetMany rounds to whole seconds", caught: "SetMany/TTL", plant: writeMany(func(_ *faulty, items []store.Item) []store.Item {
		for i := range items {
			items[i].TTL = finite(wholeSeconds)(items[i].TTL)
		}
		return items
	})},
	{what: "SetMany rounds down", caught: "SetMany/TTL", plant: writeMany(func(_ *faulty, items []store.Item) []store.Item {
		for i := range items {
			items[i].TTL = finite(func(ttl time.Duration) time.Duration { return max(ttl.Truncate(time.Millisecond), 1) })(items[i].TTL)
		}
		return items
	})},
	{what: "the first of two items wins", caught: "SetMany/LastWins", plant: writeMany(func(_ *faulty, items []store.Item) []store.Item {
		slices.Reverse(items)
		return items
	})},
	{what: "the first thousand items are stored", caught: "SetMany/Many", plant: writeMany(func(_ *faulty, items []store.Item) []store.Item {
		return upTo1000(items)
	})},
	{what: "SetMany trims keys", caught: "SetMany/OddKeys", plant: writeMany(func(_ *faulty, items []store.Item) []store.Item {
		for i := range items {
			if trimmed := strings.TrimSpace(items[i].Key); trimmed != "" {
				items[i].Key = trimmed
			}
		}
		return items
	})},
	{what: "items before the bad one are stored", caught: "SetMany/BadItem", plant: func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			for _, item := range items {
				if err := f.ref.Set(ctx, item.Key, item.Value, item.TTL); err != nil {
					return store.Errorf("setmany", "", store.ErrInvalid, "%w", err)
				}
			}
			return store.Check(ctx, "setmany")
		}
	}},
	{what: "a negative ttl in SetMany is no expiry", caught: "SetMany/BadItem", plant: func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			items = slices.Clone(items)
			for i := range items {
				items[i].TTL = negative(store.Forever)(items[i].TTL)
			}
			return f.ref.SetMany(ctx, items)
		}
	}},
	{what: "SetMany keeps the values", caught: "SetMany/KeepsNoSlice", plant: func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			for _, item := range items {
				if err := f.ref.SetLive(ctx, item.Key, store.LiveBytes(item.Value), item.TTL); err != nil {
					return err
				}
			}
			return store.Check(ctx, "setmany")
		}
	}},

	{what: "DeleteMany stops at the first absent key", caught: "DeleteMany/RemovesThese", plant: deleteSome(func(f *faulty, keys []string) []string {
		for i, key := range keys {
			if _, err := f.ref.Get(bg, key); err != nil {
				return keys[:i]
			}
		}
		return keys
	})},
	{what: "no keys are all keys", caught: "DeleteMany/NoKeys", plant: deleteSome(func(f *faulty, keys []string) []string {
		if len(keys) == 0 {
			_ = f.ref.Clear(bg)
		}
		return keys
	})},
	{what: "a doubled key is an error", caught: "DeleteMany/Twice", plant: func(f *faulty) {
		f.deleteMany = func(ctx context.Context, keys []string) error {
			if len(slices.Compact(slices.Sorted(slices.Values(keys)))) < len(keys) {
				return store.Errorf("deletemany", "", store.ErrInvalid, "a key is named twice")
			}
			return f.ref.DeleteMany(ctx, keys)
		}
	}},
	{what: "the first thousand keys are deleted", caught: "DeleteMany/Many", plant: deleteSome(func(_ *faulty, keys []string) []string {
		return upTo1000(keys)
	})},
	{what: "DeleteMany takes its keys for patterns", caught: "DeleteMany/OddKeys", plant: deleteSome(matching)},
	{what: "keys beside the bad one are deleted", caught: "DeleteMany/BadKey", plant: func(f *faulty) {
		f.deleteMany = func(ctx context.Context, keys []string) error {
			for _, key := range keys {
				_ = f.ref.Delete(ctx, key)
			}
			return store.Check(ctx, "deletemany", keys...)
		}
	}},
	{what: "DeleteMany sorts the keys in place", caught: "DeleteMany/KeysAreTheCallers", plant: deleteSome(func(_ *faulty, keys []string) []string {
		slices.Sort(keys)
		return keys
	})},

	{what: "the ttl is always for ever", caught: "GetWithTTL/Both", plant: changeBoth(func(value []byte, _ time.Duration) ([]byte, time.Duration) {
		return value, store.Forever
	})},
	{what: "the ttl is in whole seconds", caught: "GetWithTTL/Both", plant: changeBoth(func(value []byte, left time.Duration) ([]byte, time.Duration) {
		return value, finite(func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) })(left)
	})},
	{what: "a miss is no error", caught: "GetWithTTL/Miss", plant: func(f *faulty) {
		f.getWithTTL = func(ctx context.Context, key string) ([]byte, time.Duration, error) {
			value, left, err := f.ref.GetWithTTL(ctx, key)
			if err == store.ErrNotFound {
				err = nil
			}
			return value, left, err
		}
	}},
	{what: "an empty value is a miss", caught: "GetWithTTL/Empty", plant: func(f *faulty) {
		f.getWithTTL = func(ctx context.Context, key string) ([]byte, time.Duration, error) {
			value, left, err := f.ref.GetWithTTL(ctx, key)
			if err == nil && len(value) == 0 {
				return nil, 0, store.ErrNotFound
			}
			return value, left, err
		}
	}},
	{what: "GetWithTTL returns the store's slice", caught: "GetWithTTL/ResultIsTheCallers", plant: func(f *faulty) {
		f.getWithTTL = func(ctx context.Context, key string) ([]byte, time.Duration, error) {
			_, left, err := f.ref.GetWithTTL(ctx, key)
			if err != nil {
				return nil, 0, err
			}
			e, err := f.peek(ctx, key)
			if err != nil {
				return nil, 0, err
			}
			value, err := e.live.Bytes()
			return value, left, err
		}
	}},
	{what: "GetWithTTL tells the ttl that was given", caught: "GetWithTTL/CountsDown", plant: func(f *faulty) {
		given := remember(f)
		f.getWithTTL = func(ctx context.Context, key string) ([]byte, time.Duration, error) {
			value, left, err := f.ref.GetWithTTL(ctx, key)
			if given[key] > 0 && err == nil {
				left = given[key]
			}
			return value, left, err
		}
	}},
}

// changeBoth changes what GetWithTTL has found.
func changeBoth(change func(value []byte, left time.Duration) ([]byte, time.Duration)) func(f *faulty) {
	return func(f *faulty) {
		f.getWithTTL = func(ctx context.Context, key string) ([]byte, time.Duration, error) {
			value, left, err := f.ref.GetWithTTL(ctx, key)
			if err == nil {
				value, left = change(value, left)
			}
			return value, left, err
		}
	}
}

// matching lists the keys that match any of the patterns.
func matching(f *faulty, patterns []string) (keys []string) {
	for key := range f.ref.Keys(bg, "") {
		for _, pattern := range patterns {
			if ok, err := path.Match(pattern, key); ok || (err != nil && key == pattern) {
				keys = append(keys, key)
				break
			}
		}
	}
	return keys
}
