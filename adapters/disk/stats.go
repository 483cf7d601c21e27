package disk

import "sync/atomic"

// Stats is what a Store has done since it was made, this one alone, and how
// full the folder is.
type Stats struct {
	Hits    uint64 // entries that Get, GetMany and GetWithTTL found
	Misses  uint64 // and that they did not find
	Sets    uint64 // values written, by whatever method; Touch writes none
	Damaged uint64 // files that were removed because they were damaged or foreign
	Expired uint64 // files that a sweep removed because their entries had expired
	Evicted uint64 // files that were removed to make room

	// Bytes is the size of the files of all entries of all Stores in the folder,
	// also those that have expired and were not swept. After a crash it may be
	// too much until the next sweep, and too little if the file of counts was
	// lost. It is 0 if the Store is closed.
	Bytes int64
}

type counts struct {
	hits, misses, sets, damaged, expired, evicted atomic.Uint64
}

// Stats returns the counts as they are now, each by itself.
func (s *Store) Stats() Stats {
	stats := Stats{
		Hits:    s.counts.hits.Load(),
		Misses:  s.counts.misses.Load(),
		Sets:    s.counts.sets.Load(),
		Damaged: s.counts.damaged.Load(),
		Expired: s.counts.expired.Load(),
		Evicted: s.counts.evicted.Load(),
	}
	s.inUse.RLock()
	defer s.inUse.RUnlock()
	if !s.closed {
		stats.Bytes, _, _ = s.usage.total() // 0 if it cannot be read
	}
	return stats
}
