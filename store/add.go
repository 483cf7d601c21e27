package store

import (
	"context"
	"time"
)

// AddStore is a Store that can write a key only if it is absent.
type AddStore interface {
	Store

	// Add stores value as Set does if there is no live entry under key, and
	// else changes nothing, in one atomic step: of any number of callers
	// exactly one is told true. An existing entry is not an error, and finding
	// one does not count as a use of it.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
}

// Add writes a key only if it is absent. If s implements AddStore, it calls
// s.Add. Otherwise it returns an error matching errors.ErrUnsupported: a Get
// followed by a Set would not be atomic.
func Add(ctx context.Context, s Store, key string, value []byte, ttl time.Duration) (added bool, err error) {
	const op = "add"
	if err := checkStore(op, s); err != nil {
		return false, err
	}
	if s, ok := s.(AddStore); ok {
		if added, err := s.Add(ctx, key, value, ttl); !declined(err) {
			return added, err
		}
	}
	return false, unsupported(op, key, s, "Add")
}
