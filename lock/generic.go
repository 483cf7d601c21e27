package lock

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cairncache/cairn/store"
)

// The keys of the entries that stand for a lock in a store that has none. They
// are of one length: a name that is too long for the fence cannot be taken.
const (
	entryPrefix = "lockowner:" // and the name: the token of who holds the lock
	fencePrefix = "lockfence:" // and the name: the last fence, in decimal, without expiry
)

// generic holds locks as entries, in a store that has Add, CompareAndSwap and
// CompareAndDelete.
type generic struct{ s store.Store }

// TryLock returns a larger fence each time, also if it is repeated.
func (g *generic) TryLock(ctx context.Context, name, token string, ttl time.Duration) (store.LockResult, error) {
	taken, err := g.take(ctx, name, token, ttl)
	if err != nil {
		return store.LockResult{}, err
	}
	if !taken {
		return g.held(ctx, name)
	}
	// Whoever takes the lock next raises the fence after this, or this is
	// answered when the lease is over, and not used.
	fence, err := raiseFence(ctx, g.s, name)
	if err != nil {
		return store.LockResult{}, err
	}
	return store.LockResult{Acquired: true, Fence: fence}, nil
}

func (g *generic) take(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	added, err := store.Add(ctx, g.s, entryPrefix+name, []byte(token), ttl)
	if added || err != nil {
		return added, err
	}
	return g.ExtendLock(ctx, name, token, ttl) // the answer of a first try was lost
}

// held is what is answered to who has not got the lock.
func (g *generic) held(ctx context.Context, name string) (store.LockResult, error) {
	left, err := g.s.TTL(ctx, entryPrefix+name)
	if errors.Is(err, store.ErrNotFound) { // freed at this moment
		return store.LockResult{Remaining: 0}, nil
	}
	if err != nil || left == store.Forever {
		left = store.UnknownTTL
	}
	return store.LockResult{Remaining: left}, nil
}

func (g *generic) ExtendLock(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	return store.CompareAndSwap(ctx, g.s, entryPrefix+name, []byte(token), []byte(token), ttl)
}

func (g *generic) Unlock(ctx context.Context, name, token string) (bool, error) {
	return store.CompareAndDelete(ctx, g.s, entryPrefix+name, []byte(token))
}

// raiseFence makes the next fence of name: one more than the last one, or the
// time in µs, if that is more, as after the entry was lost.
func raiseFence(ctx context.Context, s store.Store, name string) (uint64, error) {
	next := uint64(time.Now().UnixMicro())
	for {
		last, raised, err := setFence(ctx, s, name, next)
		if raised || err != nil {
			return next, err
		}
		next = max(next, last+1)
	}
}

// setFence raises the fence of name to next, if it is less. Otherwise last is
// what it is. It reports neither if another has changed it meanwhile.
func setFence(ctx context.Context, s store.Store, name string, next uint64) (last uint64, raised bool, err error) {
	key, value := fencePrefix+name, []byte(strconv.FormatUint(next, 10))
	old, err := s.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		raised, err = store.Add(ctx, s, key, value, store.Forever)
		return 0, raised, err
	}
	if err != nil {
		return 0, false, err
	}
	last, err = strconv.ParseUint(string(old), 10, 64)
	if err != nil {
		return 0, false, store.Errorf("lock", name, store.ErrUnavailable, "the entry %q is not a fence; keep other entries from beginning with %q", key, fencePrefix)
	}
	if last >= next {
		return last, false, nil
	}
	raised, err = store.CompareAndSwap(ctx, s, key, old, value, store.Forever)
	return 0, raised, err
}
