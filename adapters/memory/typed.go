package memory

import (
	"iter"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// Typed is a bounded map in memory whose entries expire: the engine of a Store
// for programs that want no bytes, contexts or errors. Its methods may be called
// concurrently. NewTyped makes it.
//
// Values are handed out as they were given: what a V points to is shared by all
// who get it. A ttl is as in package store: [store.DefaultTTL], which is 0, is
// TypedOptions.TTL, and [store.Forever] is no expiry. An entry is there until
// its ttl has passed and gone at that instant, for every method; its memory is
// freed, and OnRemove called, about a tenth of a second later at most.
//
// Keys are told apart as those of a map are. So a key that is not equal to
// itself, such as a NaN, is never found again; its entry takes a place until it
// expires, is evicted, or Clear comes. And a K that is an interface, or has one
// in it, makes methods panic if what is in that cannot be compared.
//
// A Store has some things more: OnGet and OnSet, filters, snapshots, other
// options at run time, watchers, leases and locks. To load what is missing, once
// for all who ask for it, see package [github.com/cairncache/cairn/memo].
type Typed[K comparable, V any] struct {
	cache   *cache.Cache[K, typedValue[V]]
	options TypedOptions[K, V] // complete
	closed  atomic.Bool
	panics  atomic.Uint64 // of OnRemove
}

// A typedValue is a value and what it costs, so that a function of the user
// is never called under a lock, nor trusted to give the same cost again. It also
// gives each value that was written a place of its own, be it of size 0.
type typedValue[V any] struct {
	value V
	cost  int64
}

type typedEntry[V any] = cache.Entry[typedValue[V]]

// A typedRemoval is a value that OnRemove is to be told of.
type typedRemoval[K comparable, V any] = cache.Removal[K, typedValue[V]]

// NewTyped makes an empty Typed. Options that make no sense are
// store.ErrInvalid, and the error names the field.
//
// A Typed that is not used any more is collected without Close.
func NewTyped[K comparable, V any](o *TypedOptions[K, V]) (*Typed[K, V], error) {
	if o == nil {
		o = &TypedOptions[K, V]{}
	}
	t := &Typed[K, V]{options: *o}
	limits, err := t.options.complete("newtyped")
	if err != nil {
		return nil, err
	}
	options := cache.Options[K, typedValue[V]]{
		Limits: limits,
		Size:   func(_ K, v *typedValue[V]) int64 { return v.cost },
	}
	if o.OnRemove != nil {
		options.Hooks = func(Cause) any { return t }
		options.Removed = t.tell
	}
	t.cache = cache.New(options)
	return t, nil
}

// Get returns the value of key. It counts as a use of the entry for the policy,
// and as a hit or a miss. It does not allocate.
func (t *Typed[K, V]) Get(key K) (value V, found bool) {
	e, ok := t.cache.Get(key)
	if !ok || t.expired(e) {
		t.cache.Miss()
		return value, false
	}
	t.cache.Hit()
	return e.Value.value, true
}

// Peek is Get, but counts neither as a use nor as a hit.
func (t *Typed[K, V]) Peek(key K) (value V, found bool) {
	e, ok := t.cache.Peek(key)
	if !ok || t.expired(e) {
		return value, false
	}
	return e.Value.value, true
}

// Has reports whether there is an entry of key. It counts neither as a use nor
// as a hit.
func (t *Typed[K, V]) Has(key K) bool {
	e, ok := t.cache.Peek(key)
	return ok && !t.expired(e)
}

// TTL is how long the entry of key still has, store.Forever if it does not
// expire. It counts neither as a use nor as a hit.
func (t *Typed[K, V]) TTL(key K) (ttl time.Duration, found bool) {
	e, ok := t.cache.Peek(key)
	if !ok {
		return 0, false
	}
	if e.Deadline == cache.Never {
		return store.Forever, true
	}
	left := time.Duration(e.Deadline - t.cache.Now())
	return max(0, left), left > 0
}

// Set stores value for TypedOptions.TTL (SetTTL has a ttl of its own), in place
// of what there was. A value that costs more than MaxCost by itself is not
// stored, and what the key had is deleted.
func (t *Typed[K, V]) Set(key K, value V) { t.SetTTL(key, value, store.DefaultTTL) }

// SetTTL is Set with a ttl of its own. A negative ttl has passed already: value
// is not stored, and what the key had is deleted.
func (t *Typed[K, V]) SetTTL(key K, value V, ttl time.Duration) {
	v := &typedValue[V]{value, t.cost(key, value)}
	if !t.stores(v, ttl) {
		t.Delete(key)
		return
	}
	t.set(key, v, ttl, true)
}

// GetOrSet returns the value of key if there is one, as Get does, and otherwise
// sets value and returns that, also if it costs too much to be stored. Of
// several calls at the same time one sets.
func (t *Typed[K, V]) GetOrSet(key K, value V) (actual V, found bool) {
	if e, ok := t.cache.Get(key); ok && !t.expired(e) {
		t.cache.Hit()
		return e.Value.value, true
	}
	v := &typedValue[V]{value, t.cost(key, value)}
	if t.stores(v, store.DefaultTTL) {
		if old := t.set(key, v, store.DefaultTTL, false); old != nil {
			t.cache.Get(key) // for the policy
			t.cache.Hit()
			return old.value, true
		}
	}
	t.cache.Miss()
	return value, false
}

// Touch gives the entry of key another ttl, counted from now, and reports
// whether there is one. A negative ttl deletes it. It is no use of the entry.
func (t *Typed[K, V]) Touch(key K, ttl time.Duration) bool {
	if ttl < 0 {
		return t.Delete(key)
	}
	slot, old := t.lock(key)
	if old != nil {
		slot.Renew(t.deadline(ttl))
	}
	t.tell(slot.Unlock())
	return old != nil
}

// Delete removes the entry of key, and reports whether there was one.
func (t *Typed[K, V]) Delete(key K) bool {
	slot, old := t.lock(key)
	slot.Remove(Deleted)
	t.tell(slot.Unlock())
	return old != nil
}

// Clear removes all entries that are there when it begins.
func (t *Typed[K, V]) Clear() {
	t.cache.Clear()
}

// Len is the number of entries.
func (t *Typed[K, V]) Len() int {
	return t.cache.Len()
}

// All yields the entries that are there when their turn comes: for the policies
// other than TinyLFU and Random in the order in which they would have been
// evicted when it was called. It counts neither as a use nor as a hit. The loop
// may use the Typed. maps.Collect makes a copy of it.
func (t *Typed[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for key, e := range t.cache.All() {
			if !t.expired(e) && !yield(key, e.Value.value) {
				return
			}
		}
	}
}

// Pop removes the entry that would be evicted next, and returns it. It reports
// false if there is none.
func (t *Typed[K, V]) Pop() (key K, value V, ok bool) {
	key, e, ok := t.cache.Pop()
	if ok {
		value = e.Value.value
	}
	return key, value, ok
}

// Full is whether another entry evicts one, however little it costs.
func (t *Typed[K, V]) Full() bool {
	return t.cache.Full(0)
}

// DeleteExpired removes the entries that have expired, as the Typed does by
// itself a tenth of a second later, and returns how many there were.
func (t *Typed[K, V]) DeleteExpired() (expired int) {
	return t.cache.Expire()
}

// Evict evicts n entries in the order of the policy, and returns how many there
// were to evict. What has expired goes first, and counts.
func (t *Typed[K, V]) Evict(n int) (evicted int) {
	return t.cache.Evict(n)
}

// Resize changes MaxEntries, and evicts before it returns what there is no room
// for any more. Less than 1 is store.ErrInvalid, and changes nothing.
func (t *Typed[K, V]) Resize(maxEntries int) error {
	if maxEntries < 1 {
		return store.Errorf("resize", "", store.ErrInvalid, "the size is %d; it must be 1 or more", maxEntries)
	}
	t.tell(t.cache.Reconfigure(cache.Limits{Entries: int64(maxEntries), Bytes: t.options.MaxCost, Policy: t.options.Policy}, nil))
	return nil
}

// Close drops all entries and stops the timer. The Typed stays empty: it may
// still be used, but stores nothing any more.
func (t *Typed[K, V]) Close() {
	if !t.closed.Swap(true) {
		t.cache.Close()
	}
}

func (t *Typed[K, V]) cost(key K, value V) int64 {
	if t.options.Cost == nil {
		return 0
	}
	return max(0, t.options.Cost(key, value))
}

// stores is whether v may be stored at all.
func (t *Typed[K, V]) stores(v *typedValue[V], ttl time.Duration) bool {
	return ttl >= 0 && v.cost <= t.options.MaxCost
}

func (t *Typed[K, V]) expired(e typedEntry[V]) bool {
	return e.Deadline != cache.Never && e.Deadline <= t.cache.Now()
}

// deadline is ttl from now.
func (t *Typed[K, V]) deadline(ttl time.Duration) int64 {
	if ttl == store.DefaultTTL {
		ttl = t.options.TTL
	}
	if ttl == store.Forever {
		return cache.Never
	}
	return t.cache.After(ttl)
}

// lock locks the slot of key. It removes what has expired there, and returns
// what has not, or nil.
func (t *Typed[K, V]) lock(key K) (cache.Slot[K, typedValue[V]], *typedValue[V]) {
	slot := t.cache.Lock(key)
	e, ok := slot.Entry()
	if ok && t.expired(e) {
		slot.Remove(Expired)
		e.Value = nil
	}
	return slot, e.Value
}

// set makes v the value of key. If it is not to replace another, it returns
// that, if there is one.
func (t *Typed[K, V]) set(key K, v *typedValue[V], ttl time.Duration, replace bool) (old *typedValue[V]) {
	for {
		old, removed, done := t.trySet(key, v, ttl, replace)
		t.tell(removed)
		if done {
			return old
		}
		t.cache.EvictOther(key)
	}
}

// trySet reports false as Slot.Put does. It looks at closed under the lock, so
// that Close finds every entry there is.
func (t *Typed[K, V]) trySet(key K, v *typedValue[V], ttl time.Duration, replace bool) (old *typedValue[V], removed []typedRemoval[K, V], done bool) {
	slot := t.cache.LockToPut(key)
	defer func() { removed = slot.Unlock() }()
	if t.closed.Load() {
		return nil, nil, true
	}
	befalls := Replaced
	if e, ok := slot.Entry(); ok && t.expired(e) {
		befalls = Expired
	} else if ok && !replace {
		return e.Value, nil, true
	}
	return nil, nil, slot.Put(typedEntry[V]{Value: v, Deadline: t.deadline(ttl)}, befalls)
}

// tell tells OnRemove what one call has removed.
func (t *Typed[K, V]) tell(removed []typedRemoval[K, V]) {
	if len(removed) == 0 {
		return
	}
	defer func() {
		if len(removed) > 0 { // OnRemove has ended the goroutine
			go t.tell(removed)
		}
	}()
	for len(removed) > 0 {
		one := removed[0]
		removed[0] = typedRemoval[K, V]{} // or it stays in memory until all are told
		removed = removed[1:]
		t.onRemove(one)
	}
}

func (t *Typed[K, V]) onRemove(r typedRemoval[K, V]) {
	defer func() {
		if recover() != nil {
			t.panics.Add(1)
		}
	}()
	t.options.OnRemove(r.Key, r.Value.value, r.Cause)
}
