package memo

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Stats is what has happened in a function, or in all of a Memo, since it was
// made or its Stats were reset.
//
// Every field counts something of its own, and what is a sum of them is a
// method, so that hits, misses and rates fit together in any Stats, also in one
// that was taken while calls were under way.
type Stats struct {
	// Calls that were answered from what is remembered. Each counts in one of
	// these four. Which layer of a store answered is counted by package layered.
	MemoryHits   uint64 // fresh values from a store that keeps them in the process (store.LiveStore), or has a layer there
	StoreHits    uint64 // fresh values from any other store
	StaleHits    uint64 // values of any store whose ttl had passed
	NegativeHits uint64 // remembered errors, among them that there is no such thing

	// Calls that were not. One that ended before there was an outcome, as its
	// context did, is in neither.
	Shared uint64 // got the outcome of a load that another call had begun
	Misses uint64 // began a load and waited for it, also if that found what another process had stored, or called the function without the cache

	// Calls that asked for neither; see Call.Skip.
	Skipped uint64

	// Loads that have ended, in the foreground or not. Each counts in one of
	// these three. A call of FillMany is one load.
	Loaded     uint64 // the function returned a value
	Absent     uint64 // it returned that there is no such thing
	LoadErrors uint64 // it returned another error, or did not return

	Voided    uint64        // of the loads that have ended, those that were not stored because their key was invalidated meanwhile
	Refreshes uint64        // loads that were begun in the background
	LoadTime  time.Duration // how long the loads that have ended took, in sum

	StoreErrors  uint64 // calls of the store that failed
	EncodeErrors uint64 // results and arguments that could not be encoded
	DecodeErrors uint64 // entries that could not be read
	Mismatches   uint64 // results that differed from what was stored, found by Options.Verify
	HookPanics   uint64 // calls of hooks that panicked

	// What was exchanged with stores outside the process, in bytes of values
	// and what is stored with them. Of a store with a layer in the process,
	// nothing is counted.
	BytesRead    uint64
	BytesWritten uint64
}

// Hits is the number of calls that were answered from what is remembered.
func (s Stats) Hits() uint64 {
	return s.MemoryHits + s.StoreHits + s.StaleHits + s.NegativeHits
}

// Requests is the number of calls that had an outcome, Hits, Shared and Misses:
// not those that were Skipped.
func (s Stats) Requests() uint64 { return s.Hits() + s.Shared + s.Misses }

// Loads is the number of loads that have ended, in whatever way.
func (s Stats) Loads() uint64 { return s.Loaded + s.Absent + s.LoadErrors }

// HitRate is the share of Hits in Requests, between 0 and 1; 0 if there were no
// requests. What it, MissRate and the share of Shared add up to is 1.
func (s Stats) HitRate() float64 { return share(s.Hits(), s.Requests()) }

// MissRate is the share of Misses in Requests, between 0 and 1; 0 if there were
// no requests.
func (s Stats) MissRate() float64 { return share(s.Misses, s.Requests()) }

// StaleRate is the share of StaleHits in Requests, between 0 and 1; 0 if there
// were no requests.
func (s Stats) StaleRate() float64 { return share(s.StaleHits, s.Requests()) }

// LoadErrorRate is the share of LoadErrors in Loads, between 0 and 1; 0 if
// there were no loads.
func (s Stats) LoadErrorRate() float64 { return share(s.LoadErrors, s.Loads()) }

// MeanLoadTime is how long a load took on average; 0 if there were none.
func (s Stats) MeanLoadTime() time.Duration {
	n := s.Loads()
	if n == 0 {
		return 0
	}
	return time.Duration(uint64(s.LoadTime) / n)
}

// Add returns the sum of s and t: what has happened in both.
func (s Stats) Add(t Stats) Stats {
	s.MemoryHits += t.MemoryHits
	s.StoreHits += t.StoreHits
	s.StaleHits += t.StaleHits
	s.NegativeHits += t.NegativeHits
	s.Shared += t.Shared
	s.Misses += t.Misses
	s.Skipped += t.Skipped
	s.Loaded += t.Loaded
	s.Absent += t.Absent
	s.LoadErrors += t.LoadErrors
	s.Voided += t.Voided
	s.Refreshes += t.Refreshes
	s.LoadTime += t.LoadTime
	s.StoreErrors += t.StoreErrors
	s.EncodeErrors += t.EncodeErrors
	s.DecodeErrors += t.DecodeErrors
	s.Mismatches += t.Mismatches
	s.HookPanics += t.HookPanics
	s.BytesRead += t.BytesRead
	s.BytesWritten += t.BytesWritten
	return s
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// A counter is something that is counted.
type counter uint

// What is counted for a call comes first, in stripes; what accompanies a load
// or a failure costs much more than counting it.
const (
	hitMemory counter = iota
	hitStore
	hitStale
	hitNegative
	callShared
	callMissed
	bytesRead
	bytesWritten
	striped // the number of counters that are

	callSkipped counter = iota - 1
	loadRefresh
	loadReturned
	loadAbsent
	loadFailed
	loadVoided
	loadNanoseconds
	storeErrors
	encodeErrors
	decodeErrors
	mismatches
	hookPanics
	allCounters // their number
)

// counters count. Goroutines that run at the same time mostly write to cache
// lines of their own.
type counters struct {
	paused  atomic.Bool
	shift   uint8 // of a 64-bit hash, to give the place of a stripe
	stripes []stripe

	mu   sync.Mutex
	base [allCounters]uint64 // what had been counted at the last reset

	rest [allCounters - striped]atomic.Uint64 // far from what every add reads
}

// A stripe is a cache line.
type stripe [striped]atomic.Uint64

// newCounters makes counters for as many goroutines as can run at once. With
// many more stripes than these are, they seldom share one. All stripes together
// take at most 4 KiB.
func newCounters() *counters {
	const most = 64
	log2 := bits.Len(uint(min(16*runtime.GOMAXPROCS(0), most) - 1))
	return &counters{shift: uint8(64 - log2), stripes: make([]stripe, 1<<log2)}
}

// add counts n of what, unless paused.
func (c *counters) add(what counter, n uint64) {
	if c.paused.Load() {
		return
	}
	if what < striped {
		c.stripe()[what].Add(n)
	} else {
		c.rest[what-striped].Add(n)
	}
}

// stripe is that of the calling goroutine, which is known by its stack. A
// random one would be in another processor's cache most times.
func (c *counters) stripe() *stripe {
	var here byte
	stack := uint64(uintptr(unsafe.Pointer(&here))) >> 11 // the size of the smallest stack
	return &c.stripes[stack*0x9e3779b97f4a7c15>>(c.shift&63)]
}

// pause makes add do nothing, until resume. What is being added at that moment
// may still count.
func (c *counters) pause() { c.paused.Store(true) }

func (c *counters) resume() { c.paused.Store(false) }

// reset lets snapshot begin at 0. Nothing that is added meanwhile is lost: it
// counts before the reset, or after it.
func (c *counters) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = c.totals()
}

// snapshot returns what was counted since the last reset. No count is lower
// than in an earlier snapshot unless there was a reset in between.
func (c *counters) snapshot() Stats {
	c.mu.Lock() // a reset between the totals and the base would make counts negative
	n := c.totals()
	for i := range n {
		n[i] -= c.base[i]
	}
	c.mu.Unlock()
	s := Stats{
		MemoryHits:   n[hitMemory],
		StoreHits:    n[hitStore],
		StaleHits:    n[hitStale],
		NegativeHits: n[hitNegative],
		Shared:       n[callShared],
		Misses:       n[callMissed],
		Skipped:      n[callSkipped],
		Loaded:       n[loadReturned],
		Absent:       n[loadAbsent],
		LoadErrors:   n[loadFailed],
		Refreshes:    n[loadRefresh],
		LoadTime:     time.Duration(n[loadNanoseconds]),
		StoreErrors:  n[storeErrors],
		EncodeErrors: n[encodeErrors],
		DecodeErrors: n[decodeErrors],
		Mismatches:   n[mismatches],
		HookPanics:   n[hookPanics],
		BytesRead:    n[bytesRead],
		BytesWritten: n[bytesWritten],
	}
	s.Voided = min(n[loadVoided], s.Loads()) // a load may have ended before a reset and be voided after it
	return s
}

// totals returns all counts since the beginning.
func (c *counters) totals() (n [allCounters]uint64) {
	for what := range striped {
		for i := range c.stripes {
			n[what] += c.stripes[i][what].Load()
		}
	}
	for i := range c.rest {
		n[int(striped)+i] = c.rest[i].Load()
	}
	return n
}
