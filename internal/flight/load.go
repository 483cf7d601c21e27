package flight

import (
	"context"
	"sync/atomic"
	"time"
)

// A load is one call of Load and the Fill that follows it, for one key or for
// several.
type load[V any] struct {
	batch   *Batch[V]
	keys    []int        // those of the batch that are loaded
	flights []*flight[V] // one for each of keys
	again   bool

	// Set when the first flight is there.
	node    *node           // ends when all is done
	base    context.Context // of the fill
	ctx     context.Context // of the load: base, cancelled when nobody waits any more, and at the end
	cancel  context.CancelCauseFunc
	late    chan struct{} // closed when the load has timed out; nil if it cannot
	waiters atomic.Int64  // who keeps the load going; it is cancelled when this is 0, for good

	aborted aborted // read by others after the end
}

// A flight is the part of a load that belongs to one key.
type flight[V any] struct {
	key  string
	load *load[V]

	// Guarded by the stripe.
	void   bool       // must not fill
	loaded bool       // value is set
	turn   *turn[V]   // of those who wait until it is gone, or nil
	older  *flight[V] // the next in the list of those that are outdated

	// Read by others when loaded is set (value alone) or after the end.
	value V
	err   error
}

// A turn is what those share who wait for a flight to end so as to take the
// next one.
type turn[V any] struct{ last, next *flight[V] }

// join makes the caller, who means to load the i-th key of l's batch, a waiter
// of the flight of that key, or adds one to l. If the caller has waited for its
// turn, it does not join the last flight.
func (g *Group[V]) join(c *caller, l *load[V], i int, t *turn[V]) (f *flight[V], led bool, err error) {
	b, key := l.batch, l.batch.Keys[i]
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != nil {
		if f := t.next; f != nil && f.join(c, b.Epoch) {
			return f, false, nil
		}
		defer func() { t.next, t.last.turn = f, nil }()
	}
	sl := s.slot(key)
	if f := sl.flight; f != nil {
		if (t == nil || f != t.last) && f.join(c, b.Epoch) {
			return f, false, nil
		}
		f.void = true // what it may still bring is older than ours
	}
	if len(l.flights) == 0 {
		if err := g.scope.begin(); err != nil {
			s.tidy(key, sl)
			return nil, false, err
		}
		l.prepare(g, c)
	}
	l.waiters.Add(1)
	f = &flight[V]{key: key, load: l, void: sl.voiding > 0}
	l.flights = append(l.flights, f)
	l.keys = append(l.keys, i)
	l.node.keys = append(l.node.keys, key)
	l.again = l.again || s.lastFill > uint64(b.Seen)
	sl.flight = f
	return f, true, nil
}

// prepare makes what others see of a load that has flights.
func (l *load[V]) prepare(g *Group[V], c *caller) {
	l.node = &node{group: g, parent: c.within, done: make(chan struct{})}
	l.base = l.node.in(g.scope.with(c.ctx))
	l.ctx, l.cancel = context.WithCancelCause(l.base)
	if l.batch.Timeout > 0 {
		l.late = make(chan struct{})
	}
}

// join adds c to those who keep the flight going, if it means to wait. It
// reports false if the flight is of an earlier epoch or will bring nothing.
func (f *flight[V]) join(c *caller, epoch uint64) bool {
	l := f.load
	if l.batch.Epoch < epoch || l.overdue() {
		return false
	}
	if f.loaded {
		return true
	}
	for n := l.waiters.Load(); n > 0; n = l.waiters.Load() {
		if !c.waits || l.waiters.CompareAndSwap(n, n+1) {
			return true
		}
	}
	l.abandon() // as leave is about to, but before a newer one begins
	return false
}

// leave takes a waiter away that does not wait any more. It returns the value
// if that is there already, and err if not. Then the load is cancelled if this
// was the last waiter of all its keys.
func (g *Group[V]) leave(f *flight[V], err error) (value V, _ error) {
	s := g.stripe(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.loaded {
		return f.value, nil
	}
	l := f.load
	if err == ErrPatience {
		return value, err // and stays one of those who keep the load going
	}
	if l.waiters.Add(-1) == 0 {
		l.abandon()
	}
	return value, err
}

func (l *load[V]) abandon() {
	if l.base.Err() == nil { // else the Scope is cancelling it, and that is the cause
		l.cancel(errAbandoned)
	}
}

// run is the goroutine of a load.
func (g *Group[V]) run(l *load[V]) {
	b, returned := l.batch, false
	stop := l.limit()
	defer func() {
		stop()
		if !returned {
			l.aborted = abort(recover())
		}
		g.land(l)
	}()
	values, errs := b.Load(l.ctx, l.keys, l.again)
	stop()
	var keys []int
	var fills []V
	void := 0
	for i, f := range l.flights {
		switch {
		case errs[i] != nil:
			f.err = errs[i]
		case g.loaded(f, values[i]):
			keys = append(keys, l.keys[i])
			fills = append(fills, values[i])
		default:
			void++
		}
	}
	if len(keys) > 0 {
		b.Fill(l.base, keys, fills)
	}
	if void > 0 && b.Void != nil {
		b.Void(void)
	}
	returned = true
}

// limit makes the load overdue after its timeout, unless stop is called or it
// is cancelled before.
func (l *load[V]) limit() (stop func() bool) {
	if l.late == nil {
		return func() bool { return true }
	}
	return time.AfterFunc(l.batch.Timeout, func() {
		l.cancel(ErrTimeout)
		if l.overdue() {
			close(l.late)
		}
	}).Stop
}

func (l *load[V]) overdue() bool { return context.Cause(l.ctx) == ErrTimeout }

// loaded makes the value known and reports whether it may be stored. If so, an
// invalidation waits from now on until the load has ended.
func (g *Group[V]) loaded(f *flight[V], value V) bool {
	s := g.stripe(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.value, f.loaded = value, true
	if f.void || f.load.base.Err() != nil {
		return false
	}
	// The flight is not void, so the slot is there. A fill that is still under
	// way is an older one, and two at a time could be stored in the wrong order.
	sl := s.slots[f.key]
	if sl.filling != nil {
		return false
	}
	sl.filling = f
	return true
}

// land ends a load and wakes those who wait.
func (g *Group[V]) land(l *load[V]) {
	for _, f := range l.flights {
		if l.aborted != nil {
			f.err = l.aborted
		}
		if f.err != nil && l.overdue() {
			f.err = &cutError{ErrTimeout, f.err}
		}
		f.err = g.scope.wrap(f.err)
		g.vacate(f)
	}
	close(l.node.done)
	l.cancel(nil)
	g.scope.end()
}

// vacate takes a flight out of its slot.
func (g *Group[V]) vacate(f *flight[V]) {
	s := g.stripe(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[f.key]
	if sl == nil {
		return
	}
	if sl.flight == f {
		sl.flight = nil
	}
	sl.forget(f)
	if sl.filling == f {
		sl.filling = nil
		s.lastFill = g.fills.Add(1)
	}
	s.tidy(f.key, sl)
}
