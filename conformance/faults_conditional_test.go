package conformance

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/cairncache/cairn/store"
)

// halfDone makes a store without the ability whose method does something
// before it declines.
func halfDone(name string) func(f *faulty) {
	return func(f *faulty) {
		f.decline(name)
		if name == "Clear" {
			f.decline("Keys")
		}
		harm := func(ctx context.Context, key string) error {
			if err := store.Check(ctx, "set", key); err == nil {
				_ = f.ref.Set(ctx, key, []byte("harm"), store.Forever)
			}
			return errors.ErrUnsupported
		}
		switch g := *f; name {
		case "Add":
			f.add = func(ctx context.Context, key string, _ []byte, _ time.Duration) (bool, error) {
				return false, harm(ctx, key)
			}
		case "CompareAndSwap":
			f.swap = func(ctx context.Context, key string, _, _ []byte, _ time.Duration) (bool, error) {
				return false, harm(ctx, key)
			}
		case "CompareAndDelete":
			f.remove = func(ctx context.Context, key string, _ []byte) (bool, error) { return false, harm(ctx, key) }
		case "Touch":
			f.touch = func(ctx context.Context, key string, _ time.Duration) error { return harm(ctx, key) }
		case "Keys":
			f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
				_ = harm(ctx, "k")
				return g.keys(ctx, prefix)
			}
		case "Clear":
			f.clear = func(ctx context.Context) error { return harm(ctx, "k") }
		case "Watch":
			f.watch = func(ctx context.Context, _ store.Watcher) error { return harm(ctx, "k") }
		case "Lease":
			f.hold = func(ctx context.Context, key string, _ time.Duration) error { return harm(ctx, key) }
		}
	}
}

// addIf replaces Add by a look and a Set, which may take place between others.
func addIf(present func(f *faulty, key string) bool) func(f *faulty) {
	return func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			if err := errors.Join(store.Check(ctx, "add", key), store.CheckTTL("add", key, ttl)); err != nil {
				return false, err
			}
			if present(f, key) {
				return false, nil
			}
			return true, f.ref.Set(ctx, key, value, ttl)
		}
	}
}

// swapIf replaces CompareAndSwap in the same way.
func swapIf(matches func(f *faulty, key string, value, old []byte, err error) bool) func(f *faulty) {
	return func(f *faulty) {
		f.swap = func(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
			stored, err := f.ref.Get(ctx, key)
			if !matches(f, key, stored, old, err) {
				return false, nil
			}
			return true, f.ref.Set(ctx, key, value, ttl)
		}
	}
}

// removeIf replaces CompareAndDelete in the same way.
func removeIf(matches func(f *faulty, key string, value, old []byte, err error) bool) func(f *faulty) {
	return func(f *faulty) {
		f.remove = func(ctx context.Context, key string, old []byte) (bool, error) {
			stored, err := f.ref.Get(ctx, key)
			if !matches(f, key, stored, old, err) {
				return false, nil
			}
			return true, f.ref.Delete(ctx, key)
		}
	}
}

// slowly lets others act between the look and what follows it.
func slowly(_ *faulty, _ string, value, old []byte, err error) bool {
	time.Sleep(time.Millisecond)
	return err == nil && bytes.Equal(value, old)
}

func beginsWith(_ *faulty, _ string, value, old []byte, err error) bool {
	return err == nil && bytes.HasPrefix(value, old)
}

func nilIsAbsent(_ *faulty, _ string, value, old []byte, err error) bool {
	return (err != nil && old == nil) || (err == nil && bytes.Equal(value, old))
}

func nilIsNotEmpty(_ *faulty, _ string, value, old []byte, err error) bool {
	return err == nil && old != nil && bytes.Equal(value, old)
}

// orExpired matches what has expired too.
func orExpired(f *faulty, key string, old []byte) bool {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	e, ok := f.ref.entries[key]
	return ok && e.is(old)
}

var conditionalFaults = []fault{
	{what: "Add writes and declines", caught: "Add/Unsupported", plant: halfDone("Add")},
	{what: "CompareAndSwap writes and declines", caught: "CompareAndSwap/Unsupported", plant: halfDone("CompareAndSwap")},
	{what: "CompareAndDelete writes and declines", caught: "CompareAndDelete/Unsupported", plant: halfDone("CompareAndDelete")},
	{what: "Touch writes and declines", caught: "Touch/Unsupported", plant: halfDone("Touch")},
	{what: "Keys writes and declines", caught: "Keys/Unsupported", plant: halfDone("Keys")},
	{what: "Clear writes and declines", caught: "Clear/Unsupported", plant: halfDone("Clear")},

	{what: "Add replaces", caught: "Add/OnlyIfAbsent", plant: addIf(func(*faulty, string) bool { return false })},
	{what: "Add touches what is there", caught: "Add/OnlyIfAbsent", plant: func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			added, err := f.ref.Add(ctx, key, value, ttl)
			if !added && err == nil {
				_ = f.ref.Touch(ctx, key, ttl)
			}
			return added, err
		}
	}},
	{what: "an empty value counts as absent", caught: "Add/EmptyIsPresent", plant: addIf(func(f *faulty, key string) bool {
		value, _ := f.ref.Get(bg, key)
		return len(value) > 0
	})},
	{what: "a deleted key stays taken", caught: "Add/AfterDelete", plant: func(f *faulty) {
		deleted := make(map[string]bool)
		f.delete = func(ctx context.Context, key string) error {
			deleted[key] = true
			return f.ref.Delete(ctx, key)
		}
		addIf(func(f *faulty, key string) bool {
			_, err := f.ref.Get(bg, key)
			return err == nil || deleted[key]
		})(f)
	}},
	{what: "an expired key stays taken", caught: "Add/AfterExpiry", plant: addIf(func(f *faulty, key string) bool {
		f.ref.mu.Lock()
		defer f.ref.mu.Unlock()
		_, ok := f.ref.entries[key]
		return ok
	})},
	{what: "Add loses the ttl", caught: "Add/TTL", plant: func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			return f.ref.Add(ctx, key, value, finite(func(time.Duration) time.Duration { return store.Forever })(ttl))
		}
	}},
	{what: "Add is a Get and a Set", caught: "Add/OneWinner", plant: addIf(func(f *faulty, key string) bool {
		_, err := f.ref.Get(bg, key)
		time.Sleep(time.Millisecond)
		return err == nil
	})},
	{what: "Add keeps the slice", caught: "Add/KeepsNoSlice", plant: func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			added, err := f.ref.Add(ctx, key, value, ttl)
			if added {
				_ = f.ref.SetLive(ctx, key, store.LiveBytes(value), ttl)
			}
			return added, err
		}
	}},

	{what: "CompareAndSwap does not compare", caught: "CompareAndSwap/Swaps", plant: swapIf(func(_ *faulty, _ string, _, _ []byte, err error) bool {
		return err == nil
	})},
	{what: "a failed swap touches the entry", caught: "CompareAndSwap/Swaps", plant: func(f *faulty) {
		f.swap = func(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
			swapped, err := f.ref.CompareAndSwap(ctx, key, old, value, ttl)
			if !swapped && err == nil {
				_ = f.ref.Touch(ctx, key, ttl)
			}
			return swapped, err
		}
	}},
	{what: "a beginning matches", caught: "CompareAndSwap/WholeValue", plant: swapIf(beginsWith)},
	{what: "nil stands for absent", caught: "CompareAndSwap/AbsentIsNoMatch", plant: swapIf(nilIsAbsent)},
	{what: "an expired value is swapped", caught: "CompareAndSwap/ExpiredIsNoMatch", plant: func(f *faulty) {
		f.swap = func(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
			if !orExpired(f, key, old) {
				return false, nil
			}
			return true, f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "nil is not the empty value", caught: "CompareAndSwap/Empty", plant: swapIf(nilIsNotEmpty)},
	{what: "a swap keeps the expiry", caught: "CompareAndSwap/TTL", plant: func(f *faulty) {
		f.swap = func(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
			left, _ := f.ref.TTL(ctx, key)
			return f.ref.CompareAndSwap(ctx, key, old, value, left)
		}
	}},
	{what: "CompareAndSwap is a Get and a Set", caught: "CompareAndSwap/Counter", plant: swapIf(slowly)},
	{what: "CompareAndSwap keeps the slice", caught: "CompareAndSwap/KeepsNoSlice", plant: func(f *faulty) {
		f.swap = func(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
			swapped, err := f.ref.CompareAndSwap(ctx, key, old, value, ttl)
			if swapped {
				_ = f.ref.SetLive(ctx, key, store.LiveBytes(value), ttl)
			}
			return swapped, err
		}
	}},

	{what: "CompareAndDelete does not compare", caught: "CompareAndDelete/Deletes", plant: removeIf(func(_ *faulty, _ string, _, _ []byte, err error) bool {
		return err == nil
	})},
	{what: "letters of either case match", caught: "CompareAndDelete/WholeValue", plant: removeIf(func(_ *faulty, _ string, value, old []byte, err error) bool {
		return err == nil && bytes.EqualFold(value, old)
	})},
	{what: "an absent key is deleted", caught: "CompareAndDelete/AbsentIsNoMatch", plant: removeIf(nilIsAbsent)},
	{what: "an expired value is deleted", caught: "CompareAndDelete/AbsentIsNoMatch", plant: func(f *faulty) {
		f.remove = func(ctx context.Context, key string, old []byte) (bool, error) {
			if !orExpired(f, key, old) {
				return false, nil
			}
			return true, f.ref.Delete(ctx, key)
		}
	}},
	{what: "nil is not the empty value", caught: "CompareAndDelete/Empty", plant: removeIf(nilIsNotEmpty)},
	{what: "CompareAndDelete is a Get and a Delete", caught: "CompareAndDelete/OneWinner", plant: removeIf(slowly)},
	{what: "a newer value is deleted", caught: "CompareAndDelete/SparesNewer", plant: func(f *faulty) {
		removeIf(slowly)(f)
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			time.Sleep(time.Millisecond / 2) // so that it falls into the gap
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},

	{what: "Touch only prolongs", caught: "Touch/NewTTL", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			if left, err := f.ref.TTL(ctx, key); err == nil && ttl >= 0 && left > ttl {
				return nil
			}
			return f.ref.Touch(ctx, key, ttl)
		}
	}},
	{what: "Touch rounds half a second to for ever", caught: "Touch/TTL", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			return f.ref.Touch(ctx, key, finite(wholeSeconds)(ttl))
		}
	}},
	{what: "Touch of an absent key succeeds", caught: "Touch/Miss", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			if err := f.ref.Touch(ctx, key, ttl); err != store.ErrNotFound {
				return err
			}
			return nil
		}
	}},
	{what: "Touch revives what has expired", caught: "Touch/Miss", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			f.ref.mu.Lock()
			e, ok := f.ref.entries[key]
			f.ref.mu.Unlock()
			if ok && ttl >= 0 {
				return f.ref.SetLive(ctx, key, e.live, ttl)
			}
			return f.ref.Touch(ctx, key, ttl)
		}
	}},
	{what: "Touch rewrites the value as text", caught: "Touch/KeepsValue", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			value, err := f.ref.Get(ctx, key)
			if err != nil {
				return err
			}
			return f.ref.Set(ctx, key, bytes.TrimSpace(value), ttl)
		}
	}},
}
