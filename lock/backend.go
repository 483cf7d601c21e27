package lock

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// A backend is one store, or a quorum. Whatever it has begun and cannot finish
// it undoes in the background: after a tryLock that has not acquired the lock,
// and after unlock, nothing of the token stays behind.
type backend interface {
	tryLock(ctx context.Context, name, token string, ttl time.Duration) (store.LockResult, error)
	extendLock(ctx context.Context, name, token string, ttl time.Duration) (extended bool, err error)
	unlock(ctx context.Context, name, token string) (unlocked bool, err error)

	// giveBack is unlock in the background.
	giveBack(name, token string)
}

// A node is one store: the methods of store.LockStore.
type node interface {
	TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error)
	ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (extended bool, err error)
	Unlock(ctx context.Context, key, token string) (unlocked bool, err error)
}

func nodeOf(s store.Store) (node, error) {
	locks := store.Supports[store.LockStore](s)
	entries := store.Supports[store.AddStore](s) && store.Supports[store.CompareAndSwapStore](s) && store.Supports[store.CompareAndDeleteStore](s)
	switch {
	case locks && entries:
		return &either{s.(store.LockStore), &generic{s}}, nil
	case locks:
		return s.(store.LockStore), nil
	case entries:
		return &generic{s}, nil
	}
	return nil, store.Errorf("lock", "", errors.ErrUnsupported,
		"%T cannot hold locks: it offers neither store.LockStore nor Add, CompareAndSwap and CompareAndDelete; use another store for them, such as Redis", s)
}

func watcherOf(s store.Store) watcher {
	if store.Supports[store.WatchLockStore](s) {
		return s.(store.WatchLockStore)
	}
	return nil
}

// either is a store that may decline its locks when it is asked, as layers do
// whose far store has none.
type either struct {
	locks   store.LockStore
	entries *generic
}

func (e *either) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	r, err := e.locks.TryLock(ctx, key, token, ttl)
	if errors.Is(err, errors.ErrUnsupported) {
		return e.entries.TryLock(ctx, key, token, ttl)
	}
	return r, err
}

func (e *either) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	extended, err := e.locks.ExtendLock(ctx, key, token, ttl)
	if errors.Is(err, errors.ErrUnsupported) {
		return e.entries.ExtendLock(ctx, key, token, ttl)
	}
	return extended, err
}

func (e *either) Unlock(ctx context.Context, key, token string) (bool, error) {
	unlocked, err := e.locks.Unlock(ctx, key, token)
	if errors.Is(err, errors.ErrUnsupported) {
		return e.entries.Unlock(ctx, key, token)
	}
	return unlocked, err
}

// single is the backend of one store.
type single struct {
	node
	*undoer
}

func (s *single) tryLock(ctx context.Context, name, token string, ttl time.Duration) (store.LockResult, error) {
	r, err := s.TryLock(ctx, name, token, ttl)
	if unknown(err) {
		s.undo(s.node, name, token, true)
	}
	return r, err
}

func (s *single) extendLock(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	return s.ExtendLock(ctx, name, token, ttl)
}

func (s *single) unlock(ctx context.Context, name, token string) (bool, error) {
	unlocked, err := s.Unlock(ctx, name, token)
	if unknown(err) {
		s.giveBack(name, token)
	}
	return unlocked, err
}

func (s *single) giveBack(name, token string) { s.undo(s.node, name, token, false) }

// unknown reports whether what was tried may have happened.
func unknown(err error) bool {
	return err != nil && !errors.Is(err, store.ErrInvalid) && !errors.Is(err, store.ErrClosed) && !errors.Is(err, errors.ErrUnsupported)
}
