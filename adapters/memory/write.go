package memory

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/maypok86/otter/v2"
)

// Set stores a copy of value.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	const op = "set"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return err
	}
	return s.set(op, key, liveCopy(value), ttl)
}

// SetLive stores l itself. It encodes l only if the Store has MaxBytes; an l
// that cannot be encoded is then ErrInvalid, and changes nothing. If the entry
// holds this very l already, it is not replaced but gets the new ttl.
func (s *Store) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	const op = "setlive"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return err
	}
	if l == nil {
		return store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	return s.set(op, key, l, ttl)
}

// SetMany implements store.SetManyStore. It tries every item; the error is the
// first one.
func (s *Store) SetMany(ctx context.Context, items []store.Item) error {
	const op = "setmany"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if err := store.CheckItems(ctx, op, items); err != nil {
		return err
	}
	var failed error
	for _, item := range items {
		if err := s.set(op, item.Key, liveCopy(item.Value), item.TTL); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	const op = "delete"
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return s.remove(op, key, Deleted)
}

// DeleteMany implements store.DeleteManyStore.
func (s *Store) DeleteMany(ctx context.Context, keys []string) error {
	const op = "deletemany"
	if err := s.check(ctx, op, keys...); err != nil {
		return err
	}
	for _, key := range keys {
		if err := s.remove(op, key, Deleted); err != nil {
			return err
		}
	}
	return nil
}

// Clear removes all entries, and ends all leases. No entry that was written
// before Clear began is readable after it has returned nil. If ctx ends
// meanwhile some entries stay.
func (s *Store) Clear(ctx context.Context) error {
	const op = "clear"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	defer s.flush() // also if some stay
	for _, keys := range []iter.Seq[string]{slices.Values(s.leases.keys()), s.cache.Keys()} {
		for key := range keys {
			if err := s.check(ctx, op); err != nil {
				return err
			}
			if err := s.remove(op, key, Cleared); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) set(op, key string, l *store.Live, ttl time.Duration) error {
	e, err := s.newEntry(op, key, l, ttl)
	if errors.Is(err, store.ErrTooLarge) {
		return cmp.Or(s.remove(op, key, Deleted), err)
	}
	if err != nil {
		return err
	}
	if err := s.change(op, key, func(entry, bool) (entry, Cause) { return e, Replaced }); err != nil {
		return err
	}
	s.counts.add(sets)
	return nil
}

func (s *Store) remove(op, key string, cause Cause) error {
	return s.change(op, key, func(entry, bool) (entry, Cause) { return entry{}, cause })
}

// change is every write that ends the lease of its key; alter is every write,
// and also what changes a lease and no entry. In one atomic step for the key,
// it asks decide what is to become of it, given the entry that is there, if one
// is live:
//
//   - Replaced: next takes its place. If next holds the same Live, the entry is
//     renewed, and nothing is removed.
//   - another cause: it is removed.
//   - kept: it stays, and so does the lease. If it has expired it is removed
//     all the same.
//
// decide runs under a lock of otter's, and may only look at its arguments and
// use the leases. The error is ErrClosed, and decide is then not asked.
func (s *Store) change(op, key string, decide func(old entry, live bool) (next entry, cause Cause)) error {
	return s.alter(op, key, true, decide)
}

// written is how a call of alter has gone.
type written struct {
	err     error
	changed string // the key, if the watchers are to be told of it alone
}

func (s *Store) alter(op, key string, endsLease bool, decide func(old entry, live bool) (next entry, cause Cause)) error {
	var w written
	s.bound.writing.Add(1)
	defer s.settle(&w)
	s.cache.Compute(key, func(old entry, found bool) (entry, otter.ComputeOp) {
		if s.closed.Load() { // under the lock, so that Close finds every entry there is
			w.err = errClosed(op, key)
			return entry{}, otter.CancelOp
		}
		live := found && !s.expired(old)
		next, cause := decide(old, live)
		if endsLease && cause != kept {
			s.leases.end(key)
		}
		stays := cause == Replaced || live && cause == kept
		renewed := live && cause == Replaced && next.live == old.live
		if found && !live || cause != kept && cause != Cleared && (!renewed || next.deadline < old.deadline) {
			w.changed = key
		}
		s.count(found, stays)
		switch {
		case found && !live:
			s.removed(key, old, Expired)
		case renewed:
			s.forget(key, old)
		case live && cause != kept:
			s.removed(key, old, cause)
		}
		switch {
		case cause == Replaced:
			s.added(key, next)
			return next, otter.WriteOp
		case found && !stays:
			return entry{}, otter.InvalidateOp
		}
		return entry{}, otter.CancelOp
	})
	return w.err
}

func liveCopy(value []byte) *store.Live { return store.LiveBytes(append([]byte{}, value...)) }
