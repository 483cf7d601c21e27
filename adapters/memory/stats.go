package memory

import (
	"sync/atomic"
	"unsafe"
)

// Stats is what a Store has done since it was made, or since ResetStats.
type Stats struct {
	Hits   uint64 // entries that Get, GetLive, GetMany, GetWithTTL, GetManyWithTTL and GetOrLease found
	Misses uint64 // and that they did not find
	Sets   uint64 // values written, by whatever method

	// Values that have left the Store, by cause.
	Deleted, Expired, Evicted, Replaced, Cleared uint64

	HookPanics uint64 // calls of OnRemove, or of a Watcher, that panicked

	Entries int   // now
	Bytes   int64 // now, as MaxBytes counts them; 0 without MaxBytes
}

// HitRate is the share of hits in all reads, between 0 and 1; 0 if there were
// none.
func (s Stats) HitRate() float64 {
	if s.Hits == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// Stats returns the counts as they are now. Calls that are under way may be in
// some of them only.
func (s *Store) Stats() Stats {
	entries := s.Len() // first, as it removes what has expired
	return Stats{
		Hits:       s.counts.sum(hits),
		Misses:     s.counts.sum(misses),
		Sets:       s.counts.sum(sets),
		Deleted:    s.counts.sum(removals + counter(Deleted)),
		Expired:    s.counts.sum(removals + counter(Expired)),
		Evicted:    s.counts.sum(removals + counter(Capacity)),
		Replaced:   s.counts.sum(removals + counter(Replaced)),
		Cleared:    s.counts.sum(removals + counter(Cleared)),
		HookPanics: s.counts.panics.Load(),
		Entries:    entries,
		Bytes:      s.bound.bytes.Load(),
	}
}

// ResetStats sets all counts to 0, but for Entries and Bytes. It touches no
// entry.
func (s *Store) ResetStats() {
	for i := range s.counts.stripes {
		for c := range s.counts.stripes[i] {
			s.counts.stripes[i][c].Store(0)
		}
	}
	s.counts.panics.Store(0)
}

// A counter is something that is counted.
type counter int

const (
	hits counter = iota
	misses
	sets
	removals // + the Cause, which begins at 1
)

// counters are counted in stripes, so that goroutines that run at the same time
// mostly write to cache lines of their own.
type counters struct {
	stripes [32]stripe
	panics  atomic.Uint64
}

// A stripe has room for each counter, and is two cache lines long.
type stripe [16]atomic.Uint64

func (c *counters) add(what counter) {
	var here byte // on the stack, by whose place the goroutine is known
	stack := uint64(uintptr(unsafe.Pointer(&here))) >> 11
	c.stripes[stack*0x9e3779b97f4a7c15>>59][what].Add(1)
}

func (c *counters) sum(what counter) (n uint64) {
	for i := range c.stripes {
		n += c.stripes[i][what].Load()
	}
	return n
}
