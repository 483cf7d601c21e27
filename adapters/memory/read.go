package memory

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// Get returns a copy of the value's bytes. A live value is encoded when its
// bytes are first asked for; if that fails the error is ErrInvalid.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	value, _, err := s.get(ctx, "get", key)
	return value, err
}

// GetWithTTL implements store.GetWithTTLStore.
func (s *Store) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	value, e, err := s.get(ctx, "getwithttl", key)
	if err != nil {
		return nil, 0, err
	}
	ttl, ok := s.timeLeft(e)
	if !ok {
		return nil, 0, store.ErrNotFound
	}
	return value, ttl, nil
}

// GetLive returns the entry itself. It does not allocate.
func (s *Store) GetLive(ctx context.Context, key string) (*store.Live, error) {
	e, err := s.lookup(ctx, "getlive", key)
	if err != nil {
		return nil, err
	}
	return e.Value, nil
}

// GetLiveAt implements store.LiveAtStore. It does not allocate.
func (s *Store) GetLiveAt(ctx context.Context, key string, now time.Time) (*store.Live, error) {
	if ctx == nil || ctx.Err() != nil {
		return nil, store.Check(ctx, "getliveat", key)
	}
	e, ok := s.cache.Get(key)
	if !ok || e.Deadline != cache.Never && e.Deadline <= s.cache.At(now) {
		return nil, s.miss(ctx, "getliveat", key)
	}
	s.hit(key, e.Value)
	return e.Value, nil
}

// GetMany implements store.GetManyStore. What can fail for one of the keys is
// only to encode a live value.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	return many(ctx, s, "getmany", keys, func(value []byte, _ entry) ([]byte, bool) { return value, true })
}

// GetManyWithTTL implements store.GetManyWithTTLStore, and fails as GetMany
// does.
func (s *Store) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	return many(ctx, s, "getmanywithttl", keys, func(value []byte, e entry) (store.Entry, bool) {
		ttl, ok := s.timeLeft(e)
		return store.Entry{Value: value, TTL: ttl}, ok
	})
}

// many reads keys. result says what is returned of an entry, or false if it
// has expired meanwhile.
func many[V any](ctx context.Context, s *Store, op string, keys []string, result func([]byte, entry) (V, bool)) (map[string]V, error) {
	if err := s.check(ctx, op, keys...); err != nil {
		return nil, err
	}
	values := make(map[string]V, len(keys))
	var failed error
	for _, key := range keys {
		if _, done := values[key]; done {
			continue
		}
		value, e, err := s.get(ctx, op, key)
		if err == nil {
			if v, ok := result(value, e); ok {
				values[key] = v
			}
		} else if err != store.ErrNotFound {
			failed = err
		}
	}
	return values, failed
}

// TTL implements store.Store. It counts neither as a use nor as a hit.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	if err := s.check(ctx, "ttl", key); err != nil {
		return 0, err
	}
	if e, ok := s.peek(key); ok {
		if ttl, ok := s.timeLeft(e); ok {
			return ttl, nil
		}
	}
	return 0, store.ErrNotFound
}

// Keys implements store.KeysStore. It counts neither as a use nor as a hit.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	const op = "keys"
	return func(yield func(string, error) bool) {
		if err := s.check(ctx, op); err != nil {
			yield("", err)
			return
		}
		for key := range s.All() {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			if err := s.check(ctx, op); err != nil {
				yield("", err)
				return
			}
			if !yield(key, nil) {
				return
			}
		}
	}
}

func (s *Store) get(ctx context.Context, op, key string) ([]byte, entry, error) {
	e, err := s.lookup(ctx, op, key)
	if err != nil {
		return nil, entry{}, err
	}
	// A copy that is not nil, also if it is empty.
	b, err := e.Value.Bytes()
	if err != nil {
		return nil, entry{}, encodeError(op, key, err)
	}
	return append([]byte{}, b...), e, nil
}

// lookup is a read that counts: as a use of the entry, and as a hit or a miss.
// It is kept short. What is wrong with the key or with the Store is asked only
// after nothing was found: a bad key is never there, nor is any key after
// Close.
func (s *Store) lookup(ctx context.Context, op, key string) (entry, error) {
	if ctx == nil || ctx.Err() != nil {
		return entry{}, store.Check(ctx, op, key)
	}
	e, ok := s.cache.Get(key)
	if !ok || s.expired(e) {
		return e, s.miss(ctx, op, key)
	}
	s.hit(key, e.Value)
	return e, nil
}

func (s *Store) miss(ctx context.Context, op, key string) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	s.missed(key)
	return store.ErrNotFound
}

// peek is a read that does not count.
func (s *Store) peek(key string) (entry, bool) {
	e, ok := s.cache.Peek(key)
	return e, ok && !s.expired(e)
}
