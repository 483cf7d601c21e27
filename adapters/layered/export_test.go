package layered

// SwitchOff turns off one of the mechanisms that keep L1 true: "epoch" (what
// was overtaken stays out of L1), "forget" (writes and invalidations drop the
// key), "fence" (L1 is not served without proof) or "flush".
func (s *Store) SwitchOff(mechanism string) {
	switch mechanism {
	case "epoch":
		s.off.epoch.Store(true)
	case "forget":
		s.off.forget.Store(true)
	case "flush":
		s.off.flush.Store(true)
	case "fence":
		s.fence.mu.Lock()
		defer s.fence.mu.Unlock()
		s.fence.off = true
		s.fence.set()
	default:
		panic("no mechanism is called " + mechanism)
	}
}
