package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

var _ store.WatchLockStore = (*interceptor)(nil)

func (w *interceptor) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	return call(ctx, w, Call{"trylock", []string{key}}, func(ctx context.Context) (store.LockResult, error) {
		if s, ok := w.s.(store.LockStore); ok {
			return s.TryLock(ctx, key, token, ttl)
		}
		return store.LockResult{}, errors.ErrUnsupported
	})
}

func (w *interceptor) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	return call(ctx, w, Call{"extendlock", []string{key}}, func(ctx context.Context) (bool, error) {
		if s, ok := w.s.(store.LockStore); ok {
			return s.ExtendLock(ctx, key, token, ttl)
		}
		return false, errors.ErrUnsupported
	})
}

func (w *interceptor) Unlock(ctx context.Context, key, token string) (bool, error) {
	return call(ctx, w, Call{"unlock", []string{key}}, func(ctx context.Context) (bool, error) {
		if s, ok := w.s.(store.LockStore); ok {
			return s.Unlock(ctx, key, token)
		}
		return false, errors.ErrUnsupported
	})
}

func (w *interceptor) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	return call(ctx, w, Call{"watchlock", []string{key}}, func(ctx context.Context) (<-chan struct{}, error) {
		if s, ok := w.s.(store.WatchLockStore); ok {
			return s.WatchLock(ctx, key)
		}
		return nil, errors.ErrUnsupported
	})
}
