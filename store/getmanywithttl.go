package store

import (
	"context"
	"time"
)

// Entry is a value and the time that it will still live.
type Entry struct {
	Value []byte
	TTL   time.Duration // as of TTL
}

// GetManyWithTTLStore is a Store that reads many values, each with its time to
// live, in the round trips that GetMany takes.
type GetManyWithTTLStore interface {
	Store

	// GetManyWithTTL returns what GetMany does, each value with what TTL says
	// of the same entry. Keys, errors and ownership are as for GetMany.
	GetManyWithTTL(ctx context.Context, keys []string) (map[string]Entry, error)
}

// GetManyWithTTL reads many keys with their times to live, as
// GetManyWithTTLStore promises. If s implements that, it calls
// s.GetManyWithTTL. Otherwise it calls GetWithTTL for each key, a bounded
// number of them at a time.
func GetManyWithTTL(ctx context.Context, s Store, keys []string) (map[string]Entry, error) {
	const op = "getmanywithttl"
	if err := checkStore(op, s); err != nil {
		return nil, err
	}
	if s, ok := s.(GetManyWithTTLStore); ok {
		entries, err := s.GetManyWithTTL(ctx, keys)
		if !declined(err) {
			return entries, err
		}
	}
	return getEach(ctx, op, keys, func(key string) (e Entry, err error) {
		e.Value, e.TTL, err = GetWithTTL(ctx, s, key)
		return e, err
	})
}
