package memcache

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/store"
)

// gone is the expiration of an item that has expired when it is written: a
// compare-and-swap with it is a compare-and-delete.
const gone = -1

// Add stores value if there is no live entry under key. An item that has
// expired, or is older than the last Clear, is replaced in one atomic step. A
// value that is too large is ErrTooLarge only if there is no live entry.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	n := s.name(key)
	item := n.item(value)
	return do(ctx, s, "add", []string{key}, ttl, func() (bool, error) {
		for range maxConflicts {
			if err := s.date(item, ttl); err != nil {
				return false, err
			}
			err := s.client.Add(item)
			if !isConflict(err) && !isTooLarge(err) {
				return err == nil, err
			}
			e, there, readErr := s.read(n)
			switch {
			case !errors.Is(readErr, store.ErrNotFound):
				return false, readErr // nil if there is a live entry
			case isTooLarge(err):
				return false, err
			case there == nil:
				continue
			}
			s.dateIn(e.generation, item, ttl)
			if err := s.replace(there, item); !isConflict(err) {
				return err == nil, err
			}
		}
		return false, errContended
	})
}

// CompareAndSwap stores new if the value of key equals old.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
	item := s.name(key).item(new)
	return s.compare(ctx, "compareandswap", key, old, ttl, func(e entry) *memcache.Item {
		s.dateIn(e.generation, item, ttl)
		return item
	})
}

// CompareAndDelete removes key if its value equals old.
func (s *Store) CompareAndDelete(ctx context.Context, key string, old []byte) (deleted bool, err error) {
	return s.compare(ctx, "compareanddelete", key, old, 0, func(entry) *memcache.Item {
		return &memcache.Item{Key: s.name(key).native, Expiration: gone}
	})
}

// compare replaces the item of a live entry whose value equals old.
func (s *Store) compare(ctx context.Context, op, key string, old []byte, ttl time.Duration, by func(entry) *memcache.Item) (bool, error) {
	old = bytes.Clone(old)
	return do(ctx, s, op, []string{key}, ttl, func() (bool, error) {
		replaced, err := s.update(s.name(key), func(e entry, _ *memcache.Item) (*memcache.Item, error) {
			if !bytes.Equal(e.value, old) {
				return nil, store.ErrNotFound
			}
			return by(e), nil
		})
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return replaced, err
	})
}

// Touch gives the entry of key a new time to live, counted from now. A value
// that another program has written gets it in Memcached's terms: in whole
// seconds, a few more than ttl.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return run(ctx, s, "touch", []string{key}, ttl, func() error {
		n := s.name(key)
		_, err := s.update(n, func(e entry, there *memcache.Item) (*memcache.Item, error) {
			if e.foreign {
				there.Expiration = expiration(time.Now(), s.life(ttl))
				return there, nil
			}
			now := time.Now()
			e.ttl = s.life(ttl)
			e.deadline = deadline(now, e.ttl)
			return n.itemOf(e, now), nil
		})
		return err
	})
}

// update replaces the item of a live entry, in one atomic step, by the one
// that change makes of it.
func (s *Store) update(n name, change func(e entry, there *memcache.Item) (*memcache.Item, error)) (bool, error) {
	for range maxConflicts {
		e, there, err := s.read(n)
		if err != nil {
			return false, err
		}
		item, err := change(e, there)
		if err != nil {
			return false, err
		}
		if err := s.replace(there, item); !isConflict(err) {
			return err == nil, err
		}
	}
	return false, errContended
}

// replace writes item if what is there is still unchanged. If item is too
// large it removes what is there, on the same condition.
func (s *Store) replace(there, item *memcache.Item) error {
	err := s.client.swap(there, item)
	if isTooLarge(err) {
		_ = s.client.swap(there, &memcache.Item{Key: item.Key, Expiration: gone})
	}
	return err
}
