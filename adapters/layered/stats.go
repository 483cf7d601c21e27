package layered

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cairncache/cairn/store"
)

// Stats are counts since the Store was made, and its state.
type Stats struct {
	L1Hits   uint64 // entries found in L1
	L2Hits   uint64 // entries that L2 was asked for and had
	Misses   uint64 // and that it did not have
	Bypassed uint64 // reads that went to L2 because L1 must not be served, as in the first moments; see Explain
	Stale    uint64 // answers of L1 while L2 was unavailable; see ServeStale
	Masked   uint64 // failures that were answered as a miss; see AnswerMiss

	Invalidations uint64 // keys that L2 has told of
	Flushes       uint64 // times that L2 has told that anything may have changed
	Refused       uint64 // answers of L2 that were not put into L1, as they were overtaken
	L1Errors      uint64 // calls that L1 has failed
	L2Errors      uint64 // calls that L2 has failed, and those not made as the breaker was open, which Breaker.Refused counts; and panics in L2 that nobody was left to recover

	// L1Open tells whether L1 may be served, and ProofAge how long ago the
	// newest change was made that L1 surely knows of: 0 where L1 needs no
	// proof, -1 while nothing is proved.
	L1Open   bool
	ProofAge time.Duration

	// Where L2 is itself a *Store, it alone has what follows, and tells it
	// here too; all else, errors among it, is counted by each level for itself.

	Breaker BreakerStats

	// PendingDeletes are the keys whose Delete has failed and is to be
	// repeated, and LostDeletes counts those that were too many to remember.
	PendingDeletes int
	LostDeletes    uint64
}

// Stats returns the counts and the state as they are now.
func (s *Store) Stats() Stats {
	now := time.Now()
	last := s.last()
	pending, lost := last.deletes.pending()
	return Stats{
		L1Hits:         s.counts.sum(nearHits),
		L2Hits:         s.counts.sum(farHits),
		Misses:         s.counts.sum(misses),
		Bypassed:       s.counts.sum(bypassed),
		Stale:          s.counts.sum(stale),
		Masked:         s.counts.sum(maskedMisses),
		Invalidations:  s.counts.sum(invalidations),
		Flushes:        s.counts.sum(flushes),
		Refused:        s.counts.sum(refused),
		L1Errors:       s.counts.sum(nearErrors),
		L2Errors:       s.counts.sum(farErrors) + s.guard.calls.Panics(),
		L1Open:         s.fence.open(now),
		ProofAge:       s.proofAge(now),
		Breaker:        last.guard.breaker.snapshot(),
		PendingDeletes: pending,
		LostDeletes:    lost,
	}
}

// last is the Store whose L2 is none, which alone needs a breaker and
// remembers Deletes.
func (s *Store) last() *Store {
	for s.nested != nil {
		s = s.nested
	}
	return s
}

// proofAge is Stats.ProofAge.
func (s *Store) proofAge(now time.Time) time.Duration {
	switch proven := s.fence.provenAt(); {
	case proven.IsZero():
		return -1
	case proven.Equal(store.AlwaysProven):
		return 0
	default:
		return now.Sub(proven)
	}
}

// A counter is something that is counted.
type counter int

const (
	nearHits counter = iota
	farHits
	misses
	bypassed
	stale
	maskedMisses
	invalidations
	flushes
	refused
	nearErrors
	farErrors
)

// counters are counted in parts, so that goroutines that run at the same time
// mostly write to cache lines of their own.
type counters struct {
	parts [32][16]atomic.Uint64
}

func (c *counters) add(what counter) { c.addN(what, 1) }

func (c *counters) addN(what counter, n uint64) {
	var here byte // on the stack, by whose place the goroutine is known
	stack := uint64(uintptr(unsafe.Pointer(&here))) >> 11
	c.parts[stack*0x9e3779b97f4a7c15>>59][what].Add(n)
}

func (c *counters) sum(what counter) (n uint64) {
	for i := range c.parts {
		n += c.parts[i][what].Load()
	}
	return n
}
