package memcache

import (
	"cmp"
	"context"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/store"
)

// An entry is what an item was found to hold: a live entry, or none, and a
// lease that has not ended, or none.
type entry struct {
	live       bool
	value      []byte
	ttl        time.Duration // left
	deadline   int64
	foreign    bool // written by another program
	generation uint64
	lease      lease
}

// read returns the live entry of a key, or ErrNotFound with nothing but the
// lease, and in both cases the item that is there, if any.
func (s *Store) read(n name) (entry, *memcache.Item, error) {
	generation, err := s.generation.current(0)
	if err != nil {
		return entry{}, nil, err
	}
	item, err := s.client.get(n.native)
	if err != nil {
		return entry{}, nil, err
	}
	e, err := s.judge(n, item, generation)
	return e, item, err
}

// judge returns the entry that an item holds, or ErrNotFound with nothing but
// the lease if there is no item, or none that is live in a generation.
func (s *Store) judge(n name, item *memcache.Item, generation uint64) (entry, error) {
	none := entry{generation: generation}
	switch {
	case item == nil, item.Flags != headerFlags && n.hashed:
		return none, store.ErrNotFound
	case item.Flags != headerFlags:
		return entry{live: true, value: item.Value, ttl: store.UnknownTTL, foreign: true, generation: generation}, nil
	}
	h, value, ok := parse(item.Value)
	now := time.Now()
	ttl := left(now, h.deadline)
	if left(now, h.lease.deadline) <= 0 {
		h.lease = lease{}
	}
	if !ok || ttl <= 0 && h.lease.kind == noLease || h.key != n.inHeader() {
		return none, store.ErrNotFound
	}
	if h.generation > generation { // another process has cleared the store
		var err error
		if generation, err = s.generation.current(h.generation); err != nil {
			return entry{}, err
		}
	}
	none.generation = generation
	if h.generation != generation {
		return none, store.ErrNotFound
	}
	none.lease = h.lease
	if ttl <= 0 {
		return none, store.ErrNotFound
	}
	return entry{true, value, ttl, h.deadline, false, generation, h.lease}, nil
}

// date writes into an item what is known only when it is sent.
func (s *Store) date(item *memcache.Item, ttl time.Duration) error {
	generation, err := s.generation.current(0)
	s.dateIn(generation, item, ttl)
	return err
}

// dateIn is date in the generation of the item that is to be replaced. In a
// newer one, what comes from before a Clear would be there after it.
func (s *Store) dateIn(generation uint64, item *memcache.Item, ttl time.Duration) {
	now, ttl := time.Now(), s.life(ttl)
	stamp(item.Value, generation, deadline(now, ttl))
	item.Expiration = expiration(now, ttl)
}

// life is what a ttl stands for in this store.
func (s *Store) life(ttl time.Duration) time.Duration { return cmp.Or(ttl, s.ttl, store.Forever) }

func (s *Store) lookup(ctx context.Context, op, key string) (entry, error) {
	return do(ctx, s, op, []string{key}, 0, func() (entry, error) {
		e, _, err := s.read(s.name(key))
		return e, err
	})
}

// Get returns the value of key.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	e, err := s.lookup(ctx, "get", key)
	return e.value, err
}

// TTL returns how long the entry will still live by this process's clock, or
// UnknownTTL for a value that another program has written. It reads the value
// too.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	e, err := s.lookup(ctx, "ttl", key)
	return e.ttl, err
}

// GetWithTTL returns what Get and TTL do.
func (s *Store) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	e, err := s.lookup(ctx, "getwithttl", key)
	return e.value, e.ttl, err
}

// Set stores value under key.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	item := s.name(key).item(value)
	return run(ctx, s, "set", []string{key}, ttl, func() error {
		var undated error
		err := s.client.retry(func() error {
			if undated = s.date(item, ttl); undated != nil {
				return nil
			}
			return s.client.Set(item)
		})
		if isTooLarge(err) {
			_ = s.client.delete(item.Key) // memcached has removed it itself
		}
		return cmp.Or(undated, err)
	})
}

// Delete removes key, also if its value is another program's.
func (s *Store) Delete(ctx context.Context, key string) error {
	return run(ctx, s, "delete", []string{key}, 0, func() error { return s.client.delete(s.name(key).native) })
}

// Clear makes all entries of the store old, and returns after half a second,
// when they are misses in every process. If ctx ends before, they are so all
// the same. It removes nothing from the servers, neither what other programs
// have stored under the prefix. It needs all servers that hold the generation:
// if it fails, the entries may be misses to all, to some or to none until it
// is called again and succeeds.
func (s *Store) Clear(ctx context.Context) error {
	return run(ctx, s, "clear", nil, 0, s.generation.clear)
}

// Ping asks every server for its version.
func (s *Store) Ping(ctx context.Context) error {
	return run(ctx, s, "ping", nil, 0, func() error { return s.client.retry(s.client.Ping) })
}
