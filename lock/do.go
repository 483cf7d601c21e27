package lock

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// unlockTimeout is how long those wait for an Unlock who have not said it.
const unlockTimeout = time.Second

// Do runs fn while the lock of name is held, for which it waits as
// [Locker.Lock] does. The context of fn ends with ctx, and with the lease; the
// fence is the lease's. Do unlocks when fn returns, or panics, and waits for
// that for a second at most.
//
// It returns the error of Lock, and fn is not called; or else the error of fn,
// joined with ErrLost if the lock was lost before fn had returned. That the lock
// could not be freed is no error: fn has run in time, and the lock is freed in
// the background. A nil l or fn is ErrInvalid.
func Do(ctx context.Context, l *Locker, name string, fn func(ctx context.Context, fence uint64) error) (err error) {
	if l == nil || fn == nil {
		return store.Errorf("do", name, store.ErrInvalid, "the Locker or the function is nil; make the one with New, and give Do what to run")
	}
	lease, err := l.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(lease.release(), ErrLost) && !errors.Is(err, ErrLost) {
			err = errors.Join(err, ErrLost)
		}
	}()
	within, cancel := lease.within(ctx)
	defer cancel()
	return fn(within, lease.Fence())
}

// within is the lease's Context that ends with ctx as well.
func (l *Lease) within(ctx context.Context) (context.Context, context.CancelFunc) {
	both, end := context.WithCancelCause(l.ctx)
	deadline, bounded := ctx.Deadline()
	stop := context.AfterFunc(ctx, func() {
		if !bounded || ctx.Err() != context.DeadlineExceeded { // which it gets from the deadline itself
			end(context.Cause(ctx))
		}
	})
	release := func() { stop(); end(context.Canceled) }
	if bounded {
		timed, cancel := context.WithDeadline(both, deadline)
		return &leaseContext{timed, l}, func() { cancel(); release() }
	}
	return &leaseContext{both, l}, release
}

// Acquire is Lock in the shape that memo.Options.Lock has. Release unlocks, and
// waits for that for a second at most. Who needs to know that the lock was lost
// uses Lock or Do. A store without locks of its own keeps a fence for each name,
// which does not expire.
func (k *Locker) Acquire(ctx context.Context, name string) (release func(), err error) {
	lease, err := k.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	return func() { _ = lease.release() }, nil
}

// release is Unlock whatever has become of the caller's context.
func (l *Lease) release() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), unlockTimeout)
	defer cancel()
	return l.Unlock(ctx)
}
