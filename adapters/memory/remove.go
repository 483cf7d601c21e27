package memory

import (
	"strconv"
	"sync"

	"github.com/cairncache/cairn/store"
	"github.com/maypok86/otter/v2"
)

// Cause is why a value has left a Store.
type Cause int

// An entry that had expired when something else would have removed it, but was
// still in memory, counts as Expired.
const (
	Deleted  Cause = iota + 1 // by Delete, DeleteMany or CompareAndDelete, or by a new value that was too large
	Expired                   // its ttl has passed
	Capacity                  // evicted, to hold MaxEntries or MaxBytes
	Replaced                  // by a new value; Touch does not replace
	Cleared                   // by Clear

	kept Cause = 0 // not removed
)

// String returns the name of the constant.
func (c Cause) String() string {
	names := [...]string{Deleted: "Deleted", Expired: "Expired", Capacity: "Capacity", Replaced: "Replaced", Cleared: "Cleared"}
	if c <= kept || int(c) >= len(names) {
		return "Cause(" + strconv.Itoa(int(c)) + ")"
	}
	return names[c]
}

// reports are the removals that OnRemove has not been told of.
type reports struct {
	mu    sync.Mutex
	queue []removal
}

type removal struct {
	key   string
	live  *store.Live
	cause Cause
}

// removed keeps account of an entry that leaves otter's table for good. It
// runs under otter's locks; who releases them calls report.
func (s *Store) removed(key string, e entry, cause Cause) {
	s.forget(key, e)
	s.counts.add(removals + counter(cause))
	if s.onRemove != nil {
		s.reports.mu.Lock()
		s.reports.queue = append(s.reports.queue, removal{key, e.live, cause})
		s.reports.mu.Unlock()
	}
}

// report tells OnRemove what has been removed, by this goroutine or another.
// It takes one removal at a time, so that none is lost if OnRemove ends the
// goroutine.
func (s *Store) report() {
	if s.onRemove == nil {
		return
	}
	for {
		r, ok := s.reports.take()
		if !ok {
			return
		}
		s.tell(r)
	}
}

func (r *reports) take() (removal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return removal{}, false
	}
	first := r.queue[0]
	r.queue[0] = removal{}
	if r.queue = r.queue[1:]; len(r.queue) == 0 {
		r.queue = nil
	}
	return first, true
}

// tell calls OnRemove, when the removal is done: it was queued under otter's
// lock for the key, which another goroutine may still hold.
func (s *Store) tell(r removal) {
	defer func() {
		if recover() != nil {
			s.counts.panics.Add(1)
		}
	}()
	s.cache.Compute(r.key, func(entry, bool) (entry, otter.ComputeOp) { return entry{}, otter.CancelOp })
	s.onRemove(r.key, r.live, r.cause)
}
