package conformance

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

var bg = context.Background()

var basicFaults = []fault{
	{what: "an ability that is wanted is missing", caught: "Abilities/Want", plant: func(f *faulty) {
		f.decline("Touch")
	}, opts: func(o *Options) { o.Want = abilityNames() }},
	{what: "an ability is offered that is not wanted", caught: "Abilities/Want", opts: func(o *Options) {
		o.Want = abilityNames()[1:]
	}},
	{what: "Set is asynchronous", caught: "Basics/SetThenGet", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			time.AfterFunc(time.Millisecond, func() { _ = f.ref.Set(bg, key, value, ttl) })
			return nil
		}
	}},
	{what: "a miss is wrapped", caught: "Basics/MissIsBare", plant: func(f *faulty) {
		f.mapErrors(func(err error) error {
			if err == store.ErrNotFound {
				return store.Errorf("get", "absent", store.ErrNotFound, "no such key")
			}
			return err
		})
	}},
	{what: "TTL of an absent key is 0", caught: "Basics/MissIsBare", plant: func(f *faulty) {
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			left, err := f.ref.TTL(ctx, key)
			if err == store.ErrNotFound {
				err = nil
			}
			return left, err
		}
	}},
	{what: "a miss is an empty value", caught: "Basics/MissIsBare", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			value, err := f.ref.Get(ctx, key)
			if err == store.ErrNotFound {
				return []byte{}, err
			}
			return value, err
		}
	}},
	{what: "a shorter value keeps the tail of the longer", caught: "Basics/SetReplaces", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			old, _ := f.ref.Get(ctx, key)
			value = append(bytes.Clone(value), old[min(len(value), len(old)):]...)
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "Set does not replace", caught: "Basics/SetReplaces", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			_, err := f.ref.Add(ctx, key, value, ttl)
			return err
		}
	}},
	{what: "Delete only marks", caught: "Basics/DeleteRemoves", plant: func(f *faulty) {
		f.delete = func(ctx context.Context, key string) error { return nil }
	}},
	{what: "deleting an absent key is a miss", caught: "Basics/DeleteAbsent", plant: func(f *faulty) {
		f.delete = func(ctx context.Context, key string) error {
			if _, err := f.ref.Get(ctx, key); err != nil {
				return err
			}
			return f.ref.Delete(ctx, key)
		}
	}},
	{what: "Delete takes its key for a prefix", caught: "Basics/KeysAreApart", plant: func(f *faulty) {
		f.delete = func(ctx context.Context, prefix string) error {
			for key := range f.ref.Keys(ctx, prefix) {
				_ = f.ref.Delete(ctx, key)
			}
			return nil
		}
	}},
	{what: "TTL touches the entry", caught: "Basics/TTLIsNoWrite", plant: func(f *faulty) {
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			left, err := f.ref.TTL(ctx, key)
			_ = f.ref.Touch(ctx, key, left/2)
			return left, err
		}
	}},
	{what: "an error shows the value", caught: "Basics/ErrorsHideValues", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if err := f.ref.Set(ctx, key, value, ttl); err != nil {
				return store.Errorf("set", key, err, "set %q: %w", value, err)
			}
			return nil
		}
	}},
}

var valueFaults = []fault{
	{what: "the empty value is a miss", caught: "Value/Empty", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			value, err := f.ref.Get(ctx, key)
			if err == nil && len(value) == 0 {
				return nil, store.ErrNotFound
			}
			return value, err
		}
	}},
	{what: "a nil value deletes", caught: "Value/Empty", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if value == nil {
				return f.ref.Delete(ctx, key)
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "values are text", caught: "Value/AnyBytes", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			return f.ref.Set(ctx, key, bytes.ToValidUTF8(value, []byte("?")), ttl)
		}
	}},
	{what: "a value ends at its line end", caught: "Value/AnyBytes", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			value, err := f.ref.Get(ctx, key)
			return bytes.TrimSuffix(value, []byte("\r\n")), err
		}
	}},
	{what: "a placeholder is a miss", caught: "Value/NoMagic", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			value, err := f.ref.Get(ctx, key)
			if string(value) == "placeholder" {
				return nil, store.ErrNotFound
			}
			return value, err
		}
	}},
	{what: "Set keeps the slice", caught: "Value/SetKeepsNoSlice", plant: keepSlice},
	{what: "Set appends to the slice", caught: "Value/SetChangesNoSlice", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			_ = append(value, "trailer"...)
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "Get returns the store's slice", caught: "Value/GetIsTheCallers", plant: lendSlice},
	{what: "Get reuses one buffer", caught: "Value/GetIsTheCallers", plant: func(f *faulty) {
		var buffer []byte
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			value, err := f.ref.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			buffer = append(buffer[:0], value...)
			return buffer, nil
		}
	}},
	{what: "values are cut at 64 KiB", caught: "Value/Large", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			return f.ref.Set(ctx, key, value[:min(len(value), 64<<10)], ttl)
		}
	}},
	{what: "the largest value is refused", caught: "Value/Largest", plant: func(f *faulty) {
		f.ref.maxValue--
	}},
	{what: "a value that is too large is dropped in silence", caught: "Value/TooLarge", plant: func(f *faulty) {
		f.mapErrors(func(err error) error {
			if errors.Is(err, store.ErrTooLarge) {
				return nil
			}
			return err
		})
	}},
	{what: "the old value stays when the new one is too large", caught: "Value/TooLarge", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			old, _ := f.ref.Get(ctx, key)
			err := f.ref.Set(ctx, key, value, ttl)
			if err != nil {
				_ = f.ref.Set(ctx, key, old, ttl)
			}
			return err
		}
	}},
	{what: "too large is unavailable", caught: "Value/TooLarge", plant: func(f *faulty) {
		f.mapErrors(func(err error) error {
			if errors.Is(err, store.ErrTooLarge) {
				return store.Errorf("set", "k", store.ErrUnavailable, "SERVER_ERROR object too large for cache")
			}
			return err
		})
	}},
	{what: "SetMany cuts values that are too large", caught: "Value/TooLarge", plant: func(f *faulty) {
		f.setMany = func(ctx context.Context, items []store.Item) error {
			for _, item := range items {
				if err := f.ref.Set(ctx, item.Key, item.Value[:min(len(item.Value), faultMaxValue)], item.TTL); err != nil {
					return err
				}
			}
			return nil
		}
	}},
}

// keepSlice stores the caller's slice itself.
func keepSlice(f *faulty) {
	f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		return f.ref.SetLive(ctx, key, store.LiveBytes(value), ttl)
	}
}

// lendSlice hands out the stored slice itself.
func lendSlice(f *faulty) {
	f.get = func(ctx context.Context, key string) ([]byte, error) {
		l, err := f.ref.GetLive(ctx, key)
		if err != nil {
			return nil, err
		}
		return l.Bytes()
	}
}

var keyFaults = []fault{
	{what: "NUL becomes a space", caught: "Key/SingleBytes", plant: func(f *faulty) {
		f.mapKeys(func(key string) string { return strings.ReplaceAll(key, "\x00", " ") })
	}},
	{what: "case is folded", caught: "Key/Case", plant: func(f *faulty) { f.mapKeys(strings.ToLower) }},
	{what: "control characters are stripped", caught: "Key/ControlBytes", plant: func(f *faulty) {
		f.mapKeys(func(key string) string {
			return strings.Map(func(c rune) rune {
				if c < ' ' {
					return -1
				}
				return c
			}, key)
		})
	}},
	{what: "keys are trimmed", caught: "Key/ControlBytes", plant: func(f *faulty) { f.mapKeys(strings.TrimSpace) }},
	{what: "keys are made valid UTF-8", caught: "Key/Unicode", plant: func(f *faulty) {
		f.mapKeys(func(key string) string { return strings.ToValidUTF8(key, "\ufffd") })
	}},
	{what: "keys are normalised", caught: "Key/Unicode", plant: func(f *faulty) {
		f.mapKeys(func(key string) string { return strings.ReplaceAll(key, "e\u0301", "é") })
	}},
	{what: "Delete takes its key for a pattern", caught: "Key/Patterns", plant: func(f *faulty) {
		f.delete = func(ctx context.Context, pattern string) error {
			for key := range f.ref.Keys(ctx, "") {
				if ok, err := path.Match(pattern, key); ok || (err != nil && key == pattern) {
					_ = f.ref.Delete(ctx, key)
				}
			}
			return nil
		}
	}},
	{what: "keys are cleaned like paths", caught: "Key/Paths", plant: func(f *faulty) { f.mapKeys(path.Clean) }},
	{what: "keys are cut at 250 bytes", caught: "Key/LongTails", plant: func(f *faulty) {
		f.mapKeys(func(key string) string { return key[:min(len(key), 250)] })
	}},
	{what: "keys are unescaped", caught: "Key/Escapes", plant: func(f *faulty) {
		f.mapKeys(func(key string) string {
			if plain, err := url.PathUnescape(key); err == nil {
				return plain
			}
			return key
		})
	}},
	{what: "spaces are escaped and escapes are not", caught: "Key/Escapes", plant: func(f *faulty) {
		f.mapKeys(func(key string) string { return strings.ReplaceAll(key, " ", "%20") })
	}},
	{what: "Set takes the empty key", caught: "Key/Empty", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if key == "" {
				return nil
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "Add takes the empty key", caught: "Key/Empty", plant: func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			if key == "" {
				return true, nil
			}
			return f.ref.Add(ctx, key, value, ttl)
		}
	}},
	{what: "the empty key is a miss", caught: "Key/Empty", plant: func(f *faulty) {
		f.getWithTTL = func(ctx context.Context, key string) ([]byte, time.Duration, error) {
			if key == "" {
				return nil, 0, store.ErrNotFound
			}
			return f.ref.GetWithTTL(ctx, key)
		}
	}},
	{what: "a long key is cut", caught: "Key/TooLong", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			return f.ref.Set(ctx, key[:min(len(key), store.MaxKeyLen)], value, ttl)
		}
	}},
	{what: "a long key is refused when its cut form was stored", caught: "Key/TooLong", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if len(key) > store.MaxKeyLen {
				_ = f.ref.Set(ctx, key[:store.MaxKeyLen], value, ttl)
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "Touch of a long key is a miss", caught: "Key/TooLong", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			if len(key) > store.MaxKeyLen {
				return store.ErrNotFound
			}
			return f.ref.Touch(ctx, key, ttl)
		}
	}},
}
