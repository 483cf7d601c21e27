package flight

import "context"

// An Invalidation is a change of a key that is under way.
type Invalidation struct {
	before <-chan struct{} // closed when what must come before has ended; nil if there is nothing
	done   func()
}

// Invalidate begins to invalidate key, and is followed by Done:
//
//	inv := g.Invalidate(key)
//	defer inv.Done()
//	if err := inv.Wait(ctx); err != nil {
//		return err
//	}
//	// change or remove what the cache holds
//
// What was loaded, or began to load, before Done does not fill the cache after
// Invalidate, with the exception that Wait waits for. Those who waited already
// get what they waited for; who comes later waits for a newer load.
func (g *Group[V]) Invalidate(key string) *Invalidation {
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slot(key)
	sl.voiding++
	sl.detach()
	inv := &Invalidation{done: func() { g.invalidated(key) }}
	switch {
	case sl.filling != nil:
		inv.before = sl.filling.load.node.done
	case sl.excluding != nil:
		inv.before = sl.excluding
	}
	return inv
}

// Wait waits for a fill, or for an invalidation that excludes others, that was
// under way already when this one began, so that it cannot come after what the
// caller does next. It returns ctx.Err() if ctx ends first.
func (inv *Invalidation) Wait(ctx context.Context) error {
	if inv.before == nil {
		return nil
	}
	select {
	case <-inv.before:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done ends the invalidation. Call it once. A load that began meanwhile is not
// joined any more by those who come after.
func (inv *Invalidation) Done() { inv.done() }

func (g *Group[V]) invalidated(key string) {
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[key]
	sl.voiding--
	sl.detach()
	s.tidy(key, sl)
}

// detach makes the flight void and leaves it to those who wait for it, as well
// as those that are outdated.
func (sl *slot[V]) detach() {
	for ; sl.outdated != nil; sl.outdated = sl.outdated.older {
		sl.outdated.void = true
	}
	if sl.flight != nil {
		sl.flight.void = true
		sl.flight = nil
	}
}
