package lock

import (
	"context"
	"sync"
)

// A group is what a Locker has under way: calls, and what they have left to the
// background.
type group struct {
	ctx   context.Context // of what is in the background
	abort context.CancelFunc

	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // closed when the group is, and nothing is under way
}

func newGroup() *group {
	g := &group{idle: make(chan struct{})}
	g.ctx, g.abort = context.WithCancel(context.Background())
	return g
}

// enter begins a call, unless the group is closed.
func (g *group) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.n++
	return true
}

func (g *group) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	g.settle()
}

// run calls f in the background, with a context that has ended already if the
// group is closed and all had ended before.
func (g *group) run(f func(context.Context)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	go func() {
		defer g.leave()
		f(g.ctx)
	}()
}

// close lets no more calls in, and returns what is closed when all have ended.
func (g *group) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		g.settle()
	}
	return g.idle
}

// settle is called with g.mu held.
func (g *group) settle() {
	if !g.closed || g.n > 0 {
		return
	}
	select {
	case <-g.idle: // once before
	default:
		g.abort()
		close(g.idle)
	}
}
