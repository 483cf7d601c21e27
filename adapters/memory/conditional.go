package memory

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// Add implements store.AddStore.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	const op = "add"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return false, err
	}
	err = s.write(op, key, liveCopy(value), ttl, func(_ entry, live bool) Cause {
		if added = !live; added {
			return Replaced
		}
		return kept
	})
	if errors.Is(err, store.ErrTooLarge) {
		if _, there := s.peek(key); there {
			return false, nil
		}
	}
	return added && err == nil, err
}

// CompareAndSwap implements store.CompareAndSwapStore. A live value is encoded
// in order to be compared; if that fails the error is ErrInvalid.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
	const op = "compareandswap"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return false, err
	}
	l := liveCopy(new)
	swapped, err = s.changeIfEqual(op, key, old, func(matches func(entry, bool) bool) error {
		return s.write(op, key, l, ttl, func(e entry, live bool) Cause {
			if matches(e, live) {
				return Replaced
			}
			return kept
		})
	})
	if tooLarge := err; errors.Is(tooLarge, store.ErrTooLarge) {
		// An old value does not stay when there is a new one that cannot be kept.
		if matched, err := s.deleteIfEqual(op, key, old); !matched {
			return false, err
		}
		return false, tooLarge
	}
	return swapped, err
}

// CompareAndDelete implements store.CompareAndDeleteStore. A live value is
// encoded in order to be compared; if that fails the error is ErrInvalid.
func (s *Store) CompareAndDelete(ctx context.Context, key string, old []byte) (deleted bool, err error) {
	const op = "compareanddelete"
	if err := s.check(ctx, op, key); err != nil {
		return false, err
	}
	return s.deleteIfEqual(op, key, old)
}

// Touch implements store.TouchStore.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	const op = "touch"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return err
	}
	deadline := s.deadline(ttl)
	found := false
	err := s.alter(op, key, 0, func(old entry, live bool) (entry, Cause) {
		found = live
		return entry{Value: old.Value, Deadline: deadline}, touched
	})
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

func (s *Store) deleteIfEqual(op, key string, old []byte) (deleted bool, err error) {
	return s.changeIfEqual(op, key, old, func(matches func(entry, bool) bool) error {
		return s.change(op, key, func(e entry, live bool) (entry, Cause) {
			if matches(e, live) {
				return entry{}, Deleted
			}
			return entry{}, kept
		})
	})
}

// changeIfEqual calls change if the value of key equals old. It compares
// outside all locks, as that may encode a live value; change asks matches, under
// the lock, whether nobody has replaced that value meanwhile, and is called
// again if somebody has.
func (s *Store) changeIfEqual(op, key string, old []byte, change func(matches func(entry, bool) bool) error) (changed bool, err error) {
	for !changed {
		seen, ok := s.peek(key)
		if !ok {
			return false, nil
		}
		b, err := seen.Value.Bytes()
		if err != nil {
			return false, encodeError(op, key, err)
		}
		if !bytes.Equal(b, old) {
			return false, nil
		}
		err = change(func(e entry, live bool) bool {
			changed = live && e.Value == seen.Value
			return changed
		})
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
