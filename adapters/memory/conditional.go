package memory

import (
	"bytes"
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// Add implements store.AddStore.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	const op = "add"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return false, err
	}
	e, tooLarge := s.newEntry(op, key, liveCopy(value), ttl)
	absent := false
	err = s.change(op, key, func(_ entry, live bool) (entry, Cause) {
		if absent = !live; live || tooLarge != nil {
			return entry{}, kept
		}
		return e, Replaced
	})
	if err != nil || !absent {
		return false, err
	}
	if tooLarge != nil {
		return false, tooLarge
	}
	s.counts.add(sets)
	return true, nil
}

// CompareAndSwap implements store.CompareAndSwapStore. A live value is encoded
// in order to be compared; if that fails the error is ErrInvalid.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
	const op = "compareandswap"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return false, err
	}
	e, tooLarge := s.newEntry(op, key, liveCopy(new), ttl)
	if tooLarge != nil {
		if matched, err := s.changeIfEqual(op, key, old, entry{}, Deleted); !matched {
			return false, err
		}
		return false, tooLarge
	}
	swapped, err = s.changeIfEqual(op, key, old, e, Replaced)
	if swapped {
		s.counts.add(sets)
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
	return s.changeIfEqual(op, key, old, entry{}, Deleted)
}

// Touch implements store.TouchStore.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	const op = "touch"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return err
	}
	fresh := s.entryFor(key, nil, ttl)
	found := false
	err := s.alter(op, key, false, func(old entry, live bool) (entry, Cause) {
		if found = live; !live {
			return entry{}, kept
		}
		fresh.live = old.live
		return fresh, Replaced
	})
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// changeIfEqual does to key what change does for next and cause, if its value
// equals old. It compares outside all locks, as that may encode a live value,
// and goes on if nobody has replaced that value meanwhile.
func (s *Store) changeIfEqual(op, key string, old []byte, next entry, cause Cause) (changed bool, err error) {
	for !changed {
		seen, ok := s.peek(key)
		if !ok {
			return false, nil
		}
		b, err := seen.live.Bytes()
		if err != nil {
			return false, encodeError(op, key, err)
		}
		if !bytes.Equal(b, old) {
			return false, nil
		}
		err = s.change(op, key, func(e entry, live bool) (entry, Cause) {
			if changed = live && e.live == seen.live; changed {
				return next, cause
			}
			return entry{}, kept
		})
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
