package redis

import (
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

// maxMillis is the longest expiry that a Duration can tell. Other programs in
// Go would read a longer one as one that has passed.
const maxMillis = math.MaxInt64 / 1_000_000

// millis is ttl in milliseconds, rounded up, with 0 for no expiry.
func (s *Store) millis(ttl time.Duration) int64 {
	if ttl == store.DefaultTTL {
		ttl = s.ttl
	}
	if ttl == store.Forever {
		return 0
	}
	ms := int64(ttl / time.Millisecond)
	if ttl%time.Millisecond > 0 {
		ms++
	}
	return min(ms, maxMillis)
}

// left translates the answer of PTTL, which is never more than the truth: the
// server rounds it down, and an entry lives up to a millisecond longer. One
// that has nothing left is treated as expired, though the server may hand it
// out until the millisecond is over.
func left(ms int64) (time.Duration, error) {
	switch {
	case ms == -1:
		return store.Forever, nil
	case ms <= 0:
		return 0, goredis.Nil
	case ms > maxMillis:
		return store.Forever - 1, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// setArgs is the command SET for an entry.
func (s *Store) setArgs(key string, value []byte, ttl time.Duration) []any {
	args := make([]any, 0, 6) // room for NX
	args = append(args, "set", s.prefix+key, value)
	if ms := s.millis(ttl); ms > 0 {
		args = append(args, "px", ms)
	}
	return args
}
