package layered

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/internal/await"
	"github.com/cairncache/cairn/store"
)

// guard leads calls to L2: each is bounded in time, whatever L2 makes of its
// context, and none is made while the breaker is open.
type guard struct {
	direct  bool          // do nothing of this, as L2 is a *Store, whose own guard does
	timeout time.Duration // positive
	breaker breaker
	calls   await.Group
}

func newGuard(timeout time.Duration) *guard { return &guard{timeout: timeout} }

// do makes a call without a result; see guarded.
func (g *guard) do(ctx context.Context, op, key string, call func(context.Context) error) error {
	_, err := guarded(ctx, g, op, key, func(ctx context.Context) (none struct{}, _ error) { return none, call(ctx) })
	return err
}

// guarded returns what call returns. If call takes longer than the time-out
// the error is ErrUnavailable, and if ctx ends the error is that of ctx. The
// call may then still be under way, with its context done: so it must not
// write to what the caller reads, but return it, nor keep ctx.
//
// The error of a time-out does not match context.DeadlineExceeded, also if L2
// made it of the context that it was given: the caller's has not ended.
//
// call runs in another goroutine, unless the guard is direct. A panic in it, as in a function of the user's
// that encodes a value, goes on in the caller, and tells nothing of L2.
func guarded[T any](ctx context.Context, g *guard, op, key string, call func(context.Context) (T, error)) (T, error) {
	if g.direct {
		return call(ctx)
	}
	var none T
	pass, err := g.breaker.enter(time.Now())
	if err != nil {
		return none, store.Errorf(op, key, store.ErrUnavailable, "%w", err)
	}
	limit, cancel := context.WithTimeout(context.Background(), g.timeout)
	returned := false
	defer func() {
		cancel()
		if !returned {
			g.breaker.leave(pass)
		}
	}()
	v, err := await.Within(ctx, limit, &g.calls, call)
	returned = true
	if err == nil || err == store.ErrNotFound {
		g.breaker.answered()
		return v, err
	}
	if ended := contextError(ctx); ended != nil && (isContextError(err) || errors.Is(err, store.ErrUnavailable)) {
		g.breaker.leave(pass)
		return none, &store.Error{Op: op, Key: key, Err: ended}
	}
	timedOut := isContextError(err)
	switch {
	case timedOut && limit.Err() != nil:
		err = store.Errorf(op, key, store.ErrUnavailable, "no answer from L2 within %v", g.timeout)
	case timedOut:
		err = store.Errorf(op, key, store.ErrUnavailable, "%v", reason(err))
	case !errors.Is(err, store.ErrUnavailable):
		g.breaker.leave(pass)
		return v, err
	}
	g.breaker.failed(pass, time.Now(), err, timedOut)
	return v, err
}

// close ends the goroutines that calls run in. It waits for calls that were
// left behind, but no longer than a call may take: L2 may never return.
func (g *guard) close() {
	done := make(chan struct{})
	go func() {
		g.calls.Wait()
		close(done)
	}()
	limit := time.NewTimer(g.timeout)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

// contextError returns how ctx has ended, or nil. A socket may notice the
// deadline a moment before the context does.
func contextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func isContextError(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// reason returns what an error of a store says beside the call and the key.
func reason(err error) error {
	for {
		e, ok := err.(*store.Error)
		if !ok {
			return err
		}
		err = e.Err
	}
}
