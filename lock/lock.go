package lock

import (
	"context"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

const (
	defaultTTL = 10 * time.Second
	minTTL     = 100 * time.Millisecond
	maxTTL     = 24 * time.Hour

	// pollEvery is how often who waits asks the store, beside what wakes him.
	pollEvery = time.Second
)

// Options are the choices for New and NewQuorum. The zero Options, and nil, are
// the defaults.
type Options struct {
	// TTL is for how long a lock is taken, and extended: so long it is held at
	// most after its holder has died. It is between 100 milliseconds and a day,
	// and should be several times the longest pause of a process and the
	// longest failover that work is to survive. 0 is 10 seconds.
	TTL time.Duration

	// NoRenewal lets each lease end a TTL after it was taken, unless it is
	// extended by hand. Otherwise it is extended every third of the TTL until
	// it is unlocked.
	NoRenewal bool

	// Trace is told what happens. It is copied.
	Trace *Trace
}

// Locker takes locks in one store. Its methods may be called concurrently. New
// and NewQuorum make it.
type Locker struct {
	backend backend
	watcher watcher // nil if the store does not tell of locks that are freed
	ttl     time.Duration
	renews  bool
	trace   Trace
	counts  counters

	calls   *group
	open    context.Context // ends when Close is called
	endOpen context.CancelFunc

	mu    sync.Mutex
	lines map[string]*line // by name: who waits here, and whether it is held here
}

// A watcher tells of locks that are freed, as store.WatchLockStore does.
type watcher interface {
	WatchLock(ctx context.Context, key string) (<-chan struct{}, error)
}

// New makes a Locker over s, which stays the caller's, to be closed after the
// Locker. A Store that has neither locks (store.LockStore) nor Add,
// CompareAndSwap and CompareAndDelete is an error matching
// errors.ErrUnsupported; Options that make no sense are ErrInvalid. Nothing is
// sent.
func New(s store.Store, o *Options) (*Locker, error) {
	const op = "lock"
	if s == nil {
		return nil, store.Errorf(op, "", store.ErrInvalid, "the store is nil; make one with an adapter, such as memory.New(nil)")
	}
	k, err := newLocker(o)
	if err != nil {
		return nil, err
	}
	n, err := nodeOf(s)
	if err != nil {
		return nil, err
	}
	k.backend = &single{node: n, undoer: k.undoer()}
	k.watcher = watcherOf(s)
	return k, nil
}

func newLocker(o *Options) (*Locker, error) {
	const op = "lock"
	if o == nil {
		o = &Options{}
	}
	ttl := o.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	if ttl < minTTL || ttl > maxTTL {
		return nil, store.Errorf(op, "", store.ErrInvalid,
			"a TTL of %v is not safe; set Options.TTL to %v at least, and %v at most, or leave it 0 for %v", ttl, minTTL, maxTTL, defaultTTL)
	}
	k := &Locker{ttl: ttl, renews: !o.NoRenewal, calls: newGroup(), lines: make(map[string]*line)}
	if o.Trace != nil {
		k.trace = *o.Trace
	}
	k.open, k.endOpen = context.WithCancel(context.Background())
	return k, nil
}

// validity is how long a lease is relied on: its ttl less 1 %, for clocks that
// do not run at the same speed, and 2 ms, for those that are coarse.
func validity(ttl time.Duration) time.Duration { return ttl - ttl/100 - 2*time.Millisecond }

// Close ends what waits, with an error matching store.ErrClosed, and waits until
// what goes on in the background has ended: attempts of unknown outcome that
// are being undone. That takes a TTL at most. If ctx ends first it is cut short,
// and the error matches ctx.Err(); what was not undone blocks its name until its
// ttl is over.
//
// Leases that are still held stay valid for the rest of their TTL, and are not
// renewed any more; Unlock works as before, but does not try a second time. Close
// may be called again. It does not close the store.
func (k *Locker) Close(ctx context.Context) error {
	const op = "close"
	if ctx == nil {
		return store.Errorf(op, "", store.ErrInvalid, "the context is nil; pass context.Background() where there is none")
	}
	idle := k.calls.close()
	k.endOpen()
	select {
	case <-idle:
		return nil
	default:
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		k.calls.abort()
		return store.Errorf(op, "", ctx.Err(), "attempts are still being undone: %w", ctx.Err())
	}
}

// begin is how each method that takes a lock begins. If there is no error,
// k.calls.leave is to be called at its end.
func (k *Locker) begin(ctx context.Context, op, name string) error {
	if err := store.Check(ctx, op, name); err != nil {
		return err
	}
	if !k.calls.enter() {
		return closed(op, name)
	}
	return nil
}

func closed(op, name string) error {
	return store.Errorf(op, name, store.ErrClosed, "the Locker is closed")
}
