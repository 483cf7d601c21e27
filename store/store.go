// Package store is the contract between caches and the code that uses them.
//
// [Store] is the least that a backend must provide: four methods over keys
// and bytes. Everything else that a backend may be able to do is an extension
// interface of one method, such as [GetManyStore] or [AddStore], and each has
// a function of the method's name, such as [GetMany] or [Add], that works on
// every Store and says in its comment what happens when the ability is
// missing. Call the functions, not the methods: a type assertion on a Store
// does not see through wrappers, [Supports] does.
//
// A backend is proved with package conformance. [Open] makes a Store from a
// URL; adapters register their schemes when they are imported.
package store

import (
	"context"
	"io"
	"math"
	"time"
)

// Store is a cache: it keeps values under keys until they expire, are deleted,
// or are evicted because the backend needs the room.
//
// It is the minimum. An implementation may provide more abilities by the
// extension interfaces of this package, and is tested by package conformance.
// It keeps these rules in every method:
//
//   - A key is any non-empty string of any bytes, at most [MaxKeyLen] long.
//     Another one is an error matching [ErrInvalid], before anything is sent.
//     A backend that takes less maps keys one to one.
//   - A method called with a done context does nothing and returns an error
//     matching ctx.Err(). A method whose context ends while it waits returns
//     promptly with such an error; whether a write then happened is unknown.
//     A nil context is ErrInvalid. The context is not kept.
//   - An error that is not a miss is an [*Error]. One that the backend is to
//     blame for (network, time-out, refusal) matches [ErrUnavailable], and
//     none but a miss matches [ErrNotFound].
//   - Methods may be called concurrently.
//   - A Store may implement io.Closer. After Close every method returns an
//     error matching [ErrClosed]; a second Close does nothing and returns nil.
type Store interface {
	// Get returns the value of key, or the bare ErrNotFound if the key is
	// absent or has expired. An empty value is a value, not a miss. The caller
	// owns the result.
	Get(ctx context.Context, key string) ([]byte, error)

	// Set stores value under key and replaces both the value and the expiry
	// that were there. It neither keeps nor changes value. The entry is
	// readable for ttl and gone at the instant that ttl has passed; a backend
	// with a coarser clock rounds ttl up, never down and never to Forever.
	// DefaultTTL stands for what the store was configured with. A negative ttl
	// is ErrInvalid and changes nothing. A value that is too large for the
	// backend is ErrTooLarge, and what was stored before is then not readable.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Delete removes key. Deleting an absent key succeeds.
	Delete(ctx context.Context, key string) error

	// TTL returns how long the entry will still live: more than 0, and never
	// more than the truth; Forever if it does not expire; UnknownTTL if the backend cannot
	// tell; the bare ErrNotFound if there is no entry. It is not a use of the
	// entry: it changes neither recency nor hit statistics.
	TTL(ctx context.Context, key string) (time.Duration, error)
}

// Times to live with a meaning of their own. Every other one is a duration.
const (
	DefaultTTL time.Duration = 0             // what the store was configured with; Forever if nothing
	Forever    time.Duration = math.MaxInt64 // no expiry; compares and takes min like any duration
	UnknownTTL time.Duration = -1            // answered by TTL alone, where the backend cannot tell
)

// MaxKeyLen is the length in bytes of the longest key that every Store takes.
const MaxKeyLen = 4096

// Close closes s if it implements io.Closer, and else does nothing. The store
// that Open returned is closed by it.
func Close(s Store) error {
	if c, ok := s.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Check reports the first thing that is wrong with the arguments which most
// methods share: a nil context or a bad key (ErrInvalid), or a done context
// (ctx.Err()). Adapters call it first in each method; op is the name of the
// method in lower case, as in Error.Op.
func Check(ctx context.Context, op string, keys ...string) error {
	only := ""
	if len(keys) == 1 {
		only = keys[0]
	}
	if ctx == nil {
		return Errorf(op, only, ErrInvalid, "the context is nil; pass context.Background() where there is none")
	}
	for _, key := range keys {
		if len(key) == 0 || len(key) > MaxKeyLen {
			return badKey(op, key)
		}
	}
	if err := ctx.Err(); err != nil {
		return &Error{op, only, err}
	}
	return nil
}

// CheckTTL returns an error matching ErrInvalid if ttl is negative. Adapters
// call it in each method that takes a time to live.
func CheckTTL(op, key string, ttl time.Duration) error {
	if ttl < 0 {
		return Errorf(op, key, ErrInvalid, "ttl %v is negative; use Delete to remove an entry, or Forever for one without expiry", ttl)
	}
	return nil
}

func badKey(op, key string) error {
	if key == "" {
		return Errorf(op, "", ErrInvalid, "the key is empty")
	}
	return Errorf(op, key, ErrInvalid, "the key has %d bytes, more than MaxKeyLen (%d); hash the long part", len(key), MaxKeyLen)
}

func checkStore(op string, s Store) error {
	if s == nil {
		return Errorf(op, "", ErrInvalid, "the store is nil")
	}
	return nil
}
