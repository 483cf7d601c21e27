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
	Deleted  Cause = iota + 1 // by Delete, DeleteMany, CompareAndDelete or Hold, or by a new value that was too large
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

// report tells the watchers, and then OnRemove, what this goroutine has changed,
// and what others have. See tell for changed.
func (s *Store) report(changed string) {
	defer s.reportRemovals() // also if a watcher ends the goroutine
	s.tell(changed)
}

// reportRemovals takes one removal at a time, so that none is lost if OnRemove
// ends the goroutine.
func (s *Store) reportRemovals() {
	if s.onRemove == nil {
		return
	}
	for {
		r, ok := s.reports.take()
		if !ok {
			return
		}
		s.hook(r)
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

// hook calls OnRemove.
func (s *Store) hook(r removal) {
	defer s.contain()
	s.await(r.key)
	s.onRemove(r.key, r.live, r.cause)
}

// contain, deferred, ends a panic of code that is not ours.
func (s *Store) contain() {
	if recover() != nil {
		s.counts.panics.Add(1)
	}
}

// await returns when the removal of key is done: it was noted under otter's
// lock for the key, which another goroutine may still hold.
func (s *Store) await(key string) {
	s.cache.Compute(key, func(entry, bool) (entry, otter.ComputeOp) { return entry{}, otter.CancelOp })
}
