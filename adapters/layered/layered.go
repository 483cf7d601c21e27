// Package layered puts a near store, L1, before a far one, L2: memory before
// Redis, for example. L2 is the truth. L1 is filled by reads, and answers what
// has been read before as long as that can be vouched for.
//
//	near, err := memory.New(&memory.Options{MaxEntries: 10_000})
//	…
//	s, err := layered.New(near, far, &layered.Options{Coherence: layered.Watch(time.Second)})
//
// By URL it is the layers with a | between them, nearest first, and before
// them, if wanted, the options, which hold for all levels:
//
//	memory:?max_entries=10000 | redis://localhost:6379/0?prefix=app:
//	layered:?watch=2s&timeout=200ms&degraded=serve:10s&max_ttl=1m | memory: | redis://localhost:6379/0
//	layered:?bounded=5s | memory: | memcache://localhost:11211
//
// They are watch, which is 1s unless stated, or bounded; timeout; max_ttl; and
// degraded, which is fail, miss or serve: and a length of time. The ttl of a near
// layer bounds what that layer holds. The package is imported for this, if for
// nothing else, beside those of the layers.
//
// Redis proves four times in its own WatchDelta (watch_delta in its URL, one
// second unless stated) that it has told of all changes. With a Watch that is
// not well above a quarter of that, L1 hardly ever answers.
//
// More than two levels are stores of which one is the L2 of the next.
//
// # What is promised
//
// Of values that are read through one Store:
//
//   - After Set or Delete has returned nil, no later Get answers an older value.
//   - What L1 answers was L2's value at most delta ago, or max with Bounded,
//     whatever becomes of messages and connections meanwhile.
//   - The values of a key never go back in time, while L2 keeps what it has
//     acknowledged.
//   - What was read before a Set or Delete completed is not in L1 afterwards.
//   - An entry does not live longer than it does in L2. The exception is one
//     whose time to live L2 cannot tell, by at most Options.UnknownTTL.
//
// Not promised: an order among the changes of several processes that is finer
// than delta; and writes that L2 has acknowledged and then lost.
package layered

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

const (
	defaultTimeout    = 500 * time.Millisecond
	defaultUnknownTTL = time.Second
	defaultJitter     = 0.1
)

// Options are the choices for New.
type Options struct {
	// Coherence says how L1 is kept true: Watch or Bounded. There is no
	// default, as both have a price.
	Coherence Coherence

	// MaxTTL is how long an entry stays in L1 at most. 0 is no bound of its
	// own with Watch, and the max of Bounded with that, which it cannot exceed.
	MaxTTL time.Duration

	// Jitter shortens MaxTTL, and the max of Bounded, for each entry by a part
	// that is drawn at random up to this fraction, so that what was filled at
	// once does not all expire at once. It is less than 1; 0 is 0.1.
	Jitter float64

	// UnknownTTL is how long an entry whose time to live L2 cannot tell stays
	// in L1 at most. 0 is one second.
	UnknownTTL time.Duration

	// Timeout bounds each call to L2. 0 is 500 ms. A context with a nearer
	// deadline ends the call before. After five failures in a row L2 is not
	// asked for 100 ms, and then by one call alone, as a probe: each probe that
	// fails doubles the pause, up to 4 s and a random quarter more, and any
	// answer ends it.
	//
	// Where L2 is itself a *Store, Timeout does nothing: that bounds its own
	// calls, with its own Timeout, and its L1 answers whatever is beyond.
	Timeout time.Duration

	// Degraded says what reads do while L2 does not answer. The zero value
	// fails them.
	Degraded Degraded
}

// Coherence is how L1 is kept true. Watch and Bounded make it.
type Coherence struct {
	kind coherenceKind
	d    time.Duration // delta or max
}

type coherenceKind uint8

const (
	unstated coherenceKind = iota
	watched
	bounded
)

// Watch has L2 tell of changes, and L1 serve only as long as it is proved that
// all changes up to delta ago have been told. One second suits most. While
// that is not proved, reads go to L2. L2 has to be a store.WatchStore.
func Watch(delta time.Duration) Coherence { return Coherence{watched, delta} }

// Bounded keeps nothing in L1 for longer than max, which is then how old an
// answer can be. It suits every L2.
func Bounded(max time.Duration) Coherence { return Coherence{bounded, max} }

// Store is L1 before L2. New makes it. It has the abilities of L2, and that of
// live values; its methods may be called concurrently.
//
// Everything but reads of Get, GetMany, GetLive and GetLiveAt that find their
// key in L1 goes to L2.
type Store struct {
	l1, l2  store.Store
	l1At    store.LiveAtStore // L1; nil if it has no such method
	live    bool              // L2 hands out entries itself
	manyTTL bool              // L2 is a store.GetManyWithTTLStore
	nested  *Store            // L2, if it is one
	maxTTL  time.Duration     // of an entry in L1, before jitter; Forever if there is none
	jitter  float64
	unknown time.Duration
	watches bool

	fence    fence
	epochs   epochs
	counts   counters
	guard    *guard
	deletes  deletes
	degraded Degraded
	watchers watchers
	hearing  sync.Mutex // held while what L2 tells is applied to L1

	mu       sync.Mutex // held while L1 is repaired
	repaired time.Time  // when that was last tried

	closed atomic.Bool
	stop   context.CancelFunc
	owns   bool // Close closes both layers
	off    switches
}

// switches turn off one mechanism each, so that tests can show that it is
// needed. Nothing but tests sets them.
type switches struct {
	epoch, forget, flush atomic.Bool
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
	_ store.PingStore             = (*Store)(nil)
	_ store.LeaseStore            = (*Store)(nil)
	_ store.WatchStore            = (*Store)(nil)
)

// New puts l1 before l2. It clears l1 if it is to be watched, as nobody knows
// what has changed before. l1 is then the Store's own: it has to be in the
// process, as it is called with a lock held; what it calls in return, such as
// an OnRemove of package memory, must not use the Store; and it needs
// store.ClearStore or store.KeysStore.
//
// Both layers remain the caller's. Close does not close them, and they must not
// be closed before. A Store with Watch lives until it is closed.
//
// Options that make no sense are ErrInvalid, and so are a Coherence that is
// not stated and Watch over an l2 that tells of no changes.
func New(l1, l2 store.Store, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if problem := o.problem(l1, l2); problem != "" {
		return nil, invalid("%s", problem)
	}
	s := &Store{
		l1: l1, l2: l2,
		live:     store.Supports[store.LiveStore](l2),
		manyTTL:  store.Supports[store.GetManyWithTTLStore](l2),
		maxTTL:   positive(o.MaxTTL, store.Forever),
		jitter:   o.Jitter,
		unknown:  positive(o.UnknownTTL, defaultUnknownTTL),
		watches:  o.Coherence.kind == watched,
		guard:    newGuard(positive(o.Timeout, defaultTimeout)),
		degraded: o.Degraded,
		stop:     func() {},
	}
	s.l1At, _ = l1.(store.LiveAtStore)
	s.nested, _ = l2.(*Store)
	s.guard.direct = s.nested != nil
	if s.jitter == 0 {
		s.jitter = defaultJitter
	}
	s.epochs.init()
	s.deletes.del = s.removeLater
	s.fence.init(o.Coherence.d)
	if s.watches {
		ctx, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		if err := store.Watch(ctx, l2, events{s}); err != nil {
			s.Close()
			return nil, invalid("Coherence: Watch(%v): %w; write layered.Bounded(max) to bound staleness by time alone", o.Coherence.d, err)
		}
	} else {
		s.maxTTL = min(s.maxTTL, o.Coherence.d)
		s.fence.prove(store.AlwaysProven)
	}
	// What L1 holds may be older than any bound. It is cleared when nothing
	// but this can be refused any more.
	if err := store.Clear(context.Background(), l1); err != nil {
		s.Close()
		return nil, invalid("L1 cannot be cleared: %w", err)
	}
	return s, nil
}

func invalid(format string, args ...any) error {
	return store.Errorf("new", "", store.ErrInvalid, format, args...)
}

// positive returns d, or instead of 0 the default.
func positive(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return d
}

// same reports whether two stores are known to be the same one.
func same(a, b store.Store) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && a == b
}

func (o *Options) problem(l1, l2 store.Store) string {
	c := o.Coherence
	delta := c.d
	if c.kind != watched {
		delta = 0
	}
	switch {
	case l1 == nil || l2 == nil:
		return "a layer is nil; give the near store first, then the far one"
	case same(l1, l2):
		return "both layers are the same store"
	case !store.Supports[store.LiveStore](l1):
		return fmt.Sprintf("L1 is a %T, which does not keep its entries in the process and would be cleared; the near store comes first, as in New(memory, redis, …)", l1)
	case !store.Supports[store.ClearStore](l1) && !store.Supports[store.KeysStore](l1):
		return "L1 can neither be cleared nor list its keys, so it cannot be flushed; memory can"
	case c.kind == unstated:
		return "Coherence is not stated; write layered.Watch(time.Second) if L2 tells of changes, as Redis does, or layered.Bounded(max) to keep nothing in L1 for longer than max"
	case c.d <= 0:
		return fmt.Sprintf("Coherence: the duration is not positive, but %v; write time.Second, for example", c.d)
	case o.MaxTTL < 0:
		return "MaxTTL is negative; leave it 0 for no bound but that of Coherence"
	case o.Jitter < 0 || !(o.Jitter < 1):
		return "Jitter is not a fraction between 0 and 1; write 0.1 for 10 %"
	case o.UnknownTTL < 0:
		return "UnknownTTL is negative; leave it 0 for one second"
	case o.Timeout < 0:
		return "Timeout is negative; leave it 0 for 500ms"
	}
	return o.Degraded.problem(delta)
}

// Close ends the watching and everything that runs in the background, and
// waits for it, for calls of L2 that were left behind no longer than
// Options.Timeout. Nothing touches L1 afterwards but methods that were called
// before. Every later call is ErrClosed, but a second Close does nothing and
// returns nil.
//
// A Watcher may call Close, but not of a Store that was opened by URL: that
// closes L2 too, which may wait for the Watcher.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.fence.close()
	s.stop()
	s.hear(func() {}) // wait
	s.watchers.close()
	s.deletes.close()
	s.guard.close()
	if !s.owns {
		return nil
	}
	return errors.Join(store.Close(s.l1), store.Close(s.l2))
}

// check is how each method begins that has not found its answer in L1.
func (s *Store) check(ctx context.Context, op string, keys ...string) error {
	if err := store.Check(ctx, op, keys...); err != nil {
		return err
	}
	if !s.closed.Load() {
		return nil
	}
	key := ""
	if len(keys) == 1 {
		key = keys[0]
	}
	return store.Errorf(op, key, store.ErrClosed, "%w", store.ErrClosed)
}

// named gives an error of L2 the name of the method that the caller knows.
func named(op string, err error) error {
	if e, ok := err.(*store.Error); ok && e.Op != op {
		return &store.Error{Op: op, Key: e.Key, Err: e.Err}
	}
	return err
}
