package store

import (
	"context"
	"errors"
)

// PingStore is a Store that can tell cheaply whether its backend answers.
type PingStore interface {
	Store

	// Ping asks the backend, or each of its servers, for a sign of life. It
	// returns nil if all of them answer.
	Ping(ctx context.Context) error
}

// Ping asks whether the backend of s answers. If s implements PingStore, it
// calls s.Ping. Otherwise it reads a fixed key, which need not exist.
func Ping(ctx context.Context, s Store) error {
	if err := checkStore("ping", s); err != nil {
		return err
	}
	if s, ok := s.(PingStore); ok {
		if err := s.Ping(ctx); !declined(err) {
			return err
		}
	}
	_, err := s.Get(ctx, "cairn:ping")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
