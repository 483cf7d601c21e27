package store

import (
	"context"
	"time"
)

// GetWithTTLStore is a Store that reads a value and its time to live in one
// round trip.
type GetWithTTLStore interface {
	Store

	// GetWithTTL returns what Get and TTL would, both of the same entry.
	GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error)
}

// GetWithTTL reads a value and the time that it will still live. If s
// implements GetWithTTLStore, it calls s.GetWithTTL. Otherwise it calls s.Get,
// then s.TTL: an entry that is replaced in between shows its old value with
// the new time to live, and one that goes in between is a miss.
func GetWithTTL(ctx context.Context, s Store, key string) ([]byte, time.Duration, error) {
	if err := checkStore("getwithttl", s); err != nil {
		return nil, 0, err
	}
	if s, ok := s.(GetWithTTLStore); ok {
		value, ttl, err := s.GetWithTTL(ctx, key)
		if !declined(err) {
			return value, ttl, err
		}
	}
	value, err := s.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	ttl, err := s.TTL(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return value, ttl, nil
}
