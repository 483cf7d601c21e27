package redis

import (
	"context"
	"crypto/sha1"
	_ "embed" // for the scripts
	"encoding/hex"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// once is a command that the client does not repeat when its answer is lost.
type once struct{ goredis.Cmder }

// NoRetry implements goredis.Cmder.
func (once) NoRetry() bool { return true }

// Add implements store.AddStore in one round trip, by a script. It is not
// repeated: after an error matching ErrUnavailable the entry may be there or
// not.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	const op = "add"
	if err := s.checkTTL(ctx, op, key, ttl); err != nil {
		return false, err
	}
	if len(value) > maxValue {
		return false, tooLarge(op, key, value)
	}
	return s.run(ctx, op, add, key, value, s.millis(ttl), s.announce())
}

// CompareAndSwap implements store.CompareAndSwapStore in one round trip, by a
// script. It is not repeated: after an error matching ErrUnavailable the value
// may have been replaced or not.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error) {
	const op = "compareandswap"
	if err := s.checkTTL(ctx, op, key, ttl); err != nil {
		return false, err
	}
	if len(new) > maxValue {
		if _, err := s.run(ctx, op, compareAndDelete, key, old, s.announce()); err != nil {
			return false, err
		}
		return false, tooLarge(op, key, new)
	}
	return s.run(ctx, op, compareAndSwap, key, old, new, s.millis(ttl), s.announce())
}

// CompareAndDelete implements store.CompareAndDeleteStore in one round trip,
// by a script. It is not repeated: after an error matching ErrUnavailable the
// entry may have been removed or not.
func (s *Store) CompareAndDelete(ctx context.Context, key string, old []byte) (deleted bool, err error) {
	const op = "compareanddelete"
	if err := s.check(ctx, op, key); err != nil {
		return false, err
	}
	return s.run(ctx, op, compareAndDelete, key, old, s.announce())
}

// A script is run by its hash, and sent as a whole to a server that has not
// seen it yet.
type script struct{ source, hash string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) // what Redis calls it by
	return script{source, hex.EncodeToString(sum[:])}
}

var (
	//go:embed add.lua
	addSource string
	//go:embed compareandswap.lua
	compareAndSwapSource string
	//go:embed compareanddelete.lua
	compareAndDeleteSource string
	//go:embed set.lua
	setSource string
	//go:embed delete.lua
	unlinkSource string

	add              = newScript(addSource)
	compareAndSwap   = newScript(compareAndSwapSource)
	compareAndDelete = newScript(compareAndDeleteSource)
	set              = newScript(setSource)
	unlink           = newScript(unlinkSource)
)

// run runs a script on one key and its lease, once, and returns the answer.
func (s *Store) run(ctx context.Context, op string, sc script, key string, args ...any) (bool, error) {
	for i, arg := range args {
		if value, ok := arg.([]byte); ok {
			args[i] = s.keep(ctx, value)
		}
	}
	full := s.prefix + key
	did, err := s.evalOnce(ctx, sc, [2]string{full, leaseKey(full)}, args)
	return did, s.fail(ctx, op, key, err)
}

// evalOnce runs a script on two keys of one slot, once.
func (s *Store) evalOnce(ctx context.Context, sc script, keys [2]string, args []any) (bool, error) {
	return exchange(ctx, s, func(ctx context.Context) (bool, error) {
		did, err := s.eval(ctx, "evalsha", sc.hash, keys, args)
		if goredis.HasErrorPrefix(err, "NOSCRIPT") {
			did, err = s.eval(ctx, "eval", sc.source, keys, args)
		}
		return did, err
	})
}

func (s *Store) eval(ctx context.Context, command, script string, keys [2]string, args []any) (bool, error) {
	cmd := goredis.NewBoolCmd(ctx, append([]any{command, script, 2, keys[0], keys[1]}, args...)...)
	cmd.SetFirstKeyPos(3)
	err := s.client.Process(ctx, once{cmd})
	return err == nil && cmd.Val(), err
}
