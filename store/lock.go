package store

import (
	"context"
	"time"
)

// LockStore is a Store that has locks: of each key one, which one token holds
// at a time, until it is freed or its ttl is over. Package lock makes them
// usable; its documentation says what a lock of this kind can and cannot do.
//
// Locks are no entries: no other method sees one or ends it, Clear included,
// and the lock of a key says nothing about the entry under it.
//
// A token names one attempt to get a lock and is used for no other: 1 to 64
// bytes, such as those of rand.Text in crypto/rand. A bad token and a ttl that
// is not positive are ErrInvalid. All methods may be repeated with the same
// token if their answer was lost.
type LockStore interface {
	Store

	// TryLock takes the lock of key for ttl, unless another token holds it; it
	// does not wait. For the token that holds it already the ttl begins anew,
	// and the fence is the same.
	TryLock(ctx context.Context, key, token string, ttl time.Duration) (LockResult, error)

	// ExtendLock begins the ttl anew. It reports false, and changes nothing,
	// if token does not hold the lock any more.
	ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (extended bool, err error)

	// Unlock frees the lock. It reports false, and changes nothing, if token
	// does not hold it any more. An Unlock whose answer was lost has freed the
	// lock, so a second one reports false.
	Unlock(ctx context.Context, key, token string) (unlocked bool, err error)
}

// LockResult is the answer of TryLock.
type LockResult struct {
	Acquired bool

	// Fence is larger than that of everyone who has held the lock before, also
	// if the backend has lost its data since, as it is made from its clock
	// then. A resource that remembers the largest one it has seen can refuse
	// those who hold the lock no more and do not know it yet. It is 0 if the
	// lock was not acquired.
	Fence uint64

	// Remaining is how long the lock is held at most if it was not acquired:
	// by then it is freed, or extended. It is UnknownTTL if the backend cannot
	// tell.
	Remaining time.Duration
}

// WatchLockStore is a LockStore that tells when a lock is freed, so that those
// who wait for it need not ask again and again.
type WatchLockStore interface {
	LockStore

	// WatchLock returns a channel that receives when the lock of key may have
	// been freed, whoever has freed it, until ctx ends. It is never closed.
	// That a ttl is over need not be told. WatchLock returns at once: where a
	// connection is needed, that is made in the background, and the channel
	// receives when it is there, as also after a gap. So whoever calls
	// WatchLock first and TryLock then misses nothing.
	WatchLock(ctx context.Context, key string) (freed <-chan struct{}, err error)
}
