package store_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// mapStore is the least store: it forgets ttls, and fails where err is set.
type mapStore struct {
	mu      sync.Mutex
	entries map[string]string
	fail    func(op, key string) error
}

func newMap() *mapStore { return &mapStore{entries: make(map[string]string)} }

func (m *mapStore) check(ctx context.Context, op, key string) error {
	if err := store.Check(ctx, op, key); err != nil {
		return err
	}
	if m.fail != nil {
		if err := m.fail(op, key); err != nil {
			return store.Errorf(op, key, store.ErrUnavailable, "%w", err)
		}
	}
	return nil
}

func (m *mapStore) Get(ctx context.Context, key string) ([]byte, error) {
	if err := m.check(ctx, "get", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.entries[key]
	if !ok {
		return nil, store.ErrNotFound
	}
	return []byte(value), nil
}

func (m *mapStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := m.check(ctx, "set", key); err != nil {
		return err
	}
	if err := store.CheckTTL("set", key, ttl); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[key] = string(value)
	return nil
}

func (m *mapStore) Delete(ctx context.Context, key string) error {
	if err := m.check(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

func (m *mapStore) TTL(ctx context.Context, key string) (time.Duration, error) {
	if _, err := m.Get(ctx, key); err != nil {
		return 0, err
	}
	return store.Forever, nil
}

func (m *mapStore) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.entries))
}

// keysStore can also list its keys.
type keysStore struct{ *mapStore }

func newKeys() keysStore { return keysStore{newMap()} }

func (k keysStore) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := store.Check(ctx, "keys"); err != nil {
			yield("", err)
			return
		}
		for _, key := range k.keys() {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

// declining has every ability in its method set and declines each of them.
type declining struct{ *mapStore }

func (declining) GetMany(context.Context, []string) (map[string][]byte, error) {
	return nil, store.Errorf("getmany", "", errUnsupported, "not today")
}

func (declining) SetMany(context.Context, []store.Item) error { return errUnsupported }

func (declining) DeleteMany(context.Context, []string) error { return errUnsupported }

func (declining) GetWithTTL(context.Context, string) ([]byte, time.Duration, error) {
	return nil, 0, errUnsupported
}

func (declining) GetManyWithTTL(context.Context, []string) (map[string]store.Entry, error) {
	return nil, errUnsupported
}

func (declining) Add(context.Context, string, []byte, time.Duration) (bool, error) {
	return false, errUnsupported
}

func (declining) CompareAndSwap(context.Context, string, []byte, []byte, time.Duration) (bool, error) {
	return false, errUnsupported
}

func (declining) CompareAndDelete(context.Context, string, []byte) (bool, error) {
	return false, errUnsupported
}

func (declining) Touch(context.Context, string, time.Duration) error { return errUnsupported }

func (declining) Keys(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", errUnsupported) }
}

func (declining) Clear(context.Context) error { return errUnsupported }

func (declining) GetLive(context.Context, string) (*store.Live, error) { return nil, errUnsupported }

func (declining) SetLive(context.Context, string, *store.Live, time.Duration) error {
	return errUnsupported
}

func (declining) Ping(context.Context) error { return errUnsupported }

func (declining) Watch(context.Context, store.Watcher) error { return errUnsupported }

func (declining) GetOrLease(context.Context, string, string, time.Duration, *store.Live) (store.Lookup, error) {
	return store.Lookup{}, errUnsupported
}

func (declining) Fill(context.Context, string, string, *store.Live, time.Duration) (bool, error) {
	return false, errUnsupported
}

func (declining) RenewLease(context.Context, string, string, time.Duration) (bool, error) {
	return false, errUnsupported
}

func (declining) Abandon(context.Context, string, string) error { return errUnsupported }

func (declining) Hold(context.Context, string, time.Duration) error { return errUnsupported }
