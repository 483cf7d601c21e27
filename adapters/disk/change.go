package disk

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/cairncache/cairn/store"
)

// find reads the live entry of key, nil if there is none. It takes no lock. A
// file that is damaged is removed.
func (s *Store) find(ctx context.Context, p place, key string) (*entry, error) {
	if err := s.folder.checkShard(p); err != nil {
		return nil, err
	}
	e, err := s.folder.read(p.path(), key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, s.folder.missing(p.path())
	case errors.Is(err, errDamaged):
		return nil, s.removeDamaged(ctx, p, key)
	case err != nil:
		return nil, err
	case e.expired():
		return nil, nil
	}
	return e, nil
}

// removeDamaged removes a file that find could not read, if it still is the
// one. It is a miss whether that succeeds or not; the error is that of ctx.
func (s *Store) removeDamaged(ctx context.Context, p place, key string) error {
	_ = s.hold(ctx, p.stripe(), func() error {
		if _, err := s.folder.read(p.path(), key); !errors.Is(err, errDamaged) {
			return err
		}
		s.counts.damaged.Add(1)
		return s.drop(p)
	})
	return ctx.Err()
}

// present is find for who holds the stripe. What is damaged is left to be
// replaced.
func (s *Store) present(p place, key string) (*entry, error) {
	e, err := s.folder.read(p.path(), key)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged):
		return nil, nil
	case err != nil:
		return nil, err
	case e.expired():
		return nil, nil
	}
	return e, nil
}

// A condition decides, by the live entry that is there, or nil, whether it is
// changed.
type condition func(present *entry) bool

// write stores value under key if the condition holds; nil always does. It
// reports whether it has.
func (s *Store) write(ctx context.Context, op, key string, value []byte, ttl time.Duration, when condition) (written bool, err error) {
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return false, err
	}
	defer s.inUse.RUnlock()
	p, full := s.placeOf(key)
	if ok, err := s.worthTrying(ctx, p, full, when); !ok {
		return false, failed(op, key, err)
	}
	content := encode(full, value, s.deadline(ttl))
	if most := s.options.MaxBytes; most > 0 && int64(len(content)) > most {
		if held, err := s.remove(ctx, p, full, when); !held {
			return false, failed(op, key, err)
		}
		return false, store.Errorf(op, key, store.ErrTooLarge, "the entry has %d bytes, more than MaxBytes (%d)", len(content), most)
	}
	written, err = s.replace(ctx, p, full, content, when)
	if written {
		s.counts.sets.Add(1)
	}
	return written, failed(op, key, err)
}

// worthTrying is whether the condition holds by a look without the lock. It
// saves those who are too late, who are many where a lock is wanted by many.
func (s *Store) worthTrying(ctx context.Context, p place, key string, when condition) (bool, error) {
	if when == nil {
		return true, nil
	}
	e, err := s.find(ctx, p, key)
	return err == nil && when(e), err
}

// replace puts content in the place of key. The file is written before the
// stripe is held, so that others wait for as short as can be.
func (s *Store) replace(ctx context.Context, p place, key string, content []byte, when condition) (done bool, err error) {
	if err := s.makeRoom(ctx, int64(len(content))); err != nil {
		return false, err
	}
	name, err := s.folder.temporaryAt(p, content, s.options.Fsync)
	if err != nil {
		return false, err
	}
	err = s.hold(ctx, p.stripe(), func() error {
		if when != nil {
			e, err := s.present(p, key)
			if err != nil || !when(e) {
				return err
			}
		}
		done = true
		return s.put(p, name, int64(len(content)))
	})
	if !done {
		s.folder.Remove(name)
	}
	return done && err == nil, err
}

// put gives a temporary file of this size its place, for who holds the stripe.
// If it fails, the old entry is there still, but for a failure to sync.
func (s *Store) put(p place, name string, size int64) error {
	old, err := s.folder.size(p)
	more := max(size-old, 0)
	if err == nil {
		err = s.usage.add(p.stripe(), more)
	}
	if err != nil {
		s.folder.Remove(name)
		return err
	}
	if err := s.folder.rename(name, p.path()); err != nil {
		return errors.Join(err, s.usage.add(p.stripe(), -more))
	}
	return errors.Join(s.usage.add(p.stripe(), min(size-old, 0)), s.syncShard(p))
}

// drop removes the file of a place, if there is one, for who holds the stripe.
func (s *Store) drop(p place) error {
	old, err := s.folder.size(p)
	if err != nil || old == 0 {
		return err
	}
	if err := s.folder.Remove(p.path()); err != nil {
		return err
	}
	return errors.Join(s.usage.add(p.stripe(), -old), s.syncShard(p))
}

func (s *Store) syncShard(p place) error {
	if !s.options.Fsync {
		return nil
	}
	return s.folder.sync(p.folder())
}

// remove removes the entry of key if the condition holds; nil always does. It
// reports whether it did hold.
func (s *Store) remove(ctx context.Context, p place, key string, when condition) (held bool, err error) {
	err = s.hold(ctx, p.stripe(), func() error {
		if when != nil {
			e, err := s.present(p, key)
			if err != nil || !when(e) {
				return err
			}
		}
		held = true
		return s.drop(p)
	})
	return held && err == nil, err
}

// placeOf is the place of a key of this Store, and the key as it is written.
func (s *Store) placeOf(key string) (place, string) {
	full := s.options.Prefix + key
	return placeOf(full), full
}

func (s *Store) deadline(ttl time.Duration) uint64 {
	if ttl == store.DefaultTTL {
		ttl = s.options.TTL
	}
	return deadlineAfter(ttl)
}
