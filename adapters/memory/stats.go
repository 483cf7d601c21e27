package memory

import "github.com/cairncache/cairn/adapters/memory/internal/cache"

// Stats is what a Store has done since it was made, or since ResetStats, and
// what it holds. All of it is of the same moment: every value that was set is
// either there or has left by one of the causes, unless counting was paused
// or reset. Hits and Misses alone may be some reads apart, as a read waits for
// nobody.
type Stats struct {
	Hits   uint64 // entries that Get, GetLive, GetMany, GetWithTTL, GetManyWithTTL and GetOrLease found
	Misses uint64 // and that they did not find
	Sets   uint64 // values written, by whatever method; Touch writes none, nor does SetLive of what is there

	// Values that have left the Store, by cause.
	Deleted, Expired, Evicted, Replaced, Cleared, Popped uint64

	// Calls of a hook, or of a Watcher, that panicked, also while counting was
	// paused. What they panicked with is lost.
	HookPanics uint64

	Entries int   // now
	Bytes   int64 // now, as MaxBytes counts them; 0 without MaxBytes
}

// HitRate is the share of hits in all reads, between 0 and 1; 0 if there were
// none.
func (s Stats) HitRate() float64 { return share(s.Hits, s.Hits+s.Misses) }

// MissRate is the share of misses in all reads, between 0 and 1; 0 if there
// were none.
func (s Stats) MissRate() float64 { return share(s.Misses, s.Hits+s.Misses) }

// EvictionRate is how many of the values that were written were evicted,
// between 0 and 1; 0 if none was written. It is 1 if more were evicted than
// written since the counts were reset.
func (s Stats) EvictionRate() float64 { return share(s.Evicted, s.Sets) }

func share(part, all uint64) float64 {
	if part == 0 || all == 0 {
		return 0
	}
	return min(1, float64(part)/float64(all))
}

// Stats returns the counts as they are now. It removes what has expired first.
func (s *Store) Stats() Stats {
	return statsOf(s.cache.Stats(), s.panics.Load())
}

func statsOf(now cache.Stats, panics uint64) Stats {
	return Stats{
		Hits:       now.Hits,
		Misses:     now.Misses,
		Sets:       now.Sets,
		Deleted:    now.Removed[cache.Deleted],
		Expired:    now.Removed[cache.Expired],
		Evicted:    now.Removed[cache.Capacity],
		Replaced:   now.Removed[cache.Replaced],
		Cleared:    now.Removed[cache.Cleared],
		Popped:     now.Removed[cache.Popped],
		HookPanics: panics,
		Entries:    now.Entries,
		Bytes:      now.Bytes,
	}
}

// ResetStats sets all counts to 0, but for Entries and Bytes. It touches no
// entry.
func (s *Store) ResetStats() {
	s.cache.ResetStats()
	s.panics.Store(0)
}

// PauseStats stops all counting but that of HookPanics, Entries and Bytes, until
// ResumeStats.
func (s *Store) PauseStats() { s.cache.PauseStats(true) }

// ResumeStats goes on counting.
func (s *Store) ResumeStats() { s.cache.PauseStats(false) }

// StatsEnabled is whether counting is not paused.
func (s *Store) StatsEnabled() bool { return !s.cache.StatsPaused() }

// Stats returns the counts as they are now. Hits and Misses are those of Get
// and GetOrSet, and Bytes is the sum of the costs, 0 without MaxCost. It removes
// what has expired first.
func (t *Typed[K, V]) Stats() Stats {
	return statsOf(t.cache.Stats(), t.panics.Load())
}

// ResetStats sets all counts to 0, but for Entries and Bytes.
func (t *Typed[K, V]) ResetStats() {
	t.cache.ResetStats()
	t.panics.Store(0)
}

// PauseStats stops all counting but that of HookPanics, Entries and Bytes, until
// ResumeStats.
func (t *Typed[K, V]) PauseStats() { t.cache.PauseStats(true) }

// ResumeStats goes on counting.
func (t *Typed[K, V]) ResumeStats() { t.cache.PauseStats(false) }

// StatsEnabled is whether counting is not paused.
func (t *Typed[K, V]) StatsEnabled() bool { return !t.cache.StatsPaused() }
