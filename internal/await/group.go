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
	none    sync.Cond // there are no workers
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
	jobs      chan interface{ run() } // closed to end the worker
	finished  chan struct{}           // one for each job
	abandoned chan struct{}           // closed when nobody waits for the job
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
		jobs:      make(chan interface{ run() }),
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
	for j := range w.jobs {
		j.run()
		w.finished <- struct{}{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.workers--; g.workers == 0 {
		g.none.Broadcast()
	}
}
