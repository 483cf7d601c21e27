package memory

import (
	"container/heap"
	"sync"
	"time"
	"weak"
)

// sweepEvery is the least time between two sweeps, so that many short ttls
// cost few of them.
const sweepEvery = 100 * time.Millisecond

// expiry holds the deadlines of all leases, and of all entries that have one,
// soonest first, and a timer that sweeps when the first has passed. Reads do not depend on it,
// they compare the deadline themselves; it frees the memory. Otter could do
// that as well, but would then take note of every read.
type expiry struct {
	start   time.Time // what now counts from
	mu      sync.Mutex
	dues    dues
	sweep   func()
	timer   *time.Timer
	wake    int64 // when the timer fires; never if it is not set
	stopped bool
}

// A due is the deadline of one entry or lease.
type due struct {
	at    int64
	key   string
	index int // in expiry.dues
}

// init lets the timer sweep s without keeping it alive.
func (x *expiry) init(s *Store) {
	x.start = time.Now()
	x.wake = never
	w := weak.Make(s)
	x.sweep = func() {
		if s := w.Value(); s != nil {
			s.removeExpired()
		}
	}
}

// now is the time of deadlines, in ns, by the monotonic clock.
func (x *expiry) now() int64 { return int64(time.Since(x.start)) }

// at is what now is at the time t.
func (x *expiry) at(t time.Time) int64 { return int64(t.Sub(x.start)) }

// after is the time d from now.
func (x *expiry) after(d time.Duration) int64 {
	now := x.now()
	return now + min(int64(d), never-1-now) // a sum past never is the instant before it
}

func (x *expiry) add(d *due) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stopped {
		return
	}
	heap.Push(&x.dues, d)
	if d.index == 0 {
		x.arm()
	}
}

// remove does nothing once the Store is closed.
func (x *expiry) remove(d *due) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.stopped {
		heap.Remove(&x.dues, d.index)
	}
}

// passed returns a key with a deadline that has passed by now. It leaves the
// deadline to who removes the entry or the lease: whoever else asks meanwhile
// must not believe that all is done.
func (x *expiry) passed(now int64) (key string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.dues) == 0 || x.dues[0].at > now {
		return "", false
	}
	return x.dues[0].key, true
}

// rearm sets the timer after a sweep.
func (x *expiry) rearm() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake = never
	x.arm()
}

// arm sets the timer for the first deadline, unless it fires earlier anyway.
func (x *expiry) arm() {
	if len(x.dues) == 0 || x.stopped {
		return
	}
	now := x.now()
	at := max(x.dues[0].at, now+int64(sweepEvery))
	if at >= x.wake {
		return
	}
	x.wake = at
	wait := time.Duration(at - now)
	if x.timer == nil {
		x.timer = time.AfterFunc(wait, x.sweep)
		return
	}
	x.timer.Reset(wait)
}

// stop drops all deadlines and the timer for good.
func (x *expiry) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopped = true
	x.dues = nil
	if x.timer != nil {
		x.timer.Stop()
	}
}

// removeExpired removes every entry that has expired by now, and every lease.
func (s *Store) removeExpired() {
	now := s.expiry.now()
	defer s.expiry.rearm()
	for {
		key, ok := s.expiry.passed(now)
		if !ok {
			return
		}
		err := s.alter("expire", key, false, func(entry, bool) (entry, Cause) {
			s.leases.expire(key, now)
			return entry{}, kept
		})
		if err != nil {
			return // closed
		}
	}
}

// dues is a heap of deadlines that know their place in it.
type dues []*due

func (h dues) Len() int           { return len(h) }
func (h dues) Less(i, j int) bool { return h[i].at < h[j].at }

func (h dues) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dues) Push(d any) {
	d.(*due).index = len(*h)
	*h = append(*h, d.(*due))
}

func (h *dues) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return d
}
