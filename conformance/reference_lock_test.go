package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

var _ store.WatchLockStore = (*reference)(nil)

// lockTable is the locks of a reference, and who waits for them.
type lockTable struct {
	of      map[string]heldLock
	fence   uint64
	waiting map[string]map[chan struct{}]bool
}

type heldLock struct {
	token string
	fence uint64
	ends  time.Time
}

func newLockTable() *lockTable {
	return &lockTable{of: make(map[string]heldLock), waiting: make(map[string]map[chan struct{}]bool)}
}

func (t *lockTable) tell(key string) {
	for freed := range t.waiting[key] {
		select {
		case freed <- struct{}{}:
		default:
		}
	}
}

// lock returns the lock of key if it is held.
func (r *reference) lock(key string) (heldLock, bool) {
	l, ok := r.locks.of[key]
	return l, ok && r.now().Before(l.ends)
}

func (r *reference) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	if err := r.beginLease(ctx, "trylock", key, token, ttl); err != nil {
		return store.LockResult{}, err
	}
	defer r.mu.Unlock()
	l := r.locks.of[key]
	switch left := l.ends.Sub(r.now()); {
	case left <= 0:
		r.locks.fence++
		l = heldLock{token: token, fence: r.locks.fence}
	case l.token != token:
		return store.LockResult{Remaining: left}, nil
	}
	l.ends = r.now().Add(ttl)
	r.locks.of[key] = l
	return store.LockResult{Acquired: true, Fence: l.fence}, nil
}

func (r *reference) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	if err := r.beginLease(ctx, "extendlock", key, token, ttl); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	l, ok := r.lock(key)
	if !ok || l.token != token {
		return false, nil
	}
	l.ends = r.now().Add(ttl)
	r.locks.of[key] = l
	return true, nil
}

func (r *reference) Unlock(ctx context.Context, key, token string) (bool, error) {
	if err := r.beginLease(ctx, "unlock", key, token, 1); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if l, ok := r.lock(key); !ok || l.token != token {
		return false, nil
	}
	delete(r.locks.of, key)
	r.locks.tell(key)
	return true, nil
}

func (r *reference) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	if err := store.Check(ctx, "watchlock", key); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if *r.closed {
		return nil, store.Errorf("watchlock", key, store.ErrClosed, "the store is closed")
	}
	freed := make(chan struct{}, 1)
	if r.locks.waiting[key] == nil {
		r.locks.waiting[key] = make(map[chan struct{}]bool)
	}
	r.locks.waiting[key][freed] = true
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.locks.waiting[key], freed)
	})
	return freed, nil
}

// lockFuncs are the methods of a faulty that concern locks.
type lockFuncs struct {
	try    func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error)
	extend func(ctx context.Context, key, token string, ttl time.Duration) (bool, error)
	unlock func(ctx context.Context, key, token string) (bool, error)
	watch  func(ctx context.Context, key string) (<-chan struct{}, error)
}

func locking(r *reference) lockFuncs {
	return lockFuncs{r.TryLock, r.ExtendLock, r.Unlock, r.WatchLock}
}

func (l *lockFuncs) decline(name string) {
	no := errors.ErrUnsupported
	switch name {
	case "Lock":
		l.try = func(context.Context, string, string, time.Duration) (store.LockResult, error) {
			return store.LockResult{}, no
		}
		l.extend = func(context.Context, string, string, time.Duration) (bool, error) { return false, no }
		l.unlock = func(context.Context, string, string) (bool, error) { return false, no }
	case "WatchLock":
		l.watch = func(context.Context, string) (<-chan struct{}, error) { return nil, no }
	}
}

func (f *faulty) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	return f.lock.try(ctx, key, token, ttl)
}

func (f *faulty) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	return f.lock.extend(ctx, key, token, ttl)
}

func (f *faulty) Unlock(ctx context.Context, key, token string) (bool, error) {
	return f.lock.unlock(ctx, key, token)
}

func (f *faulty) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	return f.lock.watch(ctx, key)
}
