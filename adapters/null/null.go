// Package null provides a store that remembers nothing. It stands in for a
// cache where there shall be none, so that a program can be run without one by
// its configuration alone. Importing it registers the URL scheme null:
//
//	s, err := store.Open(ctx, "null:")
package null

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// Store is a store in which every entry is gone as soon as it is written. It
// checks keys, times to live, contexts and its being closed as every store
// does, so that what works with it works with a real one.
//
// It offers every ability that can be kept without memory: reads find nothing,
// no swap succeeds, no key is listed. It does not offer Add, and therefore no
// locks: of several callers exactly one must be told that it came first, and
// that takes a memory. Its methods may be called concurrently.
type Store struct {
	closed atomic.Bool
}

var (
	_ store.GetManyStore          = (*Store)(nil)
	_ store.SetManyStore          = (*Store)(nil)
	_ store.DeleteManyStore       = (*Store)(nil)
	_ store.GetWithTTLStore       = (*Store)(nil)
	_ store.GetManyWithTTLStore   = (*Store)(nil)
	_ store.CompareAndSwapStore   = (*Store)(nil)
	_ store.CompareAndDeleteStore = (*Store)(nil)
	_ store.TouchStore            = (*Store)(nil)
	_ store.KeysStore             = (*Store)(nil)
	_ store.ClearStore            = (*Store)(nil)
	_ store.LiveStore             = (*Store)(nil)
	_ store.PingStore             = (*Store)(nil)
)

// New returns a store that remembers nothing.
func New() *Store { return new(Store) }

func init() { store.Register("null", open) }

// open makes a Store of the URL null:, which takes the parameters prefix and
// ttl as every scheme does, and has no use for them.
func open(_ context.Context, u *store.URL) (store.Store, error) {
	u.NoAddress()
	u.Text("prefix")
	u.Duration("ttl")
	if err := u.Err(); err != nil {
		return nil, err
	}
	return New(), nil
}

// Close makes every later call fail with ErrClosed. It always succeeds.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// Get returns ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	return nil, s.miss(ctx, "get", key)
}

// Set stores nothing.
func (s *Store) Set(ctx context.Context, key string, _ []byte, ttl time.Duration) error {
	return s.write(ctx, "set", key, ttl)
}

// Delete has nothing to remove, and succeeds.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.check(ctx, "delete", key)
}

// TTL returns ErrNotFound.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	return 0, s.miss(ctx, "ttl", key)
}

// GetMany returns an empty map.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	if err := s.check(ctx, "getmany", keys...); err != nil {
		return nil, err
	}
	return map[string][]byte{}, nil
}

// SetMany stores nothing.
func (s *Store) SetMany(ctx context.Context, items []store.Item) error {
	const op = "setmany"
	if err := store.CheckItems(ctx, op, items); err != nil {
		return err
	}
	return s.check(ctx, op)
}

// DeleteMany has nothing to remove, and succeeds.
func (s *Store) DeleteMany(ctx context.Context, keys []string) error {
	return s.check(ctx, "deletemany", keys...)
}

// GetWithTTL returns ErrNotFound.
func (s *Store) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	return nil, 0, s.miss(ctx, "getwithttl", key)
}

// GetManyWithTTL returns an empty map.
func (s *Store) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	if err := s.check(ctx, "getmanywithttl", keys...); err != nil {
		return nil, err
	}
	return map[string]store.Entry{}, nil
}

// CompareAndSwap swaps nothing, as every key is absent.
func (s *Store) CompareAndSwap(ctx context.Context, key string, _, _ []byte, ttl time.Duration) (bool, error) {
	return false, s.write(ctx, "compareandswap", key, ttl)
}

// CompareAndDelete deletes nothing, as every key is absent.
func (s *Store) CompareAndDelete(ctx context.Context, key string, _ []byte) (bool, error) {
	return false, s.check(ctx, "compareanddelete", key)
}

// Touch returns ErrNotFound.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	const op = "touch"
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return err
	}
	return s.miss(ctx, op, key)
}

// Keys yields no key.
func (s *Store) Keys(ctx context.Context, _ string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.check(ctx, "keys"); err != nil {
			yield("", err)
		}
	}
}

// Clear has nothing to remove, and succeeds.
func (s *Store) Clear(ctx context.Context) error { return s.check(ctx, "clear") }

// GetLive returns ErrNotFound.
func (s *Store) GetLive(ctx context.Context, key string) (*store.Live, error) {
	return nil, s.miss(ctx, "getlive", key)
}

// SetLive stores nothing, and encodes nothing.
func (s *Store) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	const op = "setlive"
	if l == nil {
		return store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	return s.write(ctx, op, key, ttl)
}

// Ping succeeds.
func (s *Store) Ping(ctx context.Context) error { return s.check(ctx, "ping") }

func (s *Store) check(ctx context.Context, op string, keys ...string) error {
	if err := store.Check(ctx, op, keys...); err != nil {
		return err
	}
	if s.closed.Load() {
		return store.Errorf(op, "", store.ErrClosed, "the store is closed")
	}
	return nil
}

func (s *Store) write(ctx context.Context, op, key string, ttl time.Duration) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return store.CheckTTL(op, key, ttl)
}

func (s *Store) miss(ctx context.Context, op, key string) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return store.ErrNotFound
}
