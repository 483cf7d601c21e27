package memory

import (
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

// An entry is the value of a key in otter's table. It is kept there by value:
// a pointer would cost each read a cache miss.
type entry struct {
	live     *store.Live
	deadline int64 // as expiry.now counts, or never
	due      *due  // the deadline in Store.expiry; nil if it is never
}

const never = math.MaxInt64

// entryOverhead is what an entry takes beside the bytes of its key and value:
// the node, its place in the table, the Live, and the deadline.
const entryOverhead = 200

// size is what the entry counts towards MaxBytes. Its bytes were made before
// it was stored.
func (e entry) size(key string) int64 {
	b, _ := e.live.Bytes()
	return entryOverhead + int64(len(key)) + int64(len(b))
}

// expired reads the clock only if the entry can expire: that is the most
// expensive part of a read.
func (s *Store) expired(e entry) bool {
	return e.deadline != never && e.deadline <= s.expiry.now()
}

// newEntry makes the entry that a write of l under key stores. The error is
// ErrTooLarge, or ErrInvalid if a size is needed and l cannot be encoded.
func (s *Store) newEntry(op, key string, l *store.Live, ttl time.Duration) (entry, error) {
	if s.bound.maxBytes > 0 {
		if _, err := l.Bytes(); err != nil {
			return entry{}, encodeError(op, key, err)
		}
		if size := (entry{live: l}).size(key); size > min(s.bound.maxBytes, math.MaxUint32) {
			return entry{}, store.Errorf(op, key, store.ErrTooLarge, "the entry takes %d bytes, more than an entry may with MaxBytes %d", size, s.bound.maxBytes)
		}
	}
	return s.entryFor(key, l, ttl), nil
}

// entryFor makes an entry that expires after ttl from now.
func (s *Store) entryFor(key string, l *store.Live, ttl time.Duration) entry {
	if ttl == store.DefaultTTL {
		ttl = s.ttl
	}
	if ttl == store.Forever {
		return entry{live: l, deadline: never}
	}
	at := s.expiry.after(ttl)
	return entry{live: l, deadline: at, due: &due{at: at, key: key}}
}

func encodeError(op, key string, err error) error {
	return store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
}
