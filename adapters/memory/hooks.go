package memory

import (
	"sync"
	"sync/atomic"

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

// A backlog is what has been noted and not been told, in its order.
type backlog[T any] struct {
	n     atomic.Int64 // len(queue); 0 is all that a call finds where nobody is told
	mu    sync.Mutex
	queue []T
}

func (b *backlog[T]) put(one T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, one)
	b.n.Store(int64(len(b.queue)))
}

func (b *backlog[T]) take() (first T, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return first, false
	}
	var none T
	first, b.queue[0] = b.queue[0], none
	if b.queue = b.queue[1:]; len(b.queue) == 0 {
		b.queue = nil
	}
	b.n.Store(int64(len(b.queue)))
	return first, true
}

// A change is a value that was set, or one that was removed.
type change struct {
	hooks    *Options // those of the moment of the change are told of it
	key      string
	new, old *store.Live
	replaced bool
	cause    Cause // 0 if it was set
}

// noteSet takes note of a write, and noteRemoval of a value that has left,
// under the lock of the entry; who releases it calls report.
func (s *Store) noteSet(key string, new, old *store.Live, replaced bool) {
	if o := s.options.Load(); o.OnSet != nil {
		if !replaced {
			old = nil
		}
		s.reports.put(change{hooks: o, key: key, new: new, old: old, replaced: replaced})
	}
}

func (s *Store) noteRemoval(key string, l *store.Live, cause Cause) {
	if o := s.options.Load(); o.OnRemove != nil {
		s.reports.put(change{hooks: o, key: key, old: l, cause: cause})
	}
	if cause == Capacity || cause == Expired || cause == Popped {
		s.watching.evict(key)
	}
}

// report tells the watchers, and then the hooks, what this goroutine has changed,
// and what others have. See tell for changed.
func (s *Store) report(changed string) {
	defer s.reportHooks() // also if a watcher ends the goroutine
	s.tell(changed)
}

// reportHooks takes one change at a time, so that none is lost if a hook ends
// the goroutine.
func (s *Store) reportHooks() {
	if s.reports.n.Load() == 0 {
		return
	}
	for {
		c, ok := s.reports.take()
		if !ok {
			return
		}
		s.hook(c)
	}
}

// hook calls OnSet or OnRemove.
func (s *Store) hook(c change) {
	defer s.contain()
	s.await(c.key)
	if c.cause != 0 {
		c.hooks.OnRemove(c.key, c.old, c.cause)
	} else {
		c.hooks.OnSet(c.key, c.new, c.old, c.replaced)
	}
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

// await returns when the change of key is done: it was noted under a lock that
// another goroutine may still hold.
func (s *Store) await(key string) {
	slot := s.cache.Lock(key)
	slot.Unlock()
}
