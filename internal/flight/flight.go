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
//   - A load may go on in the background ([Group.Start]), be limited in time,
//     and serve many keys at once ([Group.DoMany]).
//   - A load that waits for itself, be it through the loads of other keys and
//     groups, is an error and not a deadlock ([CycleError]).
//   - All loads of several groups end together ([Scope]).
package flight

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Group is a set of keys of which each is loaded once at a time. Make one with
// NewGroup. Its methods may be called concurrently; no method holds a lock
// while a load or a fill runs, so keys do not hold each other up.
type Group[V any] struct {
	scope   *Scope
	fills   atomic.Uint64 // the number of fills that have ended, and of loads that are outdated
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
	lastFill uint64   // what fills was when a key in here last made it grow
	_        [40]byte // as above
}

// A slot is what is going on with one key. There is none for a key at rest.
type slot[V any] struct {
	flight   *flight[V] // the one that new callers join, or nil
	filling  *flight[V] // the one that is filling the cache, or nil; it may be void by now
	outdated *flight[V] // those that nobody joins any more and that may still fill: a list
	voiding  int        // invalidations that are under way

	excluding chan struct{} // closed when the invalidation has ended that excludes others; nil if there is none
	rest      chan struct{} // closed when nothing fills or invalidates any more; nil if nobody waits for that
}

// A Mark is a moment in the life of a Group: see [Request].
type Mark uint64

// Mark returns the present moment.
func (g *Group[V]) Mark() Mark { return Mark(g.fills.Load()) }

// A Request is what a caller wants of a key.
type Request[V any] struct {
	Key string

	// Load loads the value, in its own goroutine. Its context has the values
	// of the caller's but not its deadline, and is cancelled when nobody waits
	// for the load any more; the next caller then begins anew.
	//
	// again says that the cache may have been filled since Seen, so that Load
	// asks the cache once more before it does any work.
	Load func(ctx context.Context, again bool) (V, error)

	// Fill stores what was loaded. It is called if Load returned no error,
	// unless the key was invalidated since the load began, a newer load of it
	// has begun, or an older one's Fill is still at work; then Void is called
	// instead. Those who wait get the value all the same, after Fill or Void.
	// Fill's context has the values of the caller's and does not end with the
	// waiters. Void may be nil.
	Fill func(ctx context.Context, value V)
	Void func()

	// Timeout is how long Load may take; 0 is no limit. After it the context
	// of the load is cancelled, those who wait get an error that matches
	// ErrTimeout even if Load goes on, and who comes later does not wait for
	// it but begins a newer load. What it brings late is stored if none has
	// begun by then.
	Timeout time.Duration

	// Patience is how long the caller waits; 0 is no limit. After it the
	// caller gets ErrPatience, or the value if that is there already, and the
	// load goes on, though nobody may wait.
	Patience time.Duration

	// Guarded says that Fill finds out by itself whether others have changed
	// the key since the load began, so that it is called also after Changed.
	Guarded bool

	// Seen is a Mark that was taken before the cache was asked for the key.
	Seen Mark

	// Epoch keeps the caller from joining a load of an earlier one, which then
	// fills no more.
	Epoch uint64

	// After keeps the caller from joining a load that has begun already. It
	// waits until that has ended, timed out or been left by all who wanted it,
	// and then loads or joins a newer one: all who waited for the same load
	// share the next. If Patience ends before, there is no load that goes on.
	After bool
}

// Do returns what Load returns. If the key is being loaded already, it waits
// for that instead and leaves Load and Fill alone; led tells which it was.
//
// An error of Load is returned to all who wait, and forgotten. A panic is a
// *PanicError and runtime.Goexit a *GoexitError for those who joined, and goes
// on in the caller that led. If ctx ends first, Do returns ctx.Err(), or the
// value if that is there already and only Fill is still at work. A call from
// within the load of the key, or of one that this waits for, is a *CycleError;
// it is known by its context. After the Scope was closed, Do returns
// ErrClosed.
func (g *Group[V]) Do(ctx context.Context, r Request[V]) (value V, led bool, err error) {
	o := g.DoMany(ctx, r.batch())[0]
	return o.Value, o.Led, o.Err
}

// Join is Do without the means to load: it waits only if the key is being
// loaded already, and joined tells whether it did. It spares who joins, of whom
// there may be many at once, the making of a Request.
func (g *Group[V]) Join(ctx context.Context, key string, epoch uint64, patience time.Duration) (value V, joined bool, err error) {
	c := &caller{ctx: ctx, waits: true, within: running(ctx)}
	if err := c.within.inside(g, key); err != nil {
		return value, true, err
	}
	f := g.current(c, key, epoch)
	if f == nil {
		return value, false, nil
	}
	var stop func() bool
	c.patience, stop = alarm(patience)
	defer stop()
	value, err = g.wait(c, f)
	return value, true, err
}

// current makes c a waiter of the flight of the key, if there is one that c
// may join.
func (g *Group[V]) current(c *caller, key string, epoch uint64) *flight[V] {
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[key]
	if sl == nil || sl.flight == nil || c.ctx.Err() != nil || !sl.flight.join(c, epoch) {
		return nil
	}
	return sl.flight
}

// Start begins to load the key for nobody in particular, unless it is being
// loaded already, and reports whether it did. It does not wait, so Patience
// and After mean nothing here. ctx gives the load its values alone: neither its
// end nor that it belongs to another load matters.
func (g *Group[V]) Start(ctx context.Context, r Request[V]) bool {
	return g.StartMany(ctx, r.batch()) > 0
}

// batch returns r as a Batch of one key.
func (r *Request[V]) batch() Batch[V] {
	b := Batch[V]{
		Keys: []string{r.Key},
		Load: func(ctx context.Context, _ []int, again bool) ([]V, []error) {
			value, err := r.Load(ctx, again)
			return []V{value}, []error{err}
		},
		Fill:     func(ctx context.Context, _ []int, values []V) { r.Fill(ctx, values[0]) },
		Timeout:  r.Timeout,
		Patience: r.Patience,
		Guarded:  r.Guarded,
		Seen:     r.Seen,
		Epoch:    r.Epoch,
		After:    r.After,
	}
	if r.Void != nil {
		b.Void = func(int) { r.Void() }
	}
	return b
}

// turn returns the turn after the flight of the key, or nil if there is none.
func (g *Group[V]) turn(key string) *turn[V] {
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[key]
	if sl == nil || sl.flight == nil {
		return nil
	}
	if sl.flight.turn == nil {
		sl.flight.turn = &turn[V]{last: sl.flight}
	}
	return sl.flight.turn
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
	if sl.rest != nil && sl.resting() {
		close(sl.rest)
		sl.rest = nil
	}
	if *sl == (slot[V]{}) {
		delete(s.slots, key)
	}
}
