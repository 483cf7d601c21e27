// Package storetest has stores for tests: [Bare] hides abilities, [Faulty]
// fails, [Slow] waits, [Recorder] remembers what it was asked, and [Intercept]
// is what the last three are made of. They compose:
//
//	s := storetest.NewRecorder(storetest.Slow(backend, delay))
//
// All but Bare keep the abilities of the store below.
package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// Bare returns s without its abilities: a Store of four methods, and Close.
func Bare(s store.Store) store.Store { return &bare{s} }

type bare struct{ s store.Store }

func (b *bare) Get(ctx context.Context, key string) ([]byte, error) { return b.s.Get(ctx, key) }

func (b *bare) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return b.s.Set(ctx, key, value, ttl)
}

func (b *bare) Delete(ctx context.Context, key string) error { return b.s.Delete(ctx, key) }

func (b *bare) TTL(ctx context.Context, key string) (time.Duration, error) {
	return b.s.TTL(ctx, key)
}

func (b *bare) Close() error { return store.Close(b.s) }

// Call is one call of a method: its name in lower case, as in store.Error.Op,
// and the keys it concerns; the prefix for "keys", none for "clear", "ping"
// and "watch".
type Call struct {
	Op   string
	Keys []string
}

// Key is the one key that the call concerns, or "".
func (c Call) Key() string {
	if len(c.Keys) == 1 {
		return c.Keys[0]
	}
	return ""
}

// Faulty returns s with failures. Each call asks before, and if that returns
// an error fails without reaching s; then after, and if that returns an error
// fails although s has done its work, as when an answer is lost. Either may be
// nil. The failure is a *store.Error that matches store.ErrUnavailable and the
// error that was returned. The functions may be called concurrently.
func Faulty(s store.Store, before, after func(Call) error) store.Store {
	ask := func(plan func(Call) error, c Call) error {
		if plan == nil {
			return nil
		}
		if err := plan(c); err != nil {
			return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "%w", err)
		}
		return nil
	}
	return Intercept(s, func(ctx context.Context, c Call, next func(context.Context) error) error {
		if err := ask(before, c); err != nil {
			return err
		}
		err := next(ctx)
		if lost := ask(after, c); lost != nil {
			return lost
		}
		return err
	})
}

// Slow returns s with a delay before each call. A context that ends during the
// delay ends the call, which then does not reach s. delay may be called
// concurrently.
func Slow(s store.Store, delay func(Call) time.Duration) store.Store {
	return Intercept(s, func(ctx context.Context, c Call, next func(context.Context) error) error {
		if d := delay(c); d > 0 && ctx != nil {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return &store.Error{Op: c.Op, Key: c.Key(), Err: ctx.Err()}
			}
		}
		return next(ctx)
	})
}

// Recorder is a Store that remembers the calls that reach it. Make one with
// NewRecorder.
type Recorder struct {
	*interceptor
	mu    sync.Mutex
	calls []Call
}

// NewRecorder returns a Recorder that forwards to s.
func NewRecorder(s store.Store) *Recorder {
	r := new(Recorder)
	r.interceptor = &interceptor{s, func(ctx context.Context, c Call, next func(context.Context) error) error {
		r.mu.Lock()
		r.calls = append(r.calls, Call{c.Op, slices.Clone(c.Keys)})
		r.mu.Unlock()
		return next(ctx)
	}}
	return r
}

// Calls returns the calls so far, in the order in which they began.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Count returns how many calls of op there were.
func (r *Recorder) Count(op string) int {
	n := 0
	for _, c := range r.Calls() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// Reset forgets the calls.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = nil
}
