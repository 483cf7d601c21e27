// Package mapstore is an adapter in seventy lines: a map and a mutex. It is the
// example of docs/adapters.md and passes the conformance suite.
package mapstore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// Store keeps entries in a map until they expire or are deleted. Expired ones
// are dropped when they are next asked for. Make one with New.
type Store struct {
	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	value   []byte
	expires time.Time // zero: never
}

// New returns an empty Store.
func New() *Store { return &Store{entries: make(map[string]entry)} }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	value, _, err := s.lookup(ctx, "get", key)
	return bytes.Clone(value), err
}

// TTL implements store.Store.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	_, left, err := s.lookup(ctx, "ttl", key)
	return left, err
}

// Set implements store.Store.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := store.Check(ctx, "set", key); err != nil {
		return err
	}
	if err := store.CheckTTL("set", key, ttl); err != nil {
		return err
	}
	e := entry{value: bytes.Clone(value)}
	if ttl != store.DefaultTTL && ttl != store.Forever {
		e.expires = time.Now().Add(ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[key] = e
	return nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := store.Check(ctx, "delete", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
	return nil
}

// lookup returns the value of a live entry and the time that it has left, and
// drops an expired one. The value is the entry's own.
func (s *Store) lookup(ctx context.Context, op, key string) ([]byte, time.Duration, error) {
	if err := store.Check(ctx, op, key); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return nil, 0, store.ErrNotFound
	}
	if e.expires.IsZero() {
		return e.value, store.Forever, nil
	}
	left := time.Until(e.expires)
	if left <= 0 {
		delete(s.entries, key)
		return nil, 0, store.ErrNotFound
	}
	return e.value, left, nil
}
