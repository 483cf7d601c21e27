package memcache

import (
	"context"
	"errors"
	"slices"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/store"
)

// GetMany returns the values of those keys that are present, in one round trip
// to each server, all at the same time. If servers fail it returns what the
// others have, and an error.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	return many(ctx, s, "getmany", keys, func(e entry) []byte { return e.value })
}

// GetManyWithTTL returns what GetMany does, with the times to live, which are
// as for TTL. It takes no more round trips.
func (s *Store) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	return many(ctx, s, "getmanywithttl", keys, func(e entry) store.Entry {
		return store.Entry{Value: e.value, TTL: e.ttl}
	})
}

func many[V any](ctx context.Context, s *Store, op string, keys []string, result func(entry) V) (map[string]V, error) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	return do(ctx, s, op, keys, 0, func() (map[string]V, error) {
		values := make(map[string]V, len(keys))
		if len(keys) == 0 {
			return values, nil
		}
		generation, err := s.generation.current(0)
		if err != nil {
			return values, err
		}
		names, natives := make([]name, len(keys)), make([]string, len(keys))
		for i, key := range keys {
			names[i] = s.name(key)
			natives[i] = names[i].native
		}
		var items map[string]*memcache.Item
		failed := s.client.retry(func() (err error) {
			items, err = s.client.GetMulti(natives)
			return err
		})
		for _, n := range names {
			e, err := s.judge(n, items[n.native], generation)
			if err == nil {
				values[n.key] = result(e)
			} else if !errors.Is(err, store.ErrNotFound) {
				failed = err
			}
		}
		return values, failed
	})
}

// SetMany stores the items by a call of Set each, several at a time, as
// gomemcache has no other way.
func (s *Store) SetMany(ctx context.Context, items []store.Item) error {
	return batch("setmany", store.SetMany(ctx, single{s}, items))
}

// DeleteMany removes the keys by a call of Delete each, several at a time.
func (s *Store) DeleteMany(ctx context.Context, keys []string) error {
	return batch("deletemany", store.DeleteMany(ctx, single{s}, keys))
}

// single is a Store without its batches.
type single struct{ store.Store }

// batch gives an error of single calls the name of the method that made them.
func batch(op string, err error) error {
	switch e := err.(type) { // what another error wraps has its own name
	case nil:
		return nil
	case *store.Error:
		return &store.Error{Op: op, Key: e.Key, Err: e.Err}
	}
	return &store.Error{Op: op, Err: err}
}
