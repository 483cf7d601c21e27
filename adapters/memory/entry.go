package memory

import (
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// An entry is a Live and its deadline.
type entry = cache.Entry[store.Live]

// entryOverhead is what an entry takes beside the bytes of its key and value:
// the node, its places in the table and among the deadlines, the Live, and what
// the allocator rounds up.
const entryOverhead = 160

// size is what an entry counts towards MaxBytes. Its bytes were made before it
// was stored.
func size(key string, l *store.Live) int64 {
	b, _ := l.Bytes()
	return entryOverhead + int64(len(key)) + int64(len(b))
}

func (s *Store) now() int64 { return s.cache.Now() }

// expired reads the clock only if the entry can expire: that is the most
// expensive part of a read.
func (s *Store) expired(e entry) bool {
	return e.Deadline != cache.Never && e.Deadline <= s.now()
}

// timeLeft is what TTL answers for e, or false if it has expired.
func (s *Store) timeLeft(e entry) (time.Duration, bool) {
	if e.Deadline == cache.Never {
		return store.Forever, true
	}
	left := time.Duration(e.Deadline - s.now())
	return left, left > 0
}

// newEntry makes the entry that a write of l under key stores. The error is
// ErrTooLarge, or ErrInvalid if a size is needed and l cannot be encoded.
func (s *Store) newEntry(o *Options, op, key string, l *store.Live, ttl time.Duration) (entry, error) {
	if o.MaxBytes > 0 || o.encode {
		if _, err := l.Bytes(); err != nil {
			return entry{}, encodeError(op, key, err)
		}
	}
	if o.MaxBytes > 0 {
		if size := size(key, l); size > o.MaxBytes {
			return entry{}, store.Errorf(op, key, store.ErrTooLarge, "the entry takes %d bytes, more than MaxBytes, which is %d", size, o.MaxBytes)
		}
	}
	return entry{Value: l, Deadline: s.deadline(ttl)}, nil
}

// deadline is ttl from now.
func (s *Store) deadline(ttl time.Duration) int64 {
	if ttl == store.DefaultTTL {
		ttl = s.options.Load().TTL
	}
	if ttl == store.Forever {
		return cache.Never
	}
	return s.cache.After(ttl)
}

func encodeError(op, key string, err error) error {
	return store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
}
