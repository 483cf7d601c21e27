package memory

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
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
	for _, key := range s.leases.keys() {
		if err := s.remove(op, key, Cleared); err != nil {
			return err
		}
	}
	for key := range s.cache.All() {
		if err := s.check(ctx, op); err != nil {
			return err
		}
		if err := s.remove(op, key, Cleared); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) set(op, key string, l *store.Live, ttl time.Duration) error {
	err := s.write(op, key, l, ttl, func(entry, bool) Cause { return Replaced })
	if errors.Is(err, store.ErrTooLarge) {
		return cmp.Or(s.remove(op, key, Deleted), err)
	}
	return err
}

func (s *Store) remove(op, key string, cause Cause) error {
	return s.change(op, key, func(entry, bool) (entry, Cause) { return entry{}, cause })
}

// write is change with an entry of l, made for the options that hold when it is
// stored: others may ask for its size.
func (s *Store) write(op, key string, l *store.Live, ttl time.Duration, decide func(old entry, live bool) Cause) error {
	for {
		o := s.options.Load()
		e, err := s.newEntry(o, op, key, l, ttl)
		if err != nil {
			return err
		}
		outdated := false
		err = s.alter(op, key, endsLease|puts, func(old entry, live bool) (entry, Cause) {
			if outdated = s.options.Load() != o; outdated {
				return entry{}, kept
			}
			return e, decide(old, live)
		})
		if !outdated {
			return err
		}
	}
}

// change is every write that ends the lease of its key; alter is every write,
// and also what changes a lease and no entry. In one atomic step for the key,
// it asks decide what is to become of it, given the entry that is there, if one
// is live:
//
//   - Replaced: next takes its place. If next holds the same Live, the entry is
//     renewed, and nothing is removed.
//   - touched: it gets the deadline of next, and that is no use of it.
//   - another cause: it is removed.
//   - kept: it stays, and so does the lease. If it has expired it is removed
//     all the same.
//
// decide runs under a lock, and may only look at its arguments and use the
// leases. The error is ErrClosed, and decide is then not asked.
func (s *Store) change(op, key string, decide func(old entry, live bool) (next entry, cause Cause)) error {
	return s.alter(op, key, endsLease, decide)
}

const (
	kept    Cause = 0
	touched Cause = -1
)

// An effect is what a change has beside what becomes of the entry.
type effect uint8

const (
	endsLease effect = 1 << iota // unless the entry is kept
	puts                         // an entry, in all likelihood
)

func (s *Store) alter(op, key string, has effect, decide func(old entry, live bool) (next entry, cause Cause)) error {
	for {
		r, err := s.alterLocked(op, key, has, decide)
		s.tell(r)
		if err != errBusy {
			return err
		}
		s.cache.EvictOther(key)
	}
}

var errBusy = errors.New("see Slot.Put")

// alterLocked returns errBusy if it is to be called again, decide included.
func (s *Store) alterLocked(op, key string, has effect, decide func(old entry, live bool) (next entry, cause Cause)) (r report, err error) {
	var slot cache.Slot[string, store.Live]
	if has&puts != 0 {
		slot = s.cache.LockToPut(key)
	} else {
		slot = s.cache.Lock(key)
	}
	defer func() { r.removed = slot.Unlock() }()
	if s.closed.Load() { // under the lock, so that Close finds every entry there is
		return r, errClosed(op, key)
	}
	old, found := slot.Entry()
	live := found && !s.expired(old)
	next, cause := decide(old, live)
	befalls := Replaced
	if !live {
		befalls = Expired
	}
	if cause == Replaced && !slot.Put(next, befalls) {
		return r, errBusy
	}
	if has&endsLease != 0 && cause != kept {
		s.leases.end(key)
	}
	renewed := live && cause == Replaced && next.Value == old.Value || cause == touched
	if found && !live || cause != kept && cause != Cleared && (!renewed || live && next.Deadline < old.Deadline) {
		r.changed = key
	}
	switch {
	case cause == Replaced:
		if !renewed {
			s.noteSet(&r, key, next.Value, old.Value, live)
		}
	case cause == touched && live:
		slot.Renew(next.Deadline)
	case found && !live:
		slot.Remove(Expired)
	case cause != kept && live:
		slot.Remove(cause)
	}
	return r, nil
}

func liveCopy(value []byte) *store.Live { return store.LiveBytes(append([]byte{}, value...)) }
