package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// Watching is a way in which Watch learns of changes.
type Watching uint8

const (
	// WatchTracking has the server tell of every change of a key, whoever makes
	// it: also other programs, expiry, eviction and FLUSHALL. It takes Redis 6
	// or later and, on a cluster, Redis 7.
	WatchTracking Watching = iota

	// WatchPublish has each write of a Store with this option publish its key,
	// for servers and proxies without tracking. All Stores that write must have
	// it: the writes of others are not told, nor are expiry, eviction and
	// FLUSHALL. On a cluster it is ErrInvalid.
	WatchPublish
)

// String returns the name in lower case, without the prefix, as in a URL.
func (w Watching) String() string {
	names := [...]string{"tracking", "publish"}
	if int(w) < len(names) {
		return names[w]
	}
	return "unknown"
}

const (
	defaultDelta = time.Second
	minDelta     = 100 * time.Millisecond
)

// setWatching reads the options of Watch.
func (s *Store) setWatching(opts *Options) error {
	s.watchDelta = opts.WatchDelta
	if s.watchDelta == 0 {
		s.watchDelta = defaultDelta
	}
	switch {
	case s.watchDelta < minDelta:
		return invalid("Options.WatchDelta: %v is less than %v; leave it 0 for %v", opts.WatchDelta, minDelta, defaultDelta)
	case opts.Watching > WatchPublish:
		return invalid("Options.Watching: %d is no way of watching; give WatchTracking or WatchPublish", opts.Watching)
	case opts.Watching == WatchPublish && s.cluster != nil:
		return invalid("Options.Watching: WatchPublish does not work on a cluster; give WatchTracking")
	}
	s.publishes = opts.Watching == WatchPublish
	s.channel = "cairn:inv:" + s.prefix
	return nil
}

// Watch implements store.WatchStore in the way that Options.Watching names. All
// Watchers of a Store share a connection of their own, on a cluster one to each
// master, which is made with the settings of the client, though not its hooks,
// and ends with the last Watcher. A connection that is lost is made again, with
// growing pauses of at most half of Options.WatchDelta.
//
// Four times in each WatchDelta a message is published through the client that
// the reads and writes go through, and expected on the watching connection. Its
// arrival alone is a proof: so a connection that is silent, or leads to a
// server that is the master no more, proves nothing and is given up.
//
// An entry that expires is told when the server removes it, which may be later
// than its expiry. On a cluster, changes on a server that was no master before
// may go untold for a second.
//
// The client's user must be allowed to use CLIENT TRACKING and the channels
// "cairn:*". If the server refuses, Watch does not know yet: see WatchErr.
func (s *Store) Watch(ctx context.Context, w store.Watcher) error {
	const op = "watch"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if w == nil {
		return store.Errorf(op, "", store.ErrInvalid, "the Watcher is nil")
	}
	return s.watch.add(ctx, s, w)
}

// WatchErr returns why nothing is proven to the Watchers of this Store, as an
// error matching store.ErrUnavailable: what the server has refused, for example,
// or how its connection was lost. It is nil while there are proofs, and while
// nobody watches. A failure may show as late as WatchDelta and a quarter after
// it has happened.
func (s *Store) WatchErr() error {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.watch.err == nil {
		return nil
	}
	return store.Errorf("watch", "", store.ErrUnavailable, "%w", s.explain(s.watch.err))
}

var errUnproven = errors.New("the server has not been reached yet")

// watch is what the Watchers of a Store share. It has a life, a context, from
// the first Watch until the last Watcher has gone.
type watch struct {
	tasks   sync.WaitGroup
	telling sync.Mutex // held while Watchers are told, and never while others wait for mu

	mu       sync.Mutex
	watchers []*watcher         // never changed in place
	end      context.CancelFunc // of the life; nil without Watchers
	err      error              // for WatchErr
}

type watcher struct {
	store.Watcher
	ctx     context.Context
	forget  func() bool // makes ctx let go of the watcher
	flushed bool        // requires telling; who comes later has missed something
}

func (w *watch) add(ctx context.Context, s *Store, to store.Watcher) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.closed.Load() {
		return s.check(ctx, "watch")
	}
	added := &watcher{Watcher: to, ctx: ctx}
	w.watchers = append(slices.Clip(w.watchers), added)
	if w.end == nil {
		var life context.Context
		life, w.end = context.WithCancel(context.Background())
		w.err = errUnproven
		w.tasks.Go(func() { s.keepWatching(life) })
	}
	added.forget = context.AfterFunc(ctx, func() { w.remove(added) })
	return nil
}

func (w *watch) remove(gone *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watchers = slices.DeleteFunc(slices.Clone(w.watchers), func(other *watcher) bool { return other == gone })
	if len(w.watchers) == 0 {
		w.stop()
	}
}

// stop requires w.mu.
func (w *watch) stop() {
	for _, to := range w.watchers {
		to.forget()
	}
	if w.end != nil {
		w.end()
	}
	w.watchers, w.end, w.err = nil, nil, nil
}

// close lets go of all Watchers and returns when nothing runs any more. The
// store must have been marked as closed.
func (w *watch) close() {
	w.mu.Lock()
	w.stop()
	w.mu.Unlock()
	w.tasks.Wait()
}

// tell calls event with every Watcher, or Flush if event is nil, unless the life
// is over by now and another one may have begun.
func (w *watch) tell(life context.Context, event func(store.Watcher)) {
	w.telling.Lock()
	defer w.telling.Unlock()
	w.mu.Lock()
	var watchers []*watcher
	if life.Err() == nil {
		watchers = w.watchers
	}
	w.mu.Unlock()
	for _, to := range watchers {
		if to.ctx.Err() != nil {
			continue
		}
		if event == nil || !to.flushed {
			to.flushed = true
			contained(to.Flush)
		}
		if event != nil {
			contained(func() { event(to) })
		}
	}
}

// contained keeps a panic of a Watcher from ending the program.
func contained(call func()) {
	defer func() { _ = recover() }()
	call()
}

// fail notes why there is no proof, or with nil that there is one.
func (w *watch) fail(life context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if life.Err() == nil {
		w.err = err
	}
}
