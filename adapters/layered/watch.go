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
	e.s.hear(func() {
		for _, key := range keys {
			e.s.touch(key)
		}
		e.s.counts.addN(invalidations, uint64(len(keys)))
	})
	e.s.watchers.tell(func(w store.Watcher) { w.Invalidate(keys...) })
}

func (e events) Flush() {
	e.s.hear(func() {
		e.s.flush() // an error keeps L1 from being served
		e.s.counts.add(flushes)
	})
	e.s.watchers.tell(store.Watcher.Flush)
}

func (e events) Proven(sent time.Time) {
	e.s.fence.prove(sent)
	e.s.watchers.prove(sent)
}

// hear applies to L1 what L2 tells, until Close, which waits for it. Watchers
// are told outside, as they may call Close.
func (s *Store) hear(apply func()) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	if !s.closed.Load() {
		apply()
	}
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
	telling sync.Mutex // held while any is called

	mu     sync.Mutex
	list   []*watching // never changed in place
	proven time.Time   // for those who come later
	closed bool
}

type watching struct {
	store.Watcher
	ctx  context.Context
	stop func() bool // waiting for the end of ctx
}

func (ws *watchers) add(ctx context.Context, w store.Watcher) {
	ws.telling.Lock()
	defer ws.telling.Unlock()
	one := &watching{Watcher: w, ctx: ctx}
	if proven := ws.append(one); !proven.IsZero() {
		w.Proven(proven)
	}
}

// append returns what was proved before.
func (ws *watchers) append(one *watching) time.Time {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return time.Time{}
	}
	ws.list = append(slices.Clip(ws.list), one)
	one.stop = context.AfterFunc(one.ctx, func() { ws.remove(one) })
	return ws.proven
}

func (ws *watchers) remove(one *watching) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.list = slices.DeleteFunc(slices.Clone(ws.list), func(other *watching) bool { return other == one })
}

func (ws *watchers) tell(what func(store.Watcher)) {
	ws.telling.Lock()
	defer ws.telling.Unlock()
	for _, one := range ws.current() {
		if ws.listens(one) {
			what(one.Watcher)
		}
	}
}

func (ws *watchers) current() []*watching {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.list
}

// listens reports whether one is to be told: what was told before it may have
// closed the Store.
func (ws *watchers) listens(one *watching) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return !ws.closed && one.ctx.Err() == nil
}

func (ws *watchers) prove(sent time.Time) {
	ws.mu.Lock()
	ws.proven = sent
	ws.mu.Unlock()
	ws.tell(func(w store.Watcher) { w.Proven(sent) })
}

// close lets go of all of them. It does not wait, as one of them may call it.
func (ws *watchers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for _, one := range ws.list {
		one.stop()
	}
	ws.list = nil
}
