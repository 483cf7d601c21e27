package memory

import (
	"sync/atomic"

	"github.com/maypok86/otter/v2"
)

// bound is how much a Store may hold, a number of entries or of bytes, and how
// much it holds.
type bound struct {
	maxEntries int64 // 0 if there is maxBytes
	maxBytes   int64
	entries    atomic.Int64
	bytes      atomic.Int64 // 0 without maxBytes
	writing    atomic.Int32 // calls of Store.change that are under way
}

// exceeded is whether there is more than the bound and slack eighths of it.
func (b *bound) exceeded(slack int64) bool {
	if b.maxBytes > 0 {
		return b.bytes.Load()-b.maxBytes > b.maxBytes/8*slack
	}
	return b.entries.Load()-b.maxEntries > b.maxEntries/8*slack
}

// count, added and forget keep account of what comes into otter's table and
// leaves it, under otter's lock for the key. An entry that leaves is first
// counted and then forgotten, so that Len, which waits until no deadline has
// passed, counts none that has.
func (s *Store) count(before, after bool) {
	switch {
	case before && !after:
		s.bound.entries.Add(-1)
	case after && !before:
		s.bound.entries.Add(1)
	}
}

func (s *Store) added(key string, e entry) {
	if s.bound.maxBytes > 0 {
		s.bound.bytes.Add(e.size(key))
	}
	if e.due != nil {
		s.expiry.add(e.due)
	}
}

func (s *Store) forget(key string, e entry) {
	if s.bound.maxBytes > 0 {
		s.bound.bytes.Add(-e.size(key))
	}
	if e.due != nil {
		s.expiry.remove(e.due)
	}
}

// maintain runs a round of otter's maintenance, which orders the entries by
// their use and evicts what is too much. A writer runs it itself: it needs the
// room before it returns, and to start a goroutine costs more. For a reader a
// goroutine does it, and what is read meanwhile goes unnoticed.
func (s *Store) maintain(round func()) {
	if s.bound.writing.Load() > 0 {
		round()
		s.report("")
		return
	}
	go func() {
		round()
		s.report("")
	}()
}

// settle is the end of a write, also if OnRemove has ended its goroutine. Of
// writes that overlap, one runs otter's maintenance and may miss what the
// others add; the last one makes up for it, or any that finds too much.
func (s *Store) settle(w *written) {
	overlaps := s.bound.writing.Add(-1) > 0
	if s.bound.exceeded(0) && (!overlaps || s.bound.exceeded(1)) {
		s.cache.CleanUp()
	}
	s.report(w.changed)
}

// evicted is called by otter for each entry that leaves its table, under its
// locks. All but evictions are the work of Store.change, which knows better.
func (s *Store) evicted(e otter.DeletionEvent[string, entry]) {
	if e.Cause != otter.CauseOverflow {
		return
	}
	cause := Capacity
	if s.expired(e.Value) {
		cause = Expired
	}
	s.count(true, false)
	s.removed(e.Key, e.Value, cause)
	s.watching.evict(e.Key)
}
