package flight

import (
	"context"
	"sync"
	"sync/atomic"
)

// Scope is the life that the loads of several groups have in common. Make one
// with NewScope.
type Scope struct {
	ctx     context.Context // ends when Close gives up waiting
	cut     context.CancelCauseFunc
	closed  atomic.Bool
	closing chan struct{} // closed when closed is set

	mu   sync.Mutex
	n    int           // loads under way
	idle chan struct{} // closed when n is 0 again; nil unless Close waits
}

// NewScope returns a Scope that is open.
func NewScope() *Scope {
	s := &Scope{closing: make(chan struct{})}
	s.ctx, s.cut = context.WithCancelCause(context.Background())
	return s
}

// Closed reports whether Close was called.
func (s *Scope) Closed() bool { return s.closed.Load() }

// Closing returns a channel that is closed when Close is called.
func (s *Scope) Closing() <-chan struct{} { return s.closing }

// Close lets no load begin any more and waits for those under way. If ctx ends
// first, it cancels them, releases all who wait for them with ErrClosed, and
// returns ctx.Err(): from then on none fills the cache, and a load that heeds
// its context is about to end. Close may be called again.
func (s *Scope) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed.CompareAndSwap(false, true) {
		close(s.closing)
	}
	if s.n == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		s.cut(ErrClosed)
		return ctx.Err()
	}
}

// Run calls f in the caller's goroutine as a load of the Scope that nobody
// else waits for, and returns its error. f's context is ctx, and ends with the
// Scope's loads, too. After the Scope was closed, Run returns ErrClosed.
func (s *Scope) Run(ctx context.Context, f func(context.Context) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()
	return s.wrap(f(ctx))
}

// wrap makes the error of a load match ErrClosed if Close has cancelled it.
func (s *Scope) wrap(err error) error {
	if err != nil && s.ctx.Err() != nil {
		return &cutError{ErrClosed, err}
	}
	return err
}

// begin counts a load that begins; end follows.
func (s *Scope) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return ErrClosed
	}
	s.n++
	return nil
}

func (s *Scope) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n--
	if s.n == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// with returns a context with the values of ctx that ends with the loads.
func (s *Scope) with(ctx context.Context) context.Context {
	return &scoped{s.ctx, context.WithoutCancel(ctx)}
}

// A scoped context takes its end from one context and its values from another.
type scoped struct {
	context.Context
	values context.Context
}

// Value asks the Scope's context first, which has no values: it is how package
// context finds out that it may cancel children directly.
func (c *scoped) Value(key any) any {
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.values.Value(key)
}
