package memory

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cairncache/cairn/store"
)

// watching is who is told of changes, and what of.
type watching struct {
	list    atomic.Pointer[[]*watcher] // never empty; nil is all that a write finds where nobody watches
	mu      sync.Mutex                 // held to change list
	telling sync.Mutex                 // held while any Watcher is called
}

type watcher struct {
	store.Watcher
	ctx    context.Context
	forget func() bool // makes ctx let go of the watcher
}

// Watch implements store.WatchStore. w is told of a change after it is made
// and before the call that made it returns, and of an entry that has expired,
// or was evicted or popped, when it is removed. Clear is a Flush. Proven is called once,
// with store.AlwaysProven, before Watch returns.
//
// All watchers are called one at a time, by the goroutines that write, which
// wait for it: a w that uses the Store, or waits for somebody who does, may
// block for ever. A panic in w ends that one call of it, and is counted in
// Stats.
//
// A call of w that is under way when ctx ends, or Close is called, goes on; no
// other begins. Until then ctx keeps the Store in memory. No goroutine waits
// for its end.
func (s *Store) Watch(ctx context.Context, w store.Watcher) error {
	const op = "watch"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if w == nil {
		return store.Errorf(op, "", store.ErrInvalid, "the Watcher is nil")
	}
	added := &watcher{Watcher: w, ctx: ctx}
	if !s.watch(added) {
		return errClosed(op, "")
	}
	// Evictions that are under way have not noticed w. This waits for them; a
	// write asks who watches when it is done.
	s.cache.Settle()
	s.watching.telling.Lock()
	defer s.watching.telling.Unlock()
	s.call([]*watcher{added}, func(w store.Watcher) { w.Proven(store.AlwaysProven) })
	return nil
}

// watch adds w, unless the Store is closed.
func (s *Store) watch(w *watcher) bool {
	x := &s.watching
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.closed.Load() { // under the lock, so that Close finds every watcher there is
		return false
	}
	w.forget = context.AfterFunc(w.ctx, func() { x.remove(w) })
	list := append(slices.Clone(x.watchers()), w)
	x.list.Store(&list)
	return true
}

func (x *watching) watchers() []*watcher {
	if list := x.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (x *watching) remove(w *watcher) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(x.watchers()), func(one *watcher) bool { return one == w })
	if len(list) > 0 {
		x.list.Store(&list)
		return
	}
	x.list.Store(nil)
}

// close drops all watchers. The Store is closed, so that none is added.
func (x *watching) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range x.watchers() {
		w.forget()
	}
	x.list.Store(nil)
}

// tellWatchers tells the watchers of what was evicted, and of what was written.
func (s *Store) tellWatchers(r *report) {
	x := &s.watching
	if x.list.Load() == nil {
		return
	}
	var keys []string
	for _, one := range r.removed {
		if isEviction(one.Cause) && one.Key != r.changed {
			keys = append(keys, one.Key)
		}
	}
	if r.changed != "" {
		keys = append(keys, r.changed)
	}
	if len(keys) > 0 {
		x.telling.Lock()
		defer x.telling.Unlock()
		s.call(x.watchers(), func(w store.Watcher) { w.Invalidate(keys...) })
	}
}

// flush tells the watchers that any key may have changed.
func (s *Store) flush() {
	x := &s.watching
	if x.list.Load() == nil {
		return
	}
	x.telling.Lock()
	defer x.telling.Unlock()
	s.call(x.watchers(), store.Watcher.Flush)
}

// call calls each of the watchers, also if one of them ends the goroutine.
func (s *Store) call(watchers []*watcher, method func(store.Watcher)) {
	if len(watchers) == 0 {
		return
	}
	defer s.call(watchers[1:], method)
	defer s.contain()
	if w := watchers[0]; w.ctx.Err() == nil && !s.closed.Load() {
		method(w.Watcher)
	}
}
