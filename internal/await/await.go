// Package await makes calls that do not watch a context return when their
// caller's context ends. The clients of Redis and Memcached wait on a socket
// with a time-out and do not see a context that is cancelled meanwhile.
package await

import (
	"context"
	"runtime"
	"time"
)

// Do returns what call returns, or ctx.Err() as soon as ctx is done; call then
// goes on in the background and its result is dropped, so it must not write to
// anything that the caller still uses, nor read what the caller may change. If
// ctx can never be done, call runs in the caller's goroutine.
//
// A panic of call goes on in the caller, who may recover it, and so does
// runtime.Goexit. If the caller has left by then the Group counts the panic,
// and that is all: there is nobody to recover it, and a program does not end
// because of a call that nobody waits for.
func Do[T any](ctx context.Context, g *Group, call func() (T, error)) (T, error) {
	if ctx.Done() == nil {
		return call()
	}
	return Within(ctx, context.Background(), g, func(context.Context) (T, error) { return call() })
}

// Within is Do with two ends: it returns as soon as ctx or limit is done, with
// the error of the one that is. The context that call gets has the values of
// ctx and the earlier of the two deadlines, and it is done once Within has
// returned without call's result: what call has not begun by then it can
// refrain from. It must not be used after call has returned.
func Within[T any](ctx, limit context.Context, g *Group, call func(context.Context) (T, error)) (T, error) {
	w := g.take()
	j := &job[T]{scope: scope{Context: ctx, done: w.abandoned}, call: call}
	j.deadline, j.bounded = earlier(ctx, limit)
	w.jobs <- j
	var err error
	select {
	case <-w.finished:
		return j.result(g, w)
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.Done():
		err = limit.Err()
	}
	select {
	case <-w.finished: // at the same moment
		return j.result(g, w)
	default:
	}
	j.scope.err = err
	close(w.abandoned)
	close(w.jobs) // the worker ends after this call
	var zero T
	return zero, err
}

// A job is one call, its result, and the context that it gets.
type job[T any] struct {
	scope
	call     func(context.Context) (T, error)
	value    T
	err      error
	panicked any  // what recover has returned
	exited   bool // by runtime.Goexit
}

// run reports whether the call has panicked.
func (j *job[T]) run() (panicked bool) {
	j.exited = true
	defer func() {
		if j.panicked = recover(); j.panicked != nil {
			j.exited, panicked = false, true
		}
	}()
	j.value, j.err = j.call(&j.scope)
	j.exited = false
	return false
}

// result ends the call in the caller's goroutine as it has ended in the
// worker's.
func (j *job[T]) result(g *Group, w *worker) (T, error) {
	if j.exited {
		runtime.Goexit() // as the worker has
	}
	g.put(w)
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.value, j.err
}

// scope is the context of one call. It has its own end, by which the caller
// tells a call that it has been abandoned.
type scope struct {
	context.Context // the caller's, for its values
	deadline        time.Time
	bounded         bool
	done            chan struct{}
	err             error // set before done is closed
}

func (s *scope) Deadline() (time.Time, bool) { return s.deadline, s.bounded }

func (s *scope) Done() <-chan struct{} { return s.done }

func (s *scope) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

func earlier(a, b context.Context) (time.Time, bool) {
	at, ok := a.Deadline()
	bt, bok := b.Deadline()
	if bok && (!ok || bt.Before(at)) {
		return bt, true
	}
	return at, ok
}
