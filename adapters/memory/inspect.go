package memory

import (
	"context"
	"iter"

	"github.com/cairncache/cairn/store"
)

// Has reports whether there is an entry of key. It counts neither as a use nor
// as a hit. That there is none is no error.
func (s *Store) Has(ctx context.Context, key string) (bool, error) {
	if err := s.check(ctx, "has", key); err != nil {
		return false, err
	}
	_, ok := s.peek(key)
	return ok, nil
}

// Len is the number of entries. It removes the expired ones first.
func (s *Store) Len() int {
	return s.cache.Len()
}

// Full is whether another entry, however small, evicts one. It removes what has
// expired first.
func (s *Store) Full() bool {
	return s.cache.Full(entryOverhead + 1) // no key is empty
}

// All yields the entries that are there when their turn comes, with their
// values, shared and read-only: for the policies other than TinyLFU and Random
// in the order in which they would have been evicted when it was called, the
// next one first. It counts neither as a use nor as a hit. The loop may use the
// Store.
func (s *Store) All() iter.Seq2[string, *store.Live] {
	return func(yield func(string, *store.Live) bool) {
		for key, e := range s.cache.All() {
			if !s.expired(e) && !yield(key, e.Value) {
				return
			}
		}
	}
}

// Copy returns all entries. Those that are written or removed meanwhile may be
// there or not. store.GetMatching copies the bytes, and only of some if need be.
func (s *Store) Copy() map[string]*store.Live {
	entries := make(map[string]*store.Live, s.Len())
	for key, l := range s.All() {
		entries[key] = l
	}
	return entries
}

// Pop removes the entry that would be evicted next, and returns it. It reports
// false if there is none.
func (s *Store) Pop() (key string, l *store.Live, ok bool) {
	key, e, ok := s.cache.Pop()
	return key, e.Value, ok
}

// Evict evicts n entries in the order of the policy, and returns how many there
// were to evict. What has expired goes first, and counts.
func (s *Store) Evict(n int) (evicted int) {
	return s.cache.Evict(n)
}

// DeleteExpired removes the entries that have expired, as the Store does by
// itself a tenth of a second later, and returns how many there were.
func (s *Store) DeleteExpired() (expired int) {
	return s.cache.Expire()
}
