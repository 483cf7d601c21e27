package lock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

var errFault = errors.New("connection reset")

// fake is a server of locks whose faults are planned. It has entries too.
type fake struct {
	*memory.Store

	mu       sync.Mutex
	locks    map[string]fakeLock
	fences   map[string]uint64
	watchers map[string][]chan struct{}
	count    map[string]int // of calls, by method
	paused   chan struct{}  // closed when it goes on
	clock    time.Duration  // ahead of the others'

	// They are called before and after what is done, if not nil: an error is
	// what the caller gets.
	before, after func(ctx context.Context, op, token string) error
}

type fakeLock struct {
	token string
	fence uint64
	until time.Time
}

func newFake(t testing.TB) *fake {
	t.Helper()
	s, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fake{Store: s}
	f.lose()
	return f
}

// lose is a restart without data.
func (f *fake) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locks, f.fences = make(map[string]fakeLock), make(map[string]uint64)
	if f.count == nil {
		f.count, f.watchers = make(map[string]int), make(map[string][]chan struct{})
	}
}

func (f *fake) faults(before, after func(ctx context.Context, op, token string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// pause holds all requests up, until resume is called. They are done then, also
// if nobody waits for the answer any more.
func (f *fake) pause() (resume func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan struct{})
	f.paused = c
	return func() {
		f.mu.Lock()
		f.paused = nil
		f.mu.Unlock()
		close(c)
	}
}

func (f *fake) calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[op]
}

// holder is the token that holds the lock, or "".
func (f *fake) holder(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.locks[name]; time.Now().Before(l.until) {
		return l.token
	}
	return ""
}

func (f *fake) do(ctx context.Context, op, key, token string, do func()) error {
	if err := store.Check(ctx, op, key); err != nil {
		return err
	}
	f.mu.Lock()
	f.count[op]++
	paused, before, after := f.paused, f.before, f.after
	f.mu.Unlock()
	locked := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		do()
	}
	if paused != nil {
		select {
		case <-paused:
		case <-ctx.Done():
			go func() {
				<-paused
				time.Sleep(50 * time.Millisecond) // after those who have come later
				locked()
			}()
			return store.Errorf(op, key, ctx.Err(), "%w", ctx.Err())
		}
	}
	if before != nil {
		if err := before(ctx, op, token); err != nil {
			return store.Errorf(op, key, store.ErrUnavailable, "%w", err)
		}
	}
	locked()
	if after != nil {
		if err := after(ctx, op, token); err != nil {
			return store.Errorf(op, key, store.ErrUnavailable, "%w", err)
		}
	}
	return nil
}

func (f *fake) TryLock(ctx context.Context, key, token string, ttl time.Duration) (r store.LockResult, err error) {
	answered := make(chan store.LockResult, 1)
	err = f.do(ctx, "trylock", key, token, func() {
		now := time.Now()
		l := f.locks[key]
		switch held := now.Before(l.until); {
		case held && l.token != token:
			answered <- store.LockResult{Remaining: l.until.Sub(now)}
			return
		case !held:
			l.fence = max(f.fences[key]+1, uint64(now.Add(f.clock).UnixMicro()))
			f.fences[key] = l.fence
		}
		f.locks[key] = fakeLock{token, l.fence, now.Add(ttl)}
		answered <- store.LockResult{Acquired: true, Fence: l.fence}
	})
	if err == nil {
		r = <-answered
	}
	return r, err
}

func (f *fake) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	answered := make(chan bool, 1)
	err := f.do(ctx, "extendlock", key, token, func() {
		l := f.locks[key]
		ok := l.token == token && time.Now().Before(l.until)
		if ok {
			l.until = time.Now().Add(ttl)
			f.locks[key] = l
		}
		answered <- ok
	})
	return err == nil && <-answered, err
}

func (f *fake) Unlock(ctx context.Context, key, token string) (bool, error) {
	answered := make(chan bool, 1)
	err := f.do(ctx, "unlock", key, token, func() {
		l := f.locks[key]
		ok := l.token == token && time.Now().Before(l.until)
		if ok {
			delete(f.locks, key)
			for _, w := range f.watchers[key] {
				select {
				case w <- struct{}{}:
				default:
				}
			}
		}
		answered <- ok
	})
	return err == nil && <-answered, err
}

func (f *fake) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count["watchlock"]++
	f.watchers[key] = append(f.watchers[key], c)
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.count["unwatchlock"]++
	})
	return c, nil
}

// entries is a store that has entries and no locks.
type entries struct{ s *memory.Store }

func (e entries) Get(ctx context.Context, key string) ([]byte, error) { return e.s.Get(ctx, key) }

func (e entries) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return e.s.Set(ctx, key, value, ttl)
}

func (e entries) Delete(ctx context.Context, key string) error { return e.s.Delete(ctx, key) }

func (e entries) TTL(ctx context.Context, key string) (time.Duration, error) {
	return e.s.TTL(ctx, key)
}

func (e entries) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return e.s.Add(ctx, key, value, ttl)
}

func (e entries) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	return e.s.CompareAndSwap(ctx, key, old, new, ttl)
}

func (e entries) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	return e.s.CompareAndDelete(ctx, key, old)
}

func newEntries(t testing.TB) entries { return entries{newFake(t).Store} }

func newLock(t testing.TB, s store.Store, o *Options) *Locker {
	t.Helper()
	k, err := New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func mustLock(t testing.TB, k *Locker, name string) *Lease {
	t.Helper()
	l, err := k.Lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustUnlock(t testing.TB, l *Lease) {
	t.Helper()
	if err := l.Unlock(context.Background()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}

// within is how a test says how late something may be.
func within(t testing.TB, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s after %v, want %v to %v", what, got, least, most)
	}
}

// hang is a server that does not answer.
func hang(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }

func only(op string, fault func(ctx context.Context, op, token string) error) func(ctx context.Context, op, token string) error {
	return func(ctx context.Context, called, token string) error {
		if called != op {
			return nil
		}
		return fault(ctx, called, token)
	}
}

func refuse(context.Context, string, string) error { return errFault }

// once is a fault that happens once.
func once(fault func(ctx context.Context, op, token string) error) func(ctx context.Context, op, token string) error {
	var done sync.Once
	return func(ctx context.Context, op, token string) (err error) {
		done.Do(func() { err = fault(ctx, op, token) })
		return err
	}
}
