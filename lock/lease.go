package lock

import (
	"context"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// Lease is a lock that is held, until it is unlocked or lost. Its methods may be
// called concurrently.
type Lease struct {
	locker *Locker
	name   string
	token  string
	fence  uint64
	taken  time.Time
	ctx    context.Context
	cancel context.CancelCauseFunc

	calls sync.WaitGroup // extensions under way; begun only while cause is nil

	mu      sync.Mutex
	until   time.Time // by the monotonic clock
	cause   error     // why it has ended; nil while it is held
	expiry  *time.Timer
	renewal *time.Timer // nil without renewal
	failure error       // of the last renewal

	once   sync.Once
	result error // of Unlock
}

// newLease makes the lease of what was acquired by a request that was sent at
// sent.
func (k *Locker) newLease(ctx context.Context, name, token string, fence uint64, sent time.Time) *Lease {
	l := &Lease{locker: k, name: name, token: token, fence: fence, taken: time.Now(), until: sent.Add(validity(k.ttl))}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	k.counts.acquired.Add(1)
	k.counts.held.Add(1)
	k.took(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expiry = time.AfterFunc(time.Until(l.until), l.expire)
	if k.renews {
		l.renewal = time.AfterFunc(time.Until(sent.Add(k.ttl/3)), l.renew)
	}
	return l
}

// Context ends when the lease does, with the cause ErrReleased or ErrLost
// (context.Cause), and never later than the lock's TTL in the store, whatever
// the network does. Where the store loses the lock before, as by a restart
// without its data, it ends with the next renewal, and without renewals with the
// TTL. It has the values of the context that the lock was asked
// for with, but not its end: what is to end with both is best run by [Do].
func (l *Lease) Context() context.Context { return &leaseContext{l.ctx, l} }

// A leaseContext knows the time: in a process that has been paused it has ended
// at once, also if the timer that is to end it has not run yet.
type leaseContext struct {
	context.Context
	lease *Lease
}

func (c *leaseContext) Err() error {
	c.lease.over()
	return c.Context.Err()
}

// Fence is larger than that of everyone who has held the lock before. What the
// lock protects can so refuse those who hold it no more and do not know it yet,
// if it remembers the largest fence that it has seen.
func (l *Lease) Fence() uint64 { return l.fence }

// Validity is how long the lease may be relied on from now, if it is not extended.
// It is 0 when the lease has ended.
func (l *Lease) Validity() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return 0
	}
	return max(0, time.Until(l.until))
}

// Extend makes the TTL begin anew. It returns ErrLost, and the Context ends, if
// the lock is not held any more; and ErrReleased after Unlock. After any other
// error the lease is valid for as long as it was.
func (l *Lease) Extend(ctx context.Context) error {
	const op = "extendlock"
	if err := store.Check(ctx, op, l.name); err != nil {
		return err
	}
	err := l.extend(ctx)
	if err != nil && ctx.Err() == nil {
		if ended := l.ended(); ended != nil {
			return ended
		}
	}
	return err
}

// extend asks the store until ctx or the lease ends.
func (l *Lease) extend(ctx context.Context) error {
	if !l.beginCall() {
		return l.ended()
	}
	sent := time.Now()
	extended, err := l.ask(ctx)
	if err != nil {
		return err
	}
	if !extended {
		l.mu.Lock()
		l.failure = nil
		l.mu.Unlock()
		l.end(ErrLost)
		return l.ended()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	if until := sent.Add(validity(l.locker.ttl)); until.After(l.until) {
		l.until = until // for expire to find
	}
	l.failure = nil
	if l.renewal != nil {
		l.renewal.Reset(time.Until(sent.Add(l.locker.ttl / 3)))
	}
	return nil
}

// ask is the call of the store. It is over before Trace is told of a loss, so
// that who is told may wait for Unlock.
func (l *Lease) ask(ctx context.Context) (extended bool, err error) {
	defer l.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	return l.locker.backend.extendLock(ctx, l.name, l.token, l.locker.ttl)
}

// beginCall reports whether the lease is held. If it is, calls.Done is to be
// called.
func (l *Lease) beginCall() bool {
	l.over()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return false
	}
	l.calls.Add(1)
	return true
}

// renew extends the lease in the background, and is called by a timer.
func (l *Lease) renew() {
	k := l.locker
	if !k.calls.enter() {
		return // without renewals the lease ends when its validity does
	}
	defer k.calls.leave()
	// A quarter of the ttl leaves the time for a second try, if the answer to
	// the first one never comes.
	ctx, cancel := context.WithTimeout(l.ctx, k.ttl/4)
	defer cancel()
	defer context.AfterFunc(k.open, cancel)()
	err := l.extend(ctx)
	if err == nil {
		k.counts.renewals.Add(1)
		return
	}
	l.mu.Lock()
	held := l.cause == nil && k.open.Err() == nil
	if held {
		l.failure = err
		l.renewal.Reset(k.ttl / 20)
	}
	l.mu.Unlock()
	if held {
		k.counts.renewalErrors.Add(1)
		emit(l.ctx, k.trace.RenewFailed, RenewFailedInfo{l.name, err})
	}
}

// expire is called by a timer.
func (l *Lease) expire() {
	if l.over() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.expiry.Reset(time.Until(l.until)) // it was extended
	}
}

// over reports whether the lease has ended, and ends it if it is time to.
func (l *Lease) over() bool {
	l.end(nil)
	return l.ended() != nil
}

// ended is why the lease has ended, and nil if it has not.
func (l *Lease) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// end ends the lease for cause, unless it has ended before; if its validity is
// over, it is lost. A nil cause ends it only then. The store is not asked.
func (l *Lease) end(cause error) {
	k := l.locker
	l.mu.Lock()
	if !time.Now().Before(l.until) {
		cause = ErrLost
	}
	if l.cause != nil || cause == nil {
		l.mu.Unlock()
		return
	}
	l.cause = cause
	l.expiry.Stop()
	if l.renewal != nil {
		l.renewal.Stop()
	}
	l.mu.Unlock()
	l.cancel(cause)
	k.counts.held.Add(-1)
	if cause == ErrLost {
		l.lost()
	}
}

func (l *Lease) lost() {
	k := l.locker
	k.released(l.name)
	k.counts.lost.Add(1)
	l.mu.Lock()
	failure := l.failure
	l.mu.Unlock()
	emit(l.ctx, k.trace.Lost, LostInfo{l.name, time.Since(l.taken), failure})
}

// Unlock frees the lock, and ends the Context. It returns nil only if the lock
// was still held by this lease, and ErrLost otherwise: another may have held it
// meanwhile. When it returns, no renewal is under way, and none begins.
//
// After any other error, among them that of a ctx which has ended, it is not
// known whether the lease was lost before; the lock is freed in the background,
// which is tried for a TTL, unless the program ends: see Close. So in a defer
// pass context.WithoutCancel(ctx), or a context with a deadline of its own. A
// second Unlock does nothing and returns what the first has returned.
func (l *Lease) Unlock(ctx context.Context) error {
	const op = "unlock"
	if ctx == nil {
		return store.Check(ctx, op, l.name)
	}
	l.end(ErrReleased)
	var told func() // called after once, as Trace may call Unlock
	l.once.Do(func() { told, l.result = l.unlock(ctx) })
	if told != nil {
		told()
	}
	return l.result
}

func (l *Lease) unlock(ctx context.Context) (told func(), err error) {
	const op = "unlock"
	k := l.locker
	l.calls.Wait()
	if l.ended() == ErrLost {
		// An extension may have reached the store without an answer, or a
		// minority of a quorum may hold it still.
		k.backend.giveBack(l.name, l.token)
		return nil, ErrLost
	}
	// By then the lock has ended, and who waits here for it is not to wait longer.
	try, cancel := context.WithDeadline(ctx, l.until)
	defer cancel()
	unlocked, err := k.backend.unlock(try, l.name, l.token)
	switch {
	case err == nil && !unlocked:
		l.mu.Lock()
		l.failure = nil
		l.mu.Unlock()
		return l.lost, ErrLost
	case err != nil && ctx.Err() == nil && try.Err() != nil:
		err = k.late(op, l.name)
	}
	k.released(l.name)
	if err != nil {
		return nil, err
	}
	held := time.Since(l.taken)
	return func() { emit(l.ctx, k.trace.Released, ReleasedInfo{l.name, held}) }, nil
}
