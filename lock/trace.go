package lock

import (
	"context"
	"time"
)

// Trace is a set of functions that are told what happens in a Locker. Any of
// them may be nil. They may be called concurrently, are called while no mutex
// of the Locker is held, and delay the call that they are called for. A panic in
// one of them is dropped. The context has the values of the one that the lock
// was asked for with. None may wait for Close of the Locker. Lost may be called by
// the Err method of a lease's Context, in the goroutine that calls it.
type Trace struct {
	// Acquired is called when a lock was acquired.
	Acquired func(context.Context, AcquiredInfo)

	// Released is called when a lease was unlocked in time.
	Released func(context.Context, ReleasedInfo)

	// Lost is called when a lease is lost, after its Context has ended. An
	// Unlock that finds it lost calls it too.
	Lost func(context.Context, LostInfo)

	// RenewFailed is called when the store did not renew a lease. It is tried
	// again while the lease is valid.
	RenewFailed func(context.Context, RenewFailedInfo)

	// Undone is called when a lock has been freed in the background, or when
	// that was given up: one of an attempt of unknown outcome, or one whose
	// Unlock was not answered. With a quorum that is once for each of its
	// stores. The context has no values.
	Undone func(context.Context, UndoneInfo)
}

// AcquiredInfo is a lock that was acquired.
type AcquiredInfo struct {
	Name   string
	Fence  uint64
	Waited time.Duration // since it was asked for
}

// ReleasedInfo is a lease that was unlocked.
type ReleasedInfo struct {
	Name string
	Held time.Duration // since it was acquired
}

// LostInfo is a lease that was lost.
type LostInfo struct {
	Name string
	Held time.Duration // since it was acquired
	Err  error         // of the last renewal, if that failed; nil if the store has answered that the lock is gone, or none was tried in time, as the process was paused
}

// RenewFailedInfo is a renewal that failed.
type RenewFailedInfo struct {
	Name string
	Err  error
}

// UndoneInfo is a lock that has been freed in the background.
type UndoneInfo struct {
	Name string
	Err  error // nil unless it was given up: the store then has the lock until the ttl is over, if it was taken at all
}

// emit calls a hook.
func emit[T any](ctx context.Context, hook func(context.Context, T), info T) {
	if hook == nil {
		return
	}
	defer func() { _ = recover() }()
	hook(ctx, info)
}

func (k *Locker) undone(name string, err error) {
	emit(context.Background(), k.trace.Undone, UndoneInfo{name, err})
}
