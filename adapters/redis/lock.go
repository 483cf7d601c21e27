package redis

import (
	"context"
	_ "embed" // for the scripts
	"errors"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

var _ store.WatchLockStore = (*Store)(nil)

var (
	//go:embed lock.lua
	lockSource string
	//go:embed trylock.lua
	tryLockSource string
	//go:embed extendlock.lua
	extendLockSource string
	//go:embed unlock.lua
	unlockSource string

	tryLock    = newScript(lockSource + tryLockSource)
	extendLock = newScript(lockSource + extendLockSource)
	unlock     = newScript(lockSource + unlockSource)
)

// lockMark begins the keys of locks, and fenceMark those of the last fence that
// each of them had. What follows is made as in leaseKey, and begins with a
// colon or a brace, so that no lock has the name of a fence. The channel of a
// lock has the name of its key.
const (
	lockMark  = "cairn:lock:"
	fenceMark = lockMark + "fence:"
)

// fenceLife is for how long a fence is known after the lock has ended. The
// clock of the server alone makes a larger one then, and it would have to go
// back by as much to make it smaller.
const fenceLife = 24 * time.Hour

// lockKeys returns the keys of the lock of a full key and of its fence, which
// are in the same slot of a cluster.
func lockKeys(full string) [2]string {
	return [2]string{markedKey(lockMark, full), markedKey(fenceMark, full)}
}

// isInternal reports whether a key of the database is that of a lease or a
// lock, of whatever Store.
func isInternal(full string) bool {
	return strings.HasPrefix(full, leaseMark) || strings.HasPrefix(full, lockMark)
}

// TryLock implements store.LockStore in one round trip, by a script, as do the
// methods below. The ttl is rounded up to the millisecond. Locks are kept at
// keys of their own, which a server with a maxmemory-policy may evict like any
// other, so that two hold the lock; the fence grows all the same.
func (s *Store) TryLock(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	const op = "trylock"
	if err := s.checkLease(ctx, op, key, token, ttl); err != nil {
		return store.LockResult{}, err
	}
	cmd, err := evalKeys(ctx, s, goredis.NewSliceCmd, tryLock, lockKeys(s.prefix+key), 0, token, lifeMillis(ttl), fenceMillis(ttl))
	if err != nil {
		return store.LockResult{}, s.fail(ctx, op, key, err)
	}
	r, err := lockResult(cmd.Val())
	return r, s.fail(ctx, op, key, err)
}

// lockResult reads the answer of trylock.lua.
func lockResult(answer []any) (r store.LockResult, err error) {
	if len(answer) == 2 {
		switch v := answer[1].(type) {
		case string:
			r.Acquired = true
			r.Fence, err = strconv.ParseUint(v, 10, 64)
			return r, err
		case int64:
			// The server rounds down, and holds the lock until that
			// millisecond is over.
			if r.Remaining = time.Duration(min(v, maxMillis-1)+1) * time.Millisecond; v < 0 {
				r.Remaining = store.UnknownTTL // another program's key
			}
			return r, nil
		}
	}
	return r, errors.New("the server's answer to the script is not understood")
}

// fenceMillis is for how long the fence of a lock is kept, in milliseconds.
func fenceMillis(ttl time.Duration) int64 {
	return lifeMillis(min(ttl, store.Forever-fenceLife) + fenceLife)
}

// ExtendLock implements store.LockStore.
func (s *Store) ExtendLock(ctx context.Context, key, token string, ttl time.Duration) (extended bool, err error) {
	const op = "extendlock"
	if err := s.checkLease(ctx, op, key, token, ttl); err != nil {
		return false, err
	}
	cmd, err := evalKeys(ctx, s, goredis.NewBoolCmd, extendLock, lockKeys(s.prefix+key), 0, token, lifeMillis(ttl), fenceMillis(ttl))
	if err != nil {
		return false, s.fail(ctx, op, key, err)
	}
	return cmd.Val(), nil
}

// Unlock implements store.LockStore. In the same round trip it tells those who
// wait. The client does not repeat it, as the second try would take what the
// first has freed for a lock that was lost: after an error matching
// ErrUnavailable the lock may have been freed or not.
func (s *Store) Unlock(ctx context.Context, key, token string) (unlocked bool, err error) {
	const op = "unlock"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return false, err
	}
	sharded := 0
	if s.cluster != nil {
		sharded = 1
	}
	unlocked, err = s.evalOnce(ctx, unlock, lockKeys(s.prefix+key), []any{token, sharded})
	return unlocked, s.fail(ctx, op, key, err)
}
