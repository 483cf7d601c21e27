// Package memory is a store in the memory of the process: bounded, concurrent,
// and exact about time. Entries are live: what [Store.SetLive] is given,
// [Store.GetLive] hands out, with no copy and no encoding in between.
//
// What goes when it is full is chosen by a [Policy]. [TinyLFU], the default,
// keeps what is used often and recently, and a scan over many keys does not
// flush it.
//
// [Typed] is the same for programs that want a map: keys and values of any type,
// and no bytes, contexts or errors.
//
// Importing the package registers the scheme memory for [store.Open]:
//
//	memory:?max_entries=10000&ttl=5m
//	memory:?max_bytes=64MiB&policy=lru&prefix=app:
//
// The policies are tinylfu, lru, mru, lfu, fifo, lifo and random. What Open
// returns is a *[Store] or, with a prefix, a view of one that Unwrap returns.
package memory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// Store is a bounded store in memory. It has every ability of package store
// but Ping, and its methods may be called concurrently. New makes it.
//
// Time is that of the monotonic clock, to the nanosecond: an entry is readable
// until its ttl has passed and gone at that instant. Its memory is freed, and
// OnRemove called, about a tenth of a second later at most, whether anybody
// reads it or not.
//
// A key is kept as it is given: one that was cut out of a large string keeps
// that in memory.
type Store struct {
	cache    *cache.Cache[string, store.Live]
	options  atomic.Pointer[Options] // complete
	changing sync.Mutex              // held to change options
	closed   atomic.Bool

	leases   leases
	locks    locks
	watching watching
	panics   atomic.Uint64 // of hooks and watchers
}

var (
	_ store.GetManyStore          = (*Store)(nil)
	_ store.SetManyStore          = (*Store)(nil)
	_ store.DeleteManyStore       = (*Store)(nil)
	_ store.GetWithTTLStore       = (*Store)(nil)
	_ store.GetManyWithTTLStore   = (*Store)(nil)
	_ store.AddStore              = (*Store)(nil)
	_ store.CompareAndSwapStore   = (*Store)(nil)
	_ store.CompareAndDeleteStore = (*Store)(nil)
	_ store.TouchStore            = (*Store)(nil)
	_ store.KeysStore             = (*Store)(nil)
	_ store.ClearStore            = (*Store)(nil)
	_ store.LiveAtStore           = (*Store)(nil)
	_ store.LeaseStore            = (*Store)(nil)
	_ store.WatchStore            = (*Store)(nil)
)

// New makes an empty Store. Options that make no sense are ErrInvalid, and the
// error names the field.
//
// A Store that is not used any more is collected without Close: it has no
// goroutine of its own, and its timers do not keep it alive.
func New(o *Options) (*Store, error) {
	complete, err := o.complete("new")
	if err != nil {
		return nil, err
	}
	s := new(Store)
	s.options.Store(complete)
	s.cache = cache.New(cache.Options[string, store.Live]{
		Limits:  complete.limits(),
		Size:    size,
		Hooks:   s.hooks,
		Removed: s.tellRemoved,
	})
	s.initLeases()
	return s, nil
}

// Close drops all entries, leases, locks and watchers, and tells nobody but
// those who wait for a lock. Every later call is ErrClosed, but a second Close
// does nothing and returns nil. A call that is under way may still succeed.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.leases.close()
		s.locks.close()
		s.watching.close()
		s.cache.Close()
	}
	return nil
}

// check is how each method begins, but for the reads that count. That a Store
// which is closed meanwhile stays empty is up to change.
func (s *Store) check(ctx context.Context, op string, keys ...string) error {
	if err := store.Check(ctx, op, keys...); err != nil {
		return err
	}
	if !s.closed.Load() {
		return nil
	}
	if len(keys) == 1 {
		return errClosed(op, keys[0])
	}
	return errClosed(op, "")
}

func (s *Store) checkWrite(ctx context.Context, op, key string, ttl time.Duration) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return store.CheckTTL(op, key, ttl)
}

func errClosed(op, key string) error {
	return store.Errorf(op, key, store.ErrClosed, "%w", store.ErrClosed)
}
