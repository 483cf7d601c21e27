package memory

import (
	"context"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

var _ store.WatchLockStore = (*Store)(nil)

// locks are the locks that there are, and who waits for them. They have
// nothing to do with entries: no bound, no eviction, no Clear.
type locks struct {
	mu      sync.Mutex
	of      map[string]lock
	sweepAt int    // with so many in of, those that are over are removed
	fence   uint64 // the latest one, of any key: so it need not be kept by key
	waiting map[string]map[*lockWaiter]bool
}

type lock struct {
	token string
	fence uint64
	ends  int64 // as Store.now counts
}

// held returns the lock of key unless its ttl is over. It requires t.mu.
func (t *locks) held(key string, now int64) (lock, bool) {
	l, ok := t.of[key]
	if ok && l.ends <= now {
		delete(t.of, key)
		return lock{}, false
	}
	return l, ok
}

// minSweep is how many locks are not worth a look at all of them.
const minSweep = 64

// put requires t.mu. It removes what is over as often as the table has doubled:
// a timer would cost more, and a lock that nobody asks for does no harm.
func (t *locks) put(key string, l lock, now int64) {
	if t.of == nil {
		t.of, t.sweepAt = make(map[string]lock), minSweep
	}
	t.of[key] = l
	if len(t.of) < t.sweepAt {
		return
	}
	for key, l := range t.of {
		if l.ends <= now {
			delete(t.of, key)
		}
	}
	t.sweepAt = max(minSweep, 2*len(t.of))
}

// nextFence is that of the clock if that is larger: so it is larger as well
// than those of a process that ran before. It requires t.mu.
func (t *locks) nextFence() uint64 {
	t.fence = max(t.fence+1, uint64(max(0, time.Now().UnixMicro())))
	return t.fence
}

// TryLock implements store.LockStore. The ttl is kept to the nanosecond, by the
// monotonic clock.
func (s *Store) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	const op = "trylock"
	if err := store.CheckLease(ctx, op, key, token, ttl); err != nil {
		return store.LockResult{}, err
	}
	t := &s.locks
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.closed.Load() {
		return store.LockResult{}, errClosed(op, key)
	}
	now := s.now()
	l, ok := t.held(key, now)
	switch {
	case !ok:
		l = lock{token: token, fence: t.nextFence()}
	case l.token != token:
		return store.LockResult{Remaining: time.Duration(l.ends - now)}, nil
	}
	l.ends = s.cache.After(ttl)
	t.put(key, l, now)
	return store.LockResult{Acquired: true, Fence: l.fence}, nil
}

// ExtendLock implements store.LockStore.
func (s *Store) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (extended bool, err error) {
	const op = "extendlock"
	err = s.withLock(ctx, op, key, token, ttl, func(l lock) {
		l.ends = s.cache.After(ttl)
		s.locks.of[key] = l
		extended = true
	})
	return extended, err
}

// Unlock implements store.LockStore. Those who wait are told before it returns.
func (s *Store) Unlock(ctx context.Context, key, token string) (unlocked bool, err error) {
	const op = "unlock"
	err = s.withLock(ctx, op, key, token, 1, func(lock) {
		delete(s.locks.of, key)
		s.locks.tell(key)
		unlocked = true
	})
	return unlocked, err
}

// withLock calls do with the lock of key if the token holds it, under
// s.locks.mu.
func (s *Store) withLock(ctx context.Context, op, key, token string, ttl time.Duration, do func(lock)) error {
	if err := store.CheckLease(ctx, op, key, token, ttl); err != nil {
		return err
	}
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	if s.closed.Load() {
		return errClosed(op, key)
	}
	if l, ok := s.locks.held(key, s.now()); ok && l.token == token {
		do(l)
	}
	return nil
}

type lockWaiter struct {
	freed  chan struct{}
	forget func() bool // makes the context let go of the waiter
}

// tell requires t.mu. One signal that is not taken yet stands for all.
func (t *locks) tell(key string) {
	for w := range t.waiting[key] {
		select {
		case w.freed <- struct{}{}:
		default:
		}
	}
}

// WatchLock implements store.WatchLockStore. The channel holds one signal, and
// gets one from Close as well: whoever waits then finds out. No goroutine waits
// for the end of ctx.
func (s *Store) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	const op = "watchlock"
	if err := s.check(ctx, op, key); err != nil {
		return nil, err
	}
	t := &s.locks
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.closed.Load() { // under the lock, so that Close finds every waiter there is
		return nil, errClosed(op, key)
	}
	w := &lockWaiter{freed: make(chan struct{}, 1)}
	if t.waiting == nil {
		t.waiting = make(map[string]map[*lockWaiter]bool)
	}
	if t.waiting[key] == nil {
		t.waiting[key] = make(map[*lockWaiter]bool)
	}
	t.waiting[key][w] = true
	w.forget = context.AfterFunc(ctx, func() { t.remove(key, w) })
	return w.freed, nil
}

func (t *locks) remove(key string, w *lockWaiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting[key], w)
	if len(t.waiting[key]) == 0 {
		delete(t.waiting, key)
	}
}

// close drops all locks and waiters. The Store is closed, so that none is
// added.
func (t *locks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, waiters := range t.waiting {
		for w := range waiters {
			w.forget()
		}
		t.tell(key)
	}
	t.of, t.waiting = nil, nil
}
