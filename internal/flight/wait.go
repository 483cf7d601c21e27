package flight

import (
	"context"
	"time"
)

// A caller is who asks for keys.
type caller struct {
	ctx      context.Context
	waits    bool
	within   *node           // the load that it is part of; nil if none, or if it does not wait
	patience <-chan struct{} // closed when that is at its end; nil if it has none
}

// wait waits for a flight that c has joined.
func (g *Group[V]) wait(c *caller, f *flight[V]) (value V, err error) {
	n := f.load.node
	if err := c.within.waitFor(n, f.key); err != nil {
		return g.leave(f, err)
	}
	defer c.within.waited(n, f.key)
	select {
	case <-n.done:
	case <-f.load.late:
		err = ErrTimeout
	case <-c.patience:
		err = ErrPatience
	case <-c.ctx.Done():
		err = c.ctx.Err()
	case <-g.scope.ctx.Done():
		err = ErrClosed
	}
	if n.ended() {
		return f.value, f.err
	}
	return g.leave(f, err)
}

// outlast waits until nobody can join the last flight any more. c is none of
// its waiters.
func (t *turn[V]) outlast(c *caller) error {
	l := t.last.load
	if err := c.within.waitFor(l.node, t.last.key); err != nil {
		return err
	}
	defer c.within.waited(l.node, t.last.key)
	select {
	case <-l.ctx.Done():
		return nil
	case <-c.patience:
		return ErrPatience
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// alarm returns a channel that is closed after d; 0 is never.
func alarm(d time.Duration) (c <-chan struct{}, stop func() bool) {
	if d <= 0 {
		return nil, func() bool { return true }
	}
	done := make(chan struct{})
	return done, time.AfterFunc(d, func() { close(done) }).Stop
}
