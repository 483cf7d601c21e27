package memo

import (
	"errors"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// watcher is told by a store what changes in it: loads of what has changed are
// not joined any more, generations are read anew, and those who wait for what
// another process loads look again. It is called within the store's writes,
// those of this Memo among them, so it neither waits nor uses the store.
type watcher struct {
	memo    *Memo
	store   store.Store
	stripes [256]watchStripe // many, as a change of any key in one lets those who are about to wait for another look again
}

// A watchStripe belongs to the keys of one hash class.
type watchStripe struct {
	mu      sync.Mutex
	told    uint64             // the number of changes
	waiting map[string]*waiter // by key
}

// waiter is one or several who wait for a key to change.
type waiter struct {
	changed chan struct{} // closed then
	n       int
}

// watch lets the store of a site tell what changes in it, where it can. It must
// not be called with m.mu held, as the store may tell something at once.
func (m *Memo) watch(at *site) {
	if at == nil || !store.Supports[store.WatchStore](at.Store) {
		return
	}
	m.watchMu.Lock()
	defer m.watchMu.Unlock()
	if at.watch.Load() != nil {
		return
	}
	for _, w := range m.watchers {
		if same(w.store, at.Store) {
			at.watch.Store(w)
			return
		}
	}
	w := &watcher{memo: m, store: at.Store}
	if err := store.Watch(m.watching, at.Store, w); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			m.reportStore(m.watching, m.counters, "", "watch", err)
		}
		return
	}
	m.watchers = append(m.watchers, w)
	at.watch.Store(w)
}

// Invalidate implements store.Watcher.
func (w *watcher) Invalidate(keys ...string) {
	byPrefix := *w.memo.byPrefix.Load()
	for _, key := range keys {
		for _, f := range byPrefix[prefixOf(key)] {
			f.changed(key)
		}
		w.stripe(key).wake(key)
	}
}

// Flush implements store.Watcher.
func (w *watcher) Flush() {
	for _, list := range *w.memo.byPrefix.Load() {
		for _, f := range list {
			f.allChanged()
		}
	}
	for i := range w.stripes {
		w.stripes[i].wakeAll()
	}
}

// Proven implements store.Watcher. Nothing here is believed for longer because
// of it.
func (w *watcher) Proven(time.Time) {}

// index lets the watchers find a function by its keys. m.mu is held.
func (m *Memo) index(f function) {
	next := maps.Clone(*m.byPrefix.Load())
	prefix := f.prefix()
	next[prefix] = append(slices.Clone(next[prefix]), f)
	m.byPrefix.Store(&next)
}

// prefixOf returns what all keys of a function begin with, which has two
// colons; empty if key is of none.
func prefixOf(key string) string {
	first := strings.IndexByte(key, ':')
	second := strings.IndexByte(key[first+1:], ':')
	if first < 0 || second < 0 {
		return ""
	}
	return key[:first+second+2]
}

// seen returns how many changes were told of the stripe of key, to be given to
// wait.
func (w *watcher) seen(key string) uint64 {
	if w == nil {
		return 0
	}
	s := w.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// wait returns a channel that is closed when key may have changed since seen.
// Call stop afterwards. Without a watcher nothing tells.
func (w *watcher) wait(key string, seen uint64) (changed <-chan struct{}, stop func()) {
	if w == nil {
		return nil, func() {}
	}
	s := w.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told != seen {
		return closedChannel, func() {}
	}
	if s.waiting == nil {
		s.waiting = make(map[string]*waiter)
	}
	one := s.waiting[key]
	if one == nil {
		one = &waiter{changed: make(chan struct{})}
		s.waiting[key] = one
	}
	one.n++
	return one.changed, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if one.n--; one.n == 0 && s.waiting[key] == one {
			delete(s.waiting, key)
		}
	}
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (w *watcher) stripe(key string) *watchStripe {
	return &w.stripes[maphash.String(watchSeed, key)%uint64(len(w.stripes))]
}

var watchSeed = maphash.MakeSeed()

func (s *watchStripe) wake(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
	if one := s.waiting[key]; one != nil {
		close(one.changed)
		delete(s.waiting, key)
	}
}

func (s *watchStripe) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
	for _, one := range s.waiting {
		close(one.changed)
	}
	clear(s.waiting)
}

// prefix is what all keys of the function begin with.
func (f *Func[K, V]) prefix() string { return strings.TrimSuffix(f.generations.key, "#") }

// changed tells that key may have another value, or none.
func (f *Func[K, V]) changed(key string) {
	f.flights.Changed(key)
	if key == f.generations.key {
		f.generations.doubt()
	}
}

// allChanged tells that any key may have.
func (f *Func[K, V]) allChanged() {
	f.flights.ChangedAll()
	f.generations.doubt()
}
