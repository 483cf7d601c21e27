package await

import "sync"

// maxIdle bounds the goroutines that wait for the next call.
const maxIdle = 128

// Group runs calls and counts them, so that its owner can wait for those that
// were left behind. It keeps goroutines that have finished a call for the
// next: starting one and growing its stack costs more than waking it. The zero
// Group is ready for use.
type Group struct {
	mu      sync.Mutex
	idle    []*worker
	workers int // idle or under way
	closed  bool
	panics  uint64    // of calls that nobody waited for
	none    sync.Cond // there are no workers
}

// Panics returns how many calls have panicked after their caller had left.
func (g *Group) Panics() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.panics
}

// Wait ends the idle goroutines and returns when no call is under way any
// more. Each call must end by itself, by a time-out of the client. A Group may
// be used after Wait, but then keeps no idle goroutines.
func (g *Group) Wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, w := range g.idle {
		close(w.jobs)
	}
	g.idle = nil
	g.none.L = &g.mu
	for g.workers > 0 {
		g.none.Wait()
	}
}

// A worker is a goroutine that runs one call after another.
type worker struct {
	jobs      chan interface{ run() bool } // closed to end the worker
	finished  chan struct{}                // one for each job
	abandoned chan struct{}                // closed when nobody waits for the job
}

func (g *Group) take() *worker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.idle); n > 0 {
		w := g.idle[n-1]
		g.idle = g.idle[:n-1]
		return w
	}
	g.workers++
	w := &worker{
		jobs:      make(chan interface{ run() bool }),
		finished:  make(chan struct{}, 1),
		abandoned: make(chan struct{}),
	}
	go w.loop(g)
	return w
}

func (g *Group) put(w *worker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.idle) == maxIdle {
		close(w.jobs)
		return
	}
	g.idle = append(g.idle, w)
}

func (w *worker) loop(g *Group) {
	panicked := false // the latest call
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if panicked && w.left() {
			g.panics++
		}
		if g.workers--; g.workers == 0 {
			g.none.Broadcast()
		}
	}()
	for j := range w.jobs {
		panicked = w.do(j)
	}
}

// do runs a call and tells the caller, also if the call ends the goroutine.
func (w *worker) do(j interface{ run() bool }) (panicked bool) {
	defer func() { w.finished <- struct{}{} }()
	return j.run()
}

// left reports whether the caller has left the latest call. It is known for
// sure once jobs is closed.
func (w *worker) left() bool {
	select {
	case <-w.abandoned:
		return true
	default:
		return false
	}
}
