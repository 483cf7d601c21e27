package flight

import "context"

// Exclude is Invalidate for those who read what the cache holds and write it
// back: it waits until no fill and no other invalidation of the key is under
// way, and those that begin later wait in Wait until it is done. It returns
// ctx.Err() if ctx ends first. Call Done, and not Wait.
func (g *Group[V]) Exclude(ctx context.Context, key string) (*Invalidation, error) {
	s := g.stripe(key)
	for {
		s.mu.Lock()
		sl := s.slot(key)
		if sl.resting() {
			sl.voiding++
			sl.detach()
			excluding := make(chan struct{})
			sl.excluding = excluding
			s.mu.Unlock()
			return &Invalidation{done: func() {
				s.mu.Lock()
				sl.excluding = nil
				s.mu.Unlock()
				close(excluding)
				g.invalidated(key)
			}}, nil
		}
		if sl.rest == nil {
			sl.rest = make(chan struct{})
		}
		rest := sl.rest
		s.mu.Unlock()
		select {
		case <-rest:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// resting reports whether nothing changes what the cache holds.
func (sl *slot[V]) resting() bool { return sl.voiding == 0 && sl.filling == nil }
