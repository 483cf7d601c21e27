package conformance

import (
	"context"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// told is a Watcher that a reference tells of its changes.
type told struct {
	ctx   context.Context
	w     store.Watcher
	queue *queue // nil: w is told at once
}

func (r *reference) Watch(ctx context.Context, w store.Watcher) error {
	if w == nil {
		return store.Errorf("watch", "", store.ErrInvalid, "the Watcher is nil")
	}
	if err := store.Check(ctx, "watch"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if *r.closed {
		return store.Errorf("watch", "", store.ErrClosed, "the store is closed")
	}
	t := &told{ctx: ctx, w: w}
	r.watchers[t] = true
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, t)
	})
	if r.afar {
		t.queue = new(queue)
		t.queue.add(func(w store.Watcher) { w.Flush() })
		go t.deliver()
	} else {
		w.Proven(store.AlwaysProven)
	}
	for _, e := range r.entries {
		r.sweepAfter(e)
	}
	return nil
}

// tell tells all Watchers, under the lock of the store.
func (r *reference) tell(what func(store.Watcher)) {
	for t := range r.watchers {
		switch {
		case t.ctx.Err() != nil:
		case t.queue != nil:
			t.queue.add(what)
		default:
			what(t.w)
		}
	}
}

// A queue is what is on its way to a Watcher.
type queue struct {
	mu   sync.Mutex
	what []func(store.Watcher)
}

func (q *queue) add(what func(store.Watcher)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.what = append(q.what, what)
}

func (q *queue) take() []func(store.Watcher) {
	q.mu.Lock()
	defer q.mu.Unlock()
	what := q.what
	q.what = nil
	return what
}

// deliver tells what is in the queue, late.
func (t *told) deliver() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
		sent := time.Now()
		for _, what := range t.queue.take() {
			what(t.w)
		}
		t.w.Proven(sent)
	}
}

// sweepAfter sees to it that the end of an entry is told, if anybody listens.
// A clock that is not that of the process sweeps by itself.
func (r *reference) sweepAfter(e entry) {
	if len(r.watchers) > 0 && !r.ownClock && !e.expires.IsZero() {
		time.AfterFunc(time.Until(e.expires), r.sweep)
	}
}

// sweep removes what has expired.
func (r *reference) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.entries {
		r.find(key)
	}
}
