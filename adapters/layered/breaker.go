package layered

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	breakAfter = 5                      // failures in a row
	minPause   = 100 * time.Millisecond // from opening to the first probe; doubled by each that fails
	maxPause   = 4 * time.Second        // and up to a quarter more
)

// BreakerState says whether L2 is asked.
type BreakerState uint8

const (
	BreakerClosed   BreakerState = iota // L2 is asked
	BreakerOpen                         // L2 has failed and is not asked until a pause is over
	BreakerHalfOpen                     // one call asks L2 whether it is back, the others fail
)

// String returns the name in lower case, without the prefix.
func (b BreakerState) String() string {
	names := [...]string{"closed", "open", "half-open"}
	if int(b) < len(names) {
		return names[b]
	}
	return "unknown"
}

// BreakerStats tell what has become of the calls to L2. The counts begin with
// the Store.
type BreakerStats struct {
	State    BreakerState
	Since    time.Time // when it opened; zero while it is closed
	Until    time.Time // no call asks L2 before; zero while it is closed
	Failed   uint64    // calls that found L2 unavailable, time-outs among them
	TimedOut uint64    // calls that took longer than the time-out
	Refused  uint64    // calls that were not made, as the breaker was open
	Opened   uint64    // times that a closed breaker has opened
}

// breaker stops calls to a backend that is away, so that each caller need not
// find out by a time-out of its own. It opens after five failures in a row. A
// failure counts only if nothing was answered between the beginning and the
// end of its call: so neither one slow key, nor a part of the servers that is
// down, takes away the rest, however many calls are under way. After a pause
// one call goes through as a probe, and any answer closes the breaker again.
//
// The zero breaker is closed.
type breaker struct {
	mu      sync.Mutex
	answers uint64 // so far; tells whether there was one since a pass was given
	row     int    // failures since the last answer
	pause   time.Duration
	cause   error // of the failure that opened it
	stats   BreakerStats
}

// A pass lets one call through. It is given back by answered, failed or leave.
type pass struct {
	answers uint64
	probe   bool
}

// enter returns an error if L2 is not to be asked now.
func (b *breaker) enter(now time.Time) (pass, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := pass{answers: b.answers}
	switch {
	case b.stats.State == BreakerClosed:
		return p, nil
	case b.stats.State == BreakerOpen && !now.Before(b.stats.Until):
		b.stats.State = BreakerHalfOpen
		p.probe = true
		return p, nil
	}
	b.stats.Refused++
	away := fmt.Sprintf("L2 is away since %s (%v)", clock(b.stats.Since), b.cause)
	if b.stats.State == BreakerHalfOpen {
		return p, fmt.Errorf("%s; another call is asking whether it is back", away)
	}
	return p, fmt.Errorf("%s; it is not asked until %s, in %v", away, clock(b.stats.Until), b.stats.Until.Sub(now).Round(time.Millisecond))
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// answered tells that L2 has answered, be it a value or a miss.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers++
	b.row = 0
	if b.stats.State != BreakerClosed {
		b.stats.State, b.stats.Since, b.stats.Until = BreakerClosed, time.Time{}, time.Time{}
		b.pause, b.cause = 0, nil
	}
}

// failed tells that L2 was not available to a call.
func (b *breaker) failed(p pass, now time.Time, err error, timedOut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Failed++
	if timedOut {
		b.stats.TimedOut++
	}
	if p.answers != b.answers {
		return
	}
	switch {
	case p.probe:
	case b.stats.State != BreakerClosed:
		return // begun before it opened
	default:
		if b.row++; b.row < breakAfter {
			return
		}
		b.stats.Since = now
		b.stats.Opened++
	}
	b.cause = reason(err)
	b.pause = min(max(2*b.pause, minPause), maxPause)
	b.stats.State = BreakerOpen
	b.stats.Until = now.Add(b.pause + rand.N(b.pause/4)) // not all processes at once
}

// leave tells that a call has ended without telling anything of L2, as when
// its caller has cancelled it. Another one may then be the probe.
func (b *breaker) leave(p pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.probe && p.answers == b.answers {
		b.stats.State = BreakerOpen // its pause is over
	}
}

func (b *breaker) snapshot() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}
