package layered

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

var _ store.WatchLockStore = (*Store)(nil)

// TryLock asks L2, which alone has locks. Without any it returns an error
// matching errors.ErrUnsupported.
func (s *Store) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	return locked(ctx, s, "trylock", key, token, ttl, func(ctx context.Context, l2 store.LockStore) (store.LockResult, error) {
		return l2.TryLock(ctx, key, token, ttl)
	})
}

// ExtendLock asks L2.
func (s *Store) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	return locked(ctx, s, "extendlock", key, token, ttl, func(ctx context.Context, l2 store.LockStore) (bool, error) {
		return l2.ExtendLock(ctx, key, token, ttl)
	})
}

// Unlock asks L2.
func (s *Store) Unlock(ctx context.Context, key, token string) (bool, error) {
	return locked(ctx, s, "unlock", key, token, 1, func(ctx context.Context, l2 store.LockStore) (bool, error) {
		return l2.Unlock(ctx, key, token)
	})
}

func locked[T any](ctx context.Context, s *Store, op, key, token string, ttl time.Duration, call func(context.Context, store.LockStore) (T, error)) (T, error) {
	var none T
	if err := s.checkLease(ctx, op, key, token, ttl); err != nil {
		return none, err
	}
	l2, ok := s.l2.(store.LockStore)
	if !ok {
		return none, store.Errorf(op, key, errors.ErrUnsupported, "L2, a %T, has no locks", s.l2)
	}
	r, err := guarded(ctx, s.guard, op, key, func(ctx context.Context) (T, error) { return call(ctx, l2) })
	return r, s.failedIf(op, err)
}

// WatchLock asks L2. It returns at once, so the breaker and the time-out have no
// part in it. Close does not end the watching of an L2 that stays open: ctx
// does.
func (s *Store) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	const op = "watchlock"
	if err := s.check(ctx, op, key); err != nil {
		return nil, err
	}
	l2, ok := s.l2.(store.WatchLockStore)
	if !ok {
		return nil, store.Errorf(op, key, errors.ErrUnsupported, "L2, a %T, does not tell of locks", s.l2)
	}
	freed, err := l2.WatchLock(ctx, key)
	return freed, s.failedIf(op, err)
}
