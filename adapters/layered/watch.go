package layered

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// events are what L2 tells. Each is applied to L1 before it is told on: who
// hears of it and asks this Store must not find what it has just dropped.
type events struct{ s *Store }

func (e events) Invalidate(keys ...string) {
	for _, key := range keys {
		e.s.touch(key)
	}
	e.s.counts.addN(invalidations, uint64(len(keys)))
	e.s.watchers.tell(func(w store.Watcher) { w.Invalidate(keys...) })
}

func (e events) Flush() {
	e.s.flush() // an error keeps L1 from being served
	e.s.counts.add(flushes)
	e.s.watchers.tell(store.Watcher.Flush)
}

func (e events) Proven(sent time.Time) {
	e.s.fence.prove(sent)
	e.s.watchers.prove(sent)
}

// Watch tells w of the changes that L2 tells of. With Bounded it returns an
// error matching errors.ErrUnsupported.
func (s *Store) Watch(ctx context.Context, w store.Watcher) error {
	const op = "watch"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if !s.watches {
		return store.Errorf(op, "", errors.ErrUnsupported, "with Bounded, nobody tells of changes; make the layered.Store with Watch")
	}
	if w == nil {
		return store.Errorf(op, "", store.ErrInvalid, "the Watcher is nil")
	}
	s.watchers.add(ctx, w)
	return nil
}

// watchers are told one after another what L2 tells.
type watchers struct {
	mu     sync.Mutex
	list   []*watching
	proven time.Time // for those who come later
	closed bool
}

type watching struct {
	store.Watcher
	stop func() bool // waiting for the end of its context
}

func (ws *watchers) add(ctx context.Context, w store.Watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return
	}
	one := &watching{Watcher: w}
	ws.list = append(ws.list, one)
	one.stop = context.AfterFunc(ctx, func() { ws.remove(one) })
	if !ws.proven.IsZero() {
		w.Proven(ws.proven)
	}
}

func (ws *watchers) remove(one *watching) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if i := slices.Index(ws.list, one); i >= 0 {
		ws.list = slices.Delete(ws.list, i, i+1)
	}
}

func (ws *watchers) tell(what func(store.Watcher)) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.list {
		what(w)
	}
}

func (ws *watchers) prove(sent time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.proven = sent
	for _, w := range ws.list {
		w.Proven(sent)
	}
}

// close lets go of all of them.
func (ws *watchers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for _, w := range ws.list {
		w.stop()
	}
	ws.list = nil
}
