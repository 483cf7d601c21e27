package store

import (
	"context"
	"errors"
)

// GetManyStore is a Store that reads many keys at once.
type GetManyStore interface {
	Store

	// GetMany returns the values of those keys that are present; the others
	// are left out. If it fails for some keys it returns what it has together
	// with an error, and a key that is in neither was not read. A bad key fails
	// the whole call before anything is sent. A key that is named twice is
	// read once. The caller owns the map and the values.
	GetMany(ctx context.Context, keys []string) (map[string][]byte, error)
}

// GetMany reads many keys, as GetManyStore promises. If s implements
// GetManyStore, it calls s.GetMany. Otherwise it calls s.Get for each key, a
// bounded number of them at a time.
func GetMany(ctx context.Context, s Store, keys []string) (map[string][]byte, error) {
	const op = "getmany"
	if err := checkStore(op, s); err != nil {
		return nil, err
	}
	if s, ok := s.(GetManyStore); ok {
		values, err := s.GetMany(ctx, keys)
		if !declined(err) {
			return values, err
		}
	}
	return getEach(ctx, op, keys, func(key string) ([]byte, error) { return s.Get(ctx, key) })
}

// getEach calls get for each key and collects what it finds.
func getEach[V any](ctx context.Context, op string, keys []string, get func(key string) (V, error)) (map[string]V, error) {
	if err := Check(ctx, op, keys...); err != nil {
		return nil, err
	}
	var none V
	values := make(map[string]V, len(keys))
	for _, key := range keys {
		values[key] = none // each key once, and room made for each
	}
	distinct := make([]string, 0, len(values))
	for key := range values {
		distinct = append(distinct, key)
	}
	clear(values)
	return values, forEach(ctx, distinct, func(key string) (func(), error) {
		value, err := get(key)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return func() { values[key] = value }, nil
	})
}
