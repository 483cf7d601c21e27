// Package memory is a store in the memory of the process: bounded, concurrent,
// and exact about time. Entries are live: what [Store.SetLive] is given,
// [Store.GetLive] hands out, with no copy and no encoding in between.
//
// Eviction is TinyLFU, by the library otter: it keeps what is used often and
// recently, and a scan over many keys does not flush it.
//
// Importing the package registers the scheme memory for [store.Open]:
//
//	memory:?max_entries=10000&ttl=5m
//	memory:?max_bytes=64MiB&prefix=app:
package memory

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/maypok86/otter/v2"
)

const defaultMaxEntries = 100_000

// Options are the choices for New. The zero Options, and nil, are the
// defaults.
type Options struct {
	// MaxEntries is how many entries the Store holds. A write that makes it
	// one more evicts the entry that is least likely to be used again, which
	// may be the one just written. While writes overlap there may be an eighth
	// more, beside what they are about to add; when the last one returns the
	// bound holds.
	//
	// 0 is 100,000, unless MaxBytes is set: a cache that nobody has sized must
	// not grow for ever. math.MaxInt is no bound.
	MaxEntries int

	// MaxBytes bounds the memory that entries take, as MaxEntries bounds their
	// number: the bytes of key and value, and 200 for each entry. What readers
	// decode from the bytes is not counted. An entry that is larger by itself,
	// or has 4 GiB, is ErrTooLarge.
	//
	// SetLive then encodes the value at once, in order to know its size;
	// without MaxBytes it never does. 0 is no bound in bytes. Only one of
	// MaxEntries and MaxBytes can be set.
	MaxBytes int64

	// TTL is what store.DefaultTTL stands for. 0 is store.Forever.
	TTL time.Duration

	// OnRemove, if not nil, is called once for each value that leaves the
	// Store, with the value, shared and read-only, and the cause. It is called
	// after the removal and outside all locks, mostly by the goroutine whose
	// call has removed the entry and before that call returns, so it should be
	// quick. It may use the Store. Several goroutines may call it at once. A
	// panic in it ends that one call of it, and is counted in Stats. Close
	// does not report what it drops.
	OnRemove func(key string, l *store.Live, cause Cause)
}

// Store is a bounded store in memory. It has every ability of package store
// but Ping, and its methods may be called concurrently. New makes it.
//
// Time is that of the monotonic clock, to the nanosecond: an entry is readable
// until its ttl has passed and gone at that instant. Its memory is freed, and
// OnRemove called, about a tenth of a second later at most, whether anybody
// reads it or not.
type Store struct {
	cache    *otter.Cache[string, entry]
	ttl      time.Duration // never DefaultTTL
	closed   atomic.Bool
	onRemove func(key string, l *store.Live, cause Cause)

	bound    bound
	expiry   expiry
	leases   leases
	locks    locks
	watching watching
	reports  reports
	counts   counters
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
// goroutine of its own, and its timer does not keep it alive.
func New(o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if problem := o.problem(); problem != "" {
		return nil, store.Errorf("new", "", store.ErrInvalid, "%s", problem)
	}
	s := &Store{ttl: o.TTL, onRemove: o.OnRemove}
	if s.ttl == store.DefaultTTL {
		s.ttl = store.Forever
	}
	s.expiry.init(s)
	s.leases.expiry = &s.expiry
	settings := &otter.Options[string, entry]{Executor: s.maintain, OnAtomicDeletion: s.evicted}
	switch {
	case o.MaxBytes > 0:
		s.bound.maxBytes = o.MaxBytes
		settings.MaximumWeight = uint64(o.MaxBytes)
		settings.Weigher = func(key string, e entry) uint32 { return uint32(e.size(key)) }
	case o.MaxEntries > 0:
		settings.MaximumSize = o.MaxEntries
	default:
		settings.MaximumSize = defaultMaxEntries
	}
	s.bound.maxEntries = int64(settings.MaximumSize)
	cache, err := otter.New(settings)
	if err != nil {
		return nil, store.Errorf("new", "", store.ErrInvalid, "%w", err)
	}
	s.cache = cache
	return s, nil
}

func (o *Options) problem() string {
	switch {
	case o.MaxEntries < 0:
		return "MaxEntries is negative; leave it 0 for the default, or set math.MaxInt for no bound"
	case o.MaxBytes < 0:
		return "MaxBytes is negative; leave it 0 for no bound in bytes"
	case o.MaxEntries > 0 && o.MaxBytes > 0:
		return "MaxEntries and MaxBytes are both set; set the one that matters more"
	case o.TTL < 0:
		return "TTL is negative; leave it 0 for entries without expiry"
	}
	return ""
}

// Close drops all entries, leases, locks and watchers, and tells nobody but
// those who wait for a lock. Every later call is ErrClosed, but a second Close
// does nothing and returns nil. A call that is under way may still succeed.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.expiry.stop()
		s.leases.close()
		s.locks.close()
		s.watching.close()
		s.cache.InvalidateAll()
		s.bound.entries.Store(0)
		s.bound.bytes.Store(0)
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
