package store

import (
	"context"
	"time"
)

// TouchStore is a Store that can give an entry a new time to live.
type TouchStore interface {
	Store

	// Touch replaces the time to live of an entry and keeps its value. ttl is
	// counted from now and means what it means to Set. An absent key is the
	// bare ErrNotFound.
	Touch(ctx context.Context, key string, ttl time.Duration) error
}

// Touch gives an entry a new time to live. If s implements TouchStore, it
// calls s.Touch. Otherwise it returns an error matching
// errors.ErrUnsupported: a Get followed by a Set could bring back a value
// that was replaced in between.
func Touch(ctx context.Context, s Store, key string, ttl time.Duration) error {
	const op = "touch"
	if err := checkStore(op, s); err != nil {
		return err
	}
	if s, ok := s.(TouchStore); ok {
		if err := s.Touch(ctx, key, ttl); !declined(err) {
			return err
		}
	}
	return unsupported(op, key, s, "Touch")
}
