package conformance

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// around has do make the calls of one method that changes something. It is
// told their keys.
func (f *faulty) around(name string, do func(call func(), keys ...string)) {
	switch g := *f; name {
	case "Set":
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) (err error) {
			do(func() { err = g.set(ctx, key, value, ttl) }, key)
			return err
		}
	case "Delete":
		f.delete = func(ctx context.Context, key string) (err error) {
			do(func() { err = g.delete(ctx, key) }, key)
			return err
		}
	case "SetMany":
		f.setMany = func(ctx context.Context, items []store.Item) (err error) {
			var keys []string
			for _, item := range items {
				keys = append(keys, item.Key)
			}
			do(func() { err = g.setMany(ctx, items) }, keys...)
			return err
		}
	case "DeleteMany":
		f.deleteMany = func(ctx context.Context, keys []string) (err error) {
			do(func() { err = g.deleteMany(ctx, keys) }, keys...)
			return err
		}
	case "Add":
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
			do(func() { added, err = g.add(ctx, key, value, ttl) }, key)
			return added, err
		}
	case "CompareAndSwap":
		f.swap = func(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
			do(func() { swapped, err = g.swap(ctx, key, old, new, ttl) }, key)
			return swapped, err
		}
	case "CompareAndDelete":
		f.remove = func(ctx context.Context, key string, old []byte) (deleted bool, err error) {
			do(func() { deleted, err = g.remove(ctx, key, old) }, key)
			return deleted, err
		}
	case "SetLive":
		f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) (err error) {
			do(func() { err = g.setLive(ctx, key, l, ttl) }, key)
			return err
		}
	case "Clear":
		f.clear = func(ctx context.Context) (err error) {
			do(func() { err = g.clear(ctx) }, "k", "held")
			return err
		}
	case "Touch":
		f.touch = func(ctx context.Context, key string, ttl time.Duration) (err error) {
			do(func() { err = g.touch(ctx, key, ttl) }, key)
			return err
		}
	case "Fill":
		f.fill = func(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (filled bool, err error) {
			do(func() { filled, err = g.fill(ctx, key, token, l, ttl) }, key)
			return filled, err
		}
	case "Hold":
		f.hold = func(ctx context.Context, key string, life time.Duration) (err error) {
			do(func() { err = g.hold(ctx, key, life) }, key)
			return err
		}
	default:
		panic("no method " + name)
	}
}

// keepLeases makes calls of a method that leave the leases as they are.
func keepLeases(name string) func(f *faulty) {
	return func(f *faulty) {
		f.around(name, func(call func(), keys ...string) {
			before := f.leasesOf(keys)
			call()
			f.ref.mu.Lock()
			defer f.ref.mu.Unlock()
			for key, l := range before {
				f.ref.leases[key] = l
			}
		})
	}
}

func (f *faulty) leasesOf(keys []string) map[string]lease {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	leases := make(map[string]lease)
	for _, key := range keys {
		if l, ok := f.ref.leased(key); ok {
			leases[key] = l
		}
	}
	return leases
}

// endLeases makes calls of a method end the leases that they should not.
func endLeases(name string) func(f *faulty) {
	return func(f *faulty) {
		f.around(name, func(call func(), keys ...string) {
			call()
			f.forget(keys...)
		})
	}
}

// forget ends leases and Holds.
func (f *faulty) forget(keys ...string) {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	for _, key := range keys {
		delete(f.ref.leases, key)
	}
}
