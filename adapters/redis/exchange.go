package redis

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/internal/await"
)

// exchange runs call, which waits for the server, and returns no later than
// ctx ends or the time-out of the store has passed. The context that call gets
// ends then too, so that the client does not go on to repeat a command.
//
// A call that has been given up may still run for a while: it must not touch
// anything that the caller could use by then.
func exchange[T any](ctx context.Context, s *Store, call func(context.Context) (T, error)) (T, error) {
	return within(ctx, s.timer.context(), s, call)
}

func within[T any](ctx, limit context.Context, s *Store, call func(context.Context) (T, error)) (T, error) {
	if s.abandons(ctx) {
		return await.Within(ctx, limit, &s.calls, call)
	}
	if ctx != context.Background() {
		limit = valued{limit, ctx}
	}
	return call(limit)
}

// abandons reports whether exchange may return before its call does.
func (s *Store) abandons(ctx context.Context) bool { return ctx.Done() != nil || !s.prompt }

// keep returns value, or a copy that an abandoned call may go on reading.
func (s *Store) keep(ctx context.Context, value []byte) []byte {
	if s.abandons(ctx) {
		return bytes.Clone(value)
	}
	return value
}

// timer makes contexts that end after a fixed time. To make one costs more
// than all else that happens for a call on this side of the network, so those
// calls that begin within a sixteenth of the time share one.
type timer struct {
	timeout time.Duration
	latest  atomic.Pointer[limit]
}

type limit struct {
	context.Context
	fresh time.Time // until when calls may begin to use it
}

// context returns a context that ends after the time-out, or a little less.
func (t *timer) context() context.Context {
	now := time.Now()
	if l := t.latest.Load(); l != nil && now.Before(l.fresh) {
		return l.Context
	}
	ctx, cancel := context.WithDeadline(context.Background(), now.Add(t.timeout))
	context.AfterFunc(ctx, cancel) // nothing ends it before its time
	t.latest.Store(&limit{ctx, now.Add(t.timeout / 16)})
	return ctx
}

// valued is a context with the values of another one, which the client's hooks
// may look for.
type valued struct {
	context.Context
	values context.Context
}

func (v valued) Value(key any) any { return v.values.Value(key) }
