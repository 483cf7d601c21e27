package disk

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// usedAfter is how old the mark of an entry's last use must be before a read
// renews it, as each mark is a write to the disk.
const usedAfter = 10 * time.Second

// Get implements store.Store. It takes no lock. With Options.MaxBytes it marks
// the entry as used, unless that was done in the last 10 s.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	e, err := s.get(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	return e.value, nil
}

// GetWithTTL implements store.GetWithTTLStore.
func (s *Store) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	e, err := s.get(ctx, "getwithttl", key)
	if err != nil {
		return nil, 0, err
	}
	left := e.left()
	if left <= 0 {
		return nil, 0, store.ErrNotFound
	}
	return e.value, left, nil
}

// GetMany implements store.GetManyStore. It reads one key after the other and
// goes on after a failure, unless ctx ends; the error is the first one.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	const op = "getmany"
	if err := s.begin(ctx, op, keys...); err != nil {
		return nil, err
	}
	defer s.inUse.RUnlock()
	values := make(map[string][]byte, len(keys))
	var first error
	for _, key := range keys {
		if _, ok := values[key]; ok {
			continue
		}
		err := ctx.Err()
		if err != nil {
			return values, failed(op, "", err)
		}
		e, err := s.use(ctx, key)
		switch {
		case e != nil:
			values[key] = e.value
		case err != nil && first == nil:
			first = failed(op, key, err)
		}
	}
	return values, first
}

func (s *Store) get(ctx context.Context, op, key string) (*entry, error) {
	if err := s.begin(ctx, op, key); err != nil {
		return nil, err
	}
	defer s.inUse.RUnlock()
	e, err := s.use(ctx, key)
	if err != nil {
		return nil, failed(op, key, err)
	}
	if e == nil {
		return nil, store.ErrNotFound
	}
	return e, nil
}

// use is find for a read that counts, and that the sweep is to know of.
func (s *Store) use(ctx context.Context, key string) (*entry, error) {
	p, full := s.placeOf(key)
	e, err := s.find(ctx, p, full)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		s.counts.misses.Add(1)
		return nil, nil
	}
	s.counts.hits.Add(1)
	if now := time.Now(); s.options.MaxBytes > 0 && now.Sub(e.used) > usedAfter {
		_ = s.folder.Chtimes(p.path(), time.Time{}, now) // if it fails, the entry goes earlier
	}
	return e, nil
}

// TTL implements store.Store.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	const op = "ttl"
	if err := s.begin(ctx, op, key); err != nil {
		return 0, err
	}
	defer s.inUse.RUnlock()
	p, full := s.placeOf(key)
	e, err := s.find(ctx, p, full)
	if err != nil {
		return 0, failed(op, key, err)
	}
	if e != nil {
		if left := e.left(); left > 0 {
			return left, nil
		}
	}
	return 0, store.ErrNotFound
}

// Set implements store.Store. What fails leaves the old entry as it was, but
// for ErrTooLarge and, with Options.Fsync, a disk that fails at the very end.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := s.write(ctx, "set", key, value, ttl, nil)
	return err
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	const op = "delete"
	if err := s.begin(ctx, op, key); err != nil {
		return err
	}
	defer s.inUse.RUnlock()
	p, full := s.placeOf(key)
	size, err := s.folder.size(p)
	switch {
	case err != nil:
	case size == 0:
		err = s.folder.missing(p.path())
	default:
		_, err = s.remove(ctx, p, full, nil)
	}
	return failed(op, key, err)
}

// Touch implements store.TouchStore. It writes the entry anew.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	const op = "touch"
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return err
	}
	defer s.inUse.RUnlock()
	p, full := s.placeOf(key)
	e, err := s.find(ctx, p, full)
	if err == nil && e != nil {
		deadline := s.deadline(ttl)
		err = s.hold(ctx, p.stripe(), func() error {
			if e, err = s.present(p, full); e == nil {
				return err
			}
			content := encode(full, e.value, deadline)
			name, err := s.folder.temporaryAt(p, content, s.options.Fsync)
			if err != nil {
				return err
			}
			return s.put(p, name, int64(len(content)))
		})
	}
	if err == nil && e == nil {
		return store.ErrNotFound
	}
	return failed(op, key, err)
}
