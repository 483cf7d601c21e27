package config

import (
	"maps"
	"slices"

	"github.com/cairncache/cairn/memo"
)

// Regions returns the regions, ready for memo.Options, and opens the stores
// that they name, with the errors of Store. A region that names none has the
// store of its parent, and in the end that of the Memo. The map is the
// caller's.
func (s *Stores) Regions() (map[string]memo.Region, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	regions := make(map[string]memo.Region, len(s.config.Regions))
	for _, name := range slices.Sorted(maps.Keys(s.config.Regions)) {
		r := s.config.Regions[name]
		region := memo.Region{Parent: r.Parent, Namespace: r.Namespace, Policy: r.policy()}
		if r.Store != "" {
			var err error
			if region.Store, err = s.Store(r.Store); err != nil {
				return nil, err
			}
		}
		regions[name] = region
	}
	return regions, nil
}

func (r *Region) policy() memo.Policy {
	return memo.Policy{
		TTL:          r.TTL,
		Stale:        r.Stale,
		Absent:       r.Absent,
		Jitter:       r.Jitter,
		RefreshAhead: r.RefreshAhead,
		EarlyRefresh: r.EarlyRefresh,
		SoftTimeout:  r.SoftTimeout,
		LoadTimeout:  r.LoadTimeout,
		WaitTimeout:  r.WaitTimeout,
		Retry:        r.Retry,
	}
}
