// Package flight runs at most one load per key at a time.
//
// Callers of [Group.Do] that want the same key while it is being loaded wait
// for the one load and share its outcome. Each waits with its own context; the
// load runs in a goroutine of its own and belongs to all of them. It differs
// from the usual singleflight in what a cache needs besides:
//
//   - An invalidation ([Group.Invalidate]) and the fill of the cache exclude
//     each other, so what was loaded before is never stored after.
//   - A caller that missed the cache just before another's load filled it is
//     told to look again instead of loading again ([Mark]).
//   - A load that waits for itself, be it through the loads of other keys and
//     groups, is an error and not a deadlock ([CycleError]).
//   - All loads of several groups end together ([Scope]).
package flight

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Group is a set of keys of which each is loaded once at a time. Make one with
// NewGroup. Its methods may be called concurrently; no method holds a lock
// while a load or a fill runs, so keys do not hold each other up.
type Group[V any] struct {
	scope   *Scope
	fills   atomic.Uint64 // the number of fills that have ended
	_       [48]byte      // callers read fills often; the locks behind it are on other cache lines
	stripes [64]stripe[V]
}

// NewGroup returns a Group whose loads belong to scope.
func NewGroup[V any](scope *Scope) *Group[V] {
	return &Group[V]{scope: scope}
}

// A stripe holds the keys of one hash class.
type stripe[V any] struct {
	mu       sync.Mutex
	slots    map[string]*slot[V]
	lastFill uint64   // what fills was when the last fill of a key in here ended
	_        [40]byte // as above
}

// A slot is what is going on with one key. There is none for a key at rest.
type slot[V any] struct {
	flight  *flight[V] // the one that new callers join, or nil
	filling *flight[V] // the one that is filling the cache, or nil; it may be void by now
	voiding int        // invalidations that are under way
}

// A flight is one load and the fill that follows it.
type flight[V any] struct {
	node   *node           // with the key, and the channel that is closed at the end
	base   context.Context // of the fill
	ctx    context.Context // of the load: base, cancelled when nobody waits any more
	cancel context.CancelCauseFunc

	// Guarded by the stripe.
	waiters int
	void    bool // must not fill
	loaded  bool // value is set

	// Read by others when loaded is set (value alone) or after the end.
	value   V
	err     error
	aborted aborted
}

// A Mark is a moment in the life of a Group: see [Group.Do].
type Mark uint64

// Mark returns the present moment.
func (g *Group[V]) Mark() Mark { return Mark(g.fills.Load()) }

// Do returns what load returns. If the key is being loaded already, it waits
// for that instead and leaves load and fill alone; led tells which it was.
//
// load runs in its own goroutine. Its context has the values of ctx but not
// its deadline and is cancelled when nobody waits for the load any more; the
// next caller then begins anew. If load returns no error, fill is called with
// the value, to store it, unless the key was invalidated since the load began
// or a newer load has; those who wait get the value all the same, after fill.
// fill's context has the values of ctx and does not end with the waiters.
//
// seen is a Mark that was taken before the cache was asked for the key. If the
// cache may have been filled since, load is called with again set and asks the
// cache once more before it does any work.
//
// An error of load is returned to all who wait, and forgotten. A panic is a
// *PanicError and runtime.Goexit a *GoexitError for those who joined, and goes
// on in the caller that led. If ctx ends first, Do returns ctx.Err(), or the
// value if that is there already and only fill is still at work. A call from
// within the load of the key, or of one that this waits for, is a *CycleError;
// it is known by its context. After the Scope was closed, Do returns
// ErrClosed.
func (g *Group[V]) Do(
	ctx context.Context, key string, seen Mark,
	load func(ctx context.Context, again bool) (V, error),
	fill func(ctx context.Context, value V),
) (value V, led bool, err error) {
	if err := ctx.Err(); err != nil {
		return value, false, err
	}
	within := running(ctx)
	if err := within.inside(g, key); err != nil {
		return value, false, err
	}
	f, led, again, err := g.join(ctx, key, seen, within)
	if err != nil {
		return value, false, err
	}
	if led {
		go g.run(f, again, load, fill)
	}
	if within != nil {
		if err := within.waitFor(f.node); err != nil {
			g.leave(f)
			return value, false, err
		}
		defer within.waited(f.node)
	}
	select {
	case <-f.node.done:
		if led && f.aborted != nil {
			f.aborted.resume()
		}
		return f.value, led, f.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-g.scope.ctx.Done():
		err = ErrClosed
	}
	if value, ok := g.leave(f); ok {
		return value, led, nil
	}
	return value, led, err
}

// join adds a waiter to the flight of key, or begins one.
func (g *Group[V]) join(ctx context.Context, key string, seen Mark, within *node) (f *flight[V], led, again bool, err error) {
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slot(key)
	if f := sl.flight; f != nil {
		if f.waiters > 0 || f.loaded {
			f.waiters++
			return f, false, false, nil
		}
		f.void = true // nobody waited, so it was cancelled; what it may still bring is older than ours
	}
	if err := g.scope.begin(); err != nil {
		s.tidy(key, sl)
		return nil, false, false, err
	}
	f = &flight[V]{node: newNode(g, key, within), base: g.scope.with(ctx), waiters: 1, void: sl.voiding > 0}
	f.ctx, f.cancel = context.WithCancelCause(f.node.in(f.base))
	sl.flight = f
	return f, true, s.lastFill > uint64(seen), nil
}

// run is the goroutine of a flight.
func (g *Group[V]) run(
	f *flight[V], again bool,
	load func(context.Context, bool) (V, error), fill func(context.Context, V),
) {
	returned := false
	defer func() {
		if !returned {
			f.aborted = abort(recover())
			f.err = f.aborted
		}
		g.land(f)
	}()
	value, err := load(f.ctx, again)
	switch {
	case err != nil:
		f.err = err
	case g.loaded(f, value):
		fill(f.base, value)
	}
	returned = true
}

// loaded makes the value known and reports whether it may be stored. If so, an
// invalidation waits from now on until the flight has ended.
func (g *Group[V]) loaded(f *flight[V], value V) bool {
	s := g.stripe(f.node.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.value, f.loaded = value, true
	if f.void || f.base.Err() != nil {
		return false
	}
	// The flight is not void, so the slot is there. A fill that is still under
	// way is one whose invalidation gave up waiting: two at a time could be
	// stored in the wrong order.
	sl := s.slots[f.node.key]
	if sl.filling != nil {
		return false
	}
	sl.filling = f
	return true
}

// land ends a flight and wakes those who wait.
func (g *Group[V]) land(f *flight[V]) {
	s := g.stripe(f.node.key)
	s.mu.Lock()
	if sl := s.slots[f.node.key]; sl != nil {
		if sl.flight == f {
			sl.flight = nil
		}
		if sl.filling == f {
			sl.filling = nil
			s.lastFill = g.fills.Add(1)
		}
		s.tidy(f.node.key, sl)
	}
	s.mu.Unlock()
	f.err = g.scope.wrap(f.err)
	close(f.node.done)
	f.cancel(nil)
	g.scope.end()
}

// leave takes a waiter away whose context has ended. It returns the value if
// that is there already, and else cancels the load if it was the last waiter.
func (g *Group[V]) leave(f *flight[V]) (value V, ok bool) {
	s := g.stripe(f.node.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.loaded {
		return f.value, true
	}
	if f.waiters == 0 && f.base.Err() == nil { // else the Scope is cancelling it, and that is the cause
		f.cancel(errAbandoned)
	}
	return value, false
}

func (g *Group[V]) stripe(key string) *stripe[V] {
	return &g.stripes[maphash.String(seed, key)%uint64(len(g.stripes))]
}

var seed = maphash.MakeSeed()

// slot returns the slot of key, made if there was none. Call tidy if nothing
// was put into it.
func (s *stripe[V]) slot(key string) *slot[V] {
	sl := s.slots[key]
	if sl == nil {
		if s.slots == nil {
			s.slots = make(map[string]*slot[V])
		}
		sl = new(slot[V])
		s.slots[key] = sl
	}
	return sl
}

// tidy removes the slot if nothing is going on any more.
func (s *stripe[V]) tidy(key string, sl *slot[V]) {
	if *sl == (slot[V]{}) {
		delete(s.slots, key)
	}
}
