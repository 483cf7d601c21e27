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
// server rounds it down. An entry of which 0 is left is readable until the
// millisecond is over.
func left(ms int64) (time.Duration, error) {
	switch {
	case ms == -1:
		return store.Forever, nil
	case ms < 0:
		return 0, goredis.Nil
	case ms == 0:
		return 1, nil
	case ms > maxMillis:
		return store.Forever - 1, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// setArgs is the command SET for a full key.
func (s *Store) setArgs(full string, value []byte, ttl time.Duration) []any {
	args := make([]any, 0, 5)
	args = append(args, "set", full, value)
	if ms := s.millis(ttl); ms > 0 {
		args = append(args, "px", ms)
	}
	return args
}
