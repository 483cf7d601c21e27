package store

import (
	"context"
	"time"
)

// CompareAndSwapStore is a Store that can replace a value only if it still is
// what the caller last saw.
type CompareAndSwapStore interface {
	Store

	// CompareAndSwap stores new as Set does if the live value of key equals old
	// byte for byte, and else changes nothing, in one atomic step. An absent
	// key is not swapped, and is not an error. It keeps neither slice.
	CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error)
}

// CompareAndSwap replaces a value only if it equals old. If s implements
// CompareAndSwapStore, it calls s.CompareAndSwap. Otherwise it returns an
// error matching errors.ErrUnsupported: a Get followed by a Set would not be
// atomic.
func CompareAndSwap(ctx context.Context, s Store, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
	const op = "compareandswap"
	if err := checkStore(op, s); err != nil {
		return false, err
	}
	if s, ok := s.(CompareAndSwapStore); ok {
		if swapped, err := s.CompareAndSwap(ctx, key, old, new, ttl); !declined(err) {
			return swapped, err
		}
	}
	return false, unsupported(op, key, s, "CompareAndSwap")
}
