package disk

import (
	"bytes"
	"context"
	"time"
)

// Add implements store.AddStore.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	return s.write(ctx, "add", key, value, ttl, func(e *entry) bool { return e == nil })
}

// CompareAndSwap implements store.CompareAndSwapStore.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
	return s.write(ctx, "compareandswap", key, new, ttl, equals(old))
}

// CompareAndDelete implements store.CompareAndDeleteStore.
func (s *Store) CompareAndDelete(ctx context.Context, key string, old []byte) (deleted bool, err error) {
	const op = "compareanddelete"
	if err := s.begin(ctx, op, key); err != nil {
		return false, err
	}
	defer s.inUse.RUnlock()
	p, full := s.placeOf(key)
	if ok, err := s.worthTrying(ctx, p, full, equals(old)); !ok {
		return false, failed(op, key, err)
	}
	deleted, err = s.remove(ctx, p, full, equals(old))
	return deleted, failed(op, key, err)
}

func equals(old []byte) condition {
	return func(e *entry) bool { return e != nil && bytes.Equal(e.value, old) }
}
