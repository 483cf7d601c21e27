package lock

import (
	"sync/atomic"
	"time"
)

// Stats is what has happened in a Locker since it was made, and what is so now.
type Stats struct {
	Acquired      uint64        // locks that were acquired
	Refused       uint64        // answers of the store that another holds the lock; who waits may get several
	Lost          uint64        // leases that were lost
	Renewals      uint64        // leases extended in the background
	RenewalErrors uint64        // tries of that which failed
	WaitTime      time.Duration // how long the calls of Lock and Acquire that have ended took, in sum

	Waiting int // calls of Lock and Acquire that are under way
	Held    int // leases that are held
}

type counters struct {
	acquired, refused, lost, renewals, renewalErrors atomic.Uint64
	waitTime, waiting, held                          atomic.Int64
}

// Stats returns what has happened so far. Each field is exact; they are not
// read at the same instant.
func (k *Locker) Stats() Stats {
	c := &k.counts
	return Stats{
		Acquired:      c.acquired.Load(),
		Refused:       c.refused.Load(),
		Lost:          c.lost.Load(),
		Renewals:      c.renewals.Load(),
		RenewalErrors: c.renewalErrors.Load(),
		WaitTime:      time.Duration(c.waitTime.Load()),
		Waiting:       int(c.waiting.Load()),
		Held:          int(c.held.Load()),
	}
}
