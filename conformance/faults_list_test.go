package conformance

import (
	"context"
	"iter"
	"path"
	"strings"

	"github.com/cairncache/cairn/store"
)

// yieldKeys replaces Keys by one that yields what list returns.
func yieldKeys(list func(f *faulty, prefix string) []string) func(f *faulty) {
	return func(f *faulty) {
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				if err := f.ref.begin(ctx, "keys"); err != nil {
					yield("", err)
					return
				}
				f.ref.mu.Unlock()
				for _, key := range list(f, prefix) {
					if !yield(key, ctx.Err()) {
						return
					}
				}
			}
		}
	}
}

// listKeys lists the keys as the reference does.
func listKeys(f *faulty, prefix string) (keys []string) {
	for key := range f.ref.Keys(bg, prefix) {
		keys = append(keys, key)
	}
	return keys
}

// globKeys takes the prefix for the beginning of a pattern.
func globKeys(f *faulty, prefix string) (keys []string) {
	for _, key := range listKeys(f, "") {
		for i := range len(key) + 1 {
			if ok, _ := path.Match(prefix, key[:i]); ok {
				keys = append(keys, key)
				break
			}
		}
	}
	return keys
}

var listFaults = []fault{
	{what: "deleted keys are listed", caught: "Keys/All", plant: func(f *faulty) {
		var deleted []string
		f.delete = func(ctx context.Context, key string) error {
			deleted = append(deleted, key)
			return f.ref.Delete(ctx, key)
		}
		yieldKeys(func(f *faulty, prefix string) []string { return append(listKeys(f, prefix), deleted...) })(f)
	}},
	{what: "empty entries are not listed", caught: "Keys/All", plant: yieldKeys(func(f *faulty, prefix string) (keys []string) {
		for _, key := range listKeys(f, prefix) {
			if value, _ := f.ref.Get(bg, key); len(value) > 0 {
				keys = append(keys, key)
			}
		}
		return keys
	})},
	{what: "the prefix is a pattern", caught: "Keys/Prefix", plant: yieldKeys(globKeys)},
	{what: "case is ignored", caught: "Keys/Prefix", plant: yieldKeys(func(f *faulty, prefix string) (keys []string) {
		for _, key := range listKeys(f, "") {
			if strings.HasPrefix(strings.ToLower(key), strings.ToLower(prefix)) {
				keys = append(keys, key)
			}
		}
		return keys
	})},
	{what: "keys are listed as valid UTF-8", caught: "Keys/OddKeys", plant: yieldKeys(func(f *faulty, prefix string) []string {
		keys := listKeys(f, prefix)
		for i := range keys {
			keys[i] = strings.ToValidUTF8(keys[i], "\ufffd")
		}
		return keys
	})},
	{what: "expired keys are listed", caught: "Keys/Expired", plant: yieldKeys(func(f *faulty, prefix string) (keys []string) {
		f.ref.mu.Lock()
		defer f.ref.mu.Unlock()
		for key := range f.ref.entries {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		return keys
	})},
	{what: "the first thousand keys are listed", caught: "Keys/Many", plant: yieldKeys(func(f *faulty, prefix string) []string {
		return upTo1000(listKeys(f, prefix))
	})},
	{what: "the loop ends when another key goes", caught: "Keys/Many", plant: func(f *faulty) {
		gone := false
		f.delete = func(ctx context.Context, key string) error {
			gone = true
			return f.ref.Delete(ctx, key)
		}
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for key, err := range f.ref.Keys(ctx, prefix) {
					if gone || !yield(key, err) {
						return
					}
				}
			}
		}
	}},
	{what: "a lock is held while a key is yielded", caught: "Keys/LoopUsesStore", plant: func(f *faulty) {
		lock := make(chan struct{}, 1)
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				lock <- struct{}{}
				defer func() { <-lock }()
				f.ref.Keys(ctx, prefix)(yield)
			}
		}
		f.delete = func(ctx context.Context, key string) error {
			select {
			case lock <- struct{}{}:
				defer func() { <-lock }()
				return f.ref.Delete(ctx, key)
			case <-ctx.Done():
				return &store.Error{Op: "delete", Key: key, Err: ctx.Err()}
			}
		}
	}},
	{what: "the end of the loop is not seen", caught: "Keys/StopEarly", plant: func(f *faulty) {
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for key, err := range f.ref.Keys(ctx, prefix) {
					yield(key, err)
				}
			}
		}
	}},
	{what: "a loop whose context ends just stops", caught: "Keys/ErrorLast", plant: func(f *faulty) {
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for key, err := range f.ref.Keys(ctx, prefix) {
					if err != nil || !yield(key, nil) {
						return
					}
				}
			}
		}
	}},
	{what: "the error comes with a key", caught: "Keys/ErrorLast", plant: func(f *faulty) {
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				last := ""
				for key, err := range f.ref.Keys(ctx, prefix) {
					if err != nil {
						key = last
					}
					if last = key; !yield(key, err) {
						return
					}
				}
			}
		}
	}},
	{what: "the loop goes on after the error", caught: "Keys/ErrorLast", plant: yieldKeys(listKeys)},
	{what: "keys that are to be deleted are taken for patterns", caught: "Keys/Matching", plant: deleteSome(matching)},
	{what: "a view lists what its prefix matches", caught: "Keys/Views", plant: yieldKeys(globKeys)},

	{what: "Clear leaves what has no expiry", caught: "Clear/RemovesAll", plant: func(f *faulty) {
		f.clear = func(ctx context.Context) error {
			for _, key := range listKeys(f, "") {
				if left, _ := f.ref.TTL(ctx, key); left < store.Forever {
					_ = f.ref.Delete(ctx, key)
				}
			}
			return store.Check(ctx, "clear")
		}
	}},
	{what: "Clear removes a thousand entries", caught: "Clear/Many", plant: func(f *faulty) {
		f.clear = func(ctx context.Context) error { return f.ref.DeleteMany(ctx, upTo1000(listKeys(f, ""))) }
	}},
	{what: "the timers of cleared entries run on", caught: "Clear/ThenUse", plant: timers(false, false, false)},
	{what: "Clear empties the server", caught: "Clear/Neighbours", plant: func(f *faulty) {
		f.clear = func(ctx context.Context) error {
			err := f.ref.Clear(ctx)
			for _, other := range f.world.stores {
				other.ref.mu.Lock()
				clear(other.ref.entries)
				other.ref.mu.Unlock()
			}
			return err
		}
	}},
	{what: "a view is cleared by a pattern", caught: "Clear/Views", plant: deleteSome(matching)},
}
