package memory

import (
	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// A Cause is why a value has left a Store: Deleted, Expired, Capacity, Replaced,
// Cleared or Popped. It prints as its name. An entry that had expired when
// something else would have removed it, but was still in memory, counts as
// Expired.
type Cause = cache.Cause

const (
	Deleted  = cache.Deleted  // by Delete, DeleteMany, CompareAndDelete or Hold, or by a new value that was too large
	Expired  = cache.Expired  // its ttl has passed
	Capacity = cache.Capacity // evicted, to hold MaxEntries or MaxBytes, or by Evict
	Replaced = cache.Replaced // by a new value; Touch does not replace
	Cleared  = cache.Cleared  // by Clear
	Popped   = cache.Popped   // by Pop
)

// A removal is a value that has left, and the Options of that moment, whose hook
// is told of it.
type removal = cache.Removal[string, store.Live]

// hooks is cache.Options.Hooks.
func (s *Store) hooks(cause Cause) any {
	if o := s.options.Load(); o.OnRemove != nil || isEviction(cause) && s.watching.list.Load() != nil {
		return o
	}
	return nil
}

// isEviction is whether a value has left by no call for its key.
func isEviction(cause Cause) bool { return cause == Capacity || cause == Expired || cause == Popped }

// A report is what one call has changed.
type report struct {
	changed string // the key that was written, for the watchers, unless it is empty
	removed []removal
	onSet   func() // nil if it is not to be called
}

// noteSet takes note of a write, under the lock of the entry.
func (s *Store) noteSet(r *report, key string, new, old *store.Live, replaced bool) {
	if o := s.options.Load(); o.OnSet != nil {
		if !replaced {
			old = nil
		}
		r.onSet = func() { o.OnSet(key, new, old, replaced) }
	}
}

// tell tells the watchers, and then the hooks. Nothing is locked, so that they
// may use the Store; of what they change they are told within that.
func (s *Store) tell(r report) {
	if len(r.removed) > 0 || r.onSet != nil {
		defer s.tellHooks(r.removed, r.onSet) // also if a watcher ends the goroutine
	}
	s.tellWatchers(&r)
}

func (s *Store) tellRemoved(removed []removal) { s.tell(report{removed: removed}) }

func (s *Store) tellHooks(removed []removal, onSet func()) {
	defer func() {
		if len(removed) > 0 || onSet != nil { // a hook has ended the goroutine
			go s.tellHooks(removed, onSet)
		}
	}()
	for len(removed) > 0 {
		one := removed[0]
		removed[0] = removal{} // or it stays in memory until all are told
		removed = removed[1:]
		if f := one.Hooks.(*Options).OnRemove; f != nil {
			s.contained(func() { f(one.Key, one.Value, one.Cause) })
		}
	}
	if f := onSet; f != nil {
		onSet = nil
		s.contained(f)
	}
}

// contained calls a hook.
func (s *Store) contained(hook func()) {
	defer s.contain()
	hook()
}

// hit and missed are the end of each read that counts.
func (s *Store) hit(key string, l *store.Live) {
	s.cache.Hit()
	if f := s.options.Load().OnGet; f != nil {
		s.onGet(f, key, l)
	}
}

func (s *Store) missed(key string) {
	s.cache.Miss()
	if f := s.options.Load().OnGet; f != nil {
		s.onGet(f, key, nil)
	}
}

func (s *Store) onGet(f func(string, *store.Live, bool), key string, l *store.Live) {
	defer s.contain()
	f(key, l, l != nil)
}

// contain, deferred, ends a panic of code that is not ours.
func (s *Store) contain() {
	if recover() != nil {
		s.panics.Add(1)
	}
}
