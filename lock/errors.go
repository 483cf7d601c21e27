package lock

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrHeld is a lock that another holds: the answer of TryLock, which is a
	// *HeldError, and of Lock when its context ended while it waited.
	ErrHeld = errors.New("lock: held by another")

	// ErrLost is a lease that has ended although nobody has unlocked it: it
	// could not be renewed in time, or the store has it no more. Another may
	// hold the lock since.
	ErrLost = errors.New("lock: lost; another may hold it since")

	// ErrReleased is the end of a lease by Unlock.
	ErrReleased = errors.New("lock: released")
)

// HeldError is the answer of TryLock where another holds the lock.
type HeldError struct {
	Name string

	// RetryAfter is how long the lock is held at most, unless the holder
	// extends it, as most do, or unlocks it before. It is one second where the
	// store cannot tell.
	RetryAfter time.Duration
}

// Error says which lock, and for how long it is held.
func (e *HeldError) Error() string {
	return fmt.Sprintf("lock: %q is held by another, for %v more unless that changes", e.Name, e.RetryAfter)
}

// Is reports whether target is ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }
