package redis

import (
	"context"
	"crypto/sha1"
	_ "embed" // for the scripts
	"encoding/hex"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

var _ store.LeaseStore = (*Store)(nil)

var (
	//go:embed lease.lua
	leaseSource string
	//go:embed getorlease.lua
	getOrLeaseSource string
	//go:embed fill.lua
	fillSource string
	//go:embed renewlease.lua
	renewLeaseSource string
	//go:embed abandon.lua
	abandonSource string
	//go:embed hold.lua
	holdSource string

	getOrLease = newScript(leaseSource + getOrLeaseSource)
	fill       = newScript(leaseSource + fillSource)
	renewLease = newScript(leaseSource + renewLeaseSource)
	abandon    = newScript(leaseSource + abandonSource)
	hold       = newScript(holdSource)
)

// GetOrLease implements store.LeaseStore in one round trip, by a script, as do
// the methods below. The entry that a lease is granted despite is known by its
// SHA-1. Leases are kept at keys of their own, which a server may evict like
// any other.
func (s *Store) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	const op = "getorlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return store.Lookup{}, err
	}
	old := ""
	if despite != nil {
		b, err := despite.Bytes()
		if err != nil {
			return store.Lookup{}, store.Errorf(op, key, store.ErrInvalid, "encode despite: %w", err)
		}
		sum := sha1.Sum(b)
		old = hex.EncodeToString(sum[:])
	}
	cmd, err := evalAgain(ctx, s, goredis.NewSliceCmd, getOrLease, key, token, lifeMillis(life), old)
	if err != nil {
		return store.Lookup{}, s.fail(ctx, op, key, err)
	}
	l, err := lookup(cmd.Val())
	if l.Lease == store.LeaseGranted {
		l.TTL = life
	}
	return l, s.fail(ctx, op, key, err)
}

// lookup reads the answer of getorlease.lua.
func lookup(answer []any) (l store.Lookup, err error) {
	if len(answer) >= 2 {
		state, _ := answer[0].(int64)
		l.Lease = store.LeaseState(state)
		if ms, ok := answer[1].(int64); ok && l.Lease != store.LeaseNone {
			l.TTL = time.Duration(max(ms, 0)) * time.Millisecond
			return l, nil
		} else if value, isText := answer[len(answer)-1].(string); ok && isText {
			l.Live = store.LiveBytes([]byte(value))
			l.TTL, err = left(ms)
			return l, err
		}
	}
	return store.Lookup{}, errors.New("the server's answer to the script is not understood")
}

// Fill implements store.LeaseStore. A value of more than 512 MiB is
// ErrTooLarge, and changes nothing.
func (s *Store) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (filled bool, err error) {
	const op = "fill"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return false, err
	}
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return false, err
	}
	if l == nil {
		return false, store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	value, err := l.Bytes()
	if err != nil {
		return false, store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
	}
	if len(value) > maxValue {
		return false, tooLarge(op, key, value)
	}
	return s.runAgain(ctx, op, fill, key, token, value, s.millis(ttl), s.announce())
}

// RenewLease implements store.LeaseStore.
func (s *Store) RenewLease(ctx context.Context, key, token string, life time.Duration) (renewed bool, err error) {
	const op = "renewlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return false, err
	}
	return s.runAgain(ctx, op, renewLease, key, token, lifeMillis(life))
}

// Abandon implements store.LeaseStore.
func (s *Store) Abandon(ctx context.Context, key, token string) error {
	const op = "abandon"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return err
	}
	_, err := s.runAgain(ctx, op, abandon, key, token)
	return err
}

// Hold implements store.LeaseStore. As Delete does, it has WatchTracking tell of
// a key that has no entry but a lease.
func (s *Store) Hold(ctx context.Context, key string, life time.Duration) error {
	const op = "hold"
	if err := store.CheckHold(ctx, op, key, life); err != nil {
		return err
	}
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	_, err := s.runAgain(ctx, op, hold, key, lifeMillis(life), s.announce())
	return err
}

// checkLease is check for the methods that take a token. Those without a life
// give 1.
func (s *Store) checkLease(ctx context.Context, op, key, token string, life time.Duration) error {
	if err := store.CheckLease(ctx, op, key, token, life); err != nil {
		return err
	}
	return s.check(ctx, op, key)
}

// lifeMillis is a life in milliseconds, rounded up.
func lifeMillis(life time.Duration) int64 {
	ms := int64(life / time.Millisecond)
	if life%time.Millisecond > 0 {
		ms++
	}
	return min(ms, maxMillis)
}

// runAgain is run for a script that may be repeated, and that travels with
// other commands.
func (s *Store) runAgain(ctx context.Context, op string, sc script, key string, args ...any) (bool, error) {
	cmd, err := evalAgain(ctx, s, goredis.NewBoolCmd, sc, key, args...)
	if err != nil {
		return false, s.fail(ctx, op, key, err)
	}
	return cmd.Val(), nil
}

// evalAgain runs a script on a key and its lease, as often as it takes. What
// args hold must not be changed afterwards.
func evalAgain[C goredis.Cmder](ctx context.Context, s *Store, newCmd func(context.Context, ...any) C, sc script, key string, args ...any) (C, error) {
	full := s.prefix + key
	size := 0
	for _, arg := range args {
		if value, ok := arg.([]byte); ok {
			size += len(value)
		}
	}
	return evalKeys(ctx, s, newCmd, sc, [2]string{full, leaseKey(full)}, size, args...)
}

// evalKeys is evalAgain for any two keys of one slot. size is that of the args.
func evalKeys[C goredis.Cmder](ctx context.Context, s *Store, newCmd func(context.Context, ...any) C, sc script, keys [2]string, size int, args ...any) (C, error) {
	cmd := newCmd(ctx, append([]any{"evalsha", sc.hash, 2, keys[0], keys[1]}, args...)...)
	err := s.send(ctx, cmd, size)
	if goredis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = newCmd(ctx, append([]any{"eval", sc.source, 2, keys[0], keys[1]}, args...)...)
		err = s.send(ctx, cmd, size)
	}
	return cmd, err
}
