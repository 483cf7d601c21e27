package store

import (
	"context"
	"time"
)

var _ WatchLockStore = (*prefixed)(nil)

func (p *prefixed) TryLock(ctx context.Context, key, token string, ttl time.Duration) (LockResult, error) {
	const op = "trylock"
	full, err := p.key(op, key)
	if err != nil {
		return LockResult{}, err
	}
	ls, ok := p.s.(LockStore)
	if !ok {
		return LockResult{}, noLocks(op, key, p.s)
	}
	r, err := ls.TryLock(ctx, full, token, ttl)
	return r, p.rename(err)
}

func (p *prefixed) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	const op = "extendlock"
	full, err := p.key(op, key)
	if err != nil {
		return false, err
	}
	ls, ok := p.s.(LockStore)
	if !ok {
		return false, noLocks(op, key, p.s)
	}
	extended, err := ls.ExtendLock(ctx, full, token, ttl)
	return extended, p.rename(err)
}

func (p *prefixed) Unlock(ctx context.Context, key, token string) (bool, error) {
	const op = "unlock"
	full, err := p.key(op, key)
	if err != nil {
		return false, err
	}
	ls, ok := p.s.(LockStore)
	if !ok {
		return false, noLocks(op, key, p.s)
	}
	unlocked, err := ls.Unlock(ctx, full, token)
	return unlocked, p.rename(err)
}

func (p *prefixed) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	const op = "watchlock"
	full, err := p.key(op, key)
	if err != nil {
		return nil, err
	}
	ls, ok := p.s.(WatchLockStore)
	if !ok {
		return nil, unsupported(op, key, p.s, "WatchLock")
	}
	freed, err := ls.WatchLock(ctx, full)
	return freed, p.rename(err)
}

func noLocks(op, key string, s Store) error { return unsupported(op, key, s, "Lock") }
