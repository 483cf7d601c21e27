package flight

// Changed tells that others may have changed key. Those who come later do not
// join the load that is under way. What that brings is not stored, unless it is
// Guarded. It does not wait, so it may be called while a Fill is at work, and
// by what this does.
func (g *Group[V]) Changed(key string) {
	s := g.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl := s.slots[key]; sl != nil {
		g.outdate(s, key, sl)
	}
}

// ChangedAll is Changed for all keys.
func (g *Group[V]) ChangedAll() {
	for i := range g.stripes {
		s := &g.stripes[i]
		s.mu.Lock()
		for key, sl := range s.slots {
			g.outdate(s, key, sl)
		}
		s.mu.Unlock()
	}
}

// outdate leaves the flight to those who wait for it. Those who have asked the
// cache before may find more in it now.
func (g *Group[V]) outdate(s *stripe[V], key string, sl *slot[V]) {
	f := sl.flight
	if f == nil {
		return
	}
	sl.flight = nil
	if f.load.batch.Guarded {
		f.older, sl.outdated = sl.outdated, f
	} else {
		f.void = true
	}
	s.lastFill = g.fills.Add(1)
	s.tidy(key, sl)
}

// forget takes a flight out of those that are outdated.
func (sl *slot[V]) forget(f *flight[V]) {
	for p := &sl.outdated; *p != nil; p = &(*p).older {
		if *p == f {
			*p = f.older
			return
		}
	}
}
