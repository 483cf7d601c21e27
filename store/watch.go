package store

import (
	"context"
	"time"
)

// WatchStore is a Store that tells of changes, whoever makes them.
type WatchStore interface {
	Store

	// Watch tells w of the changes of this store until ctx ends, and then lets
	// go of w. It returns as soon as w is registered: where a connection is
	// needed for it, that is made, and made again after it was lost, in the
	// background, and w knows by Flush and Proven how far it can be trusted.
	//
	// What is told is that a key has another value than before, or none: by
	// any of this Store's methods, by another process, because it has expired
	// or was evicted. That it has expired may be told as late as when somebody
	// reads it. A key may be told more often than it has changed.
	// A new time to live is a change if it is shorter than what was left.
	//
	// A nil w is ErrInvalid.
	Watch(ctx context.Context, w Watcher) error
}

// Watcher is told of changes by a WatchStore. Its methods are called one at a
// time, in the order in which things have happened. They must return soon and
// must not use the store, as its writers may be waiting for them.
type Watcher interface {
	// Invalidate tells that these keys have changed. The slice is the store's.
	Invalidate(keys ...string)

	// Flush tells that any key may have changed, as after a gap in what was
	// told, or after Clear.
	Flush()

	// Proven tells that everything that had changed before the time sent has
	// been told by now. The time has a monotonic clock reading of this
	// process. Until the first call nothing is known.
	//
	// A store in the memory of the process, whose writes return after the
	// watchers were told, calls it once with AlwaysProven.
	Proven(sent time.Time)
}

// AlwaysProven is later than any time there is. See Watcher.
var AlwaysProven = time.Unix(1<<62, 0)

// Watch tells w of the changes of s until ctx ends. If s does not implement
// WatchStore, it returns an error matching errors.ErrUnsupported: nothing else
// tells of what other processes do.
func Watch(ctx context.Context, s Store, w Watcher) error {
	const op = "watch"
	if err := checkStore(op, s); err != nil {
		return err
	}
	if w == nil {
		return Errorf(op, "", ErrInvalid, "the Watcher is nil")
	}
	if s, ok := s.(WatchStore); ok {
		if err := s.Watch(ctx, w); !declined(err) {
			return err
		}
	}
	return unsupported(op, "", s, "Watch")
}
