package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

// none is the result of an exchange that has none.
type none = struct{}

// Get implements store.Store in one round trip. A key that holds something
// else than a string is an error matching ErrUnavailable.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	const op = "get"
	if err := s.check(ctx, op, key); err != nil {
		return nil, err
	}
	cmd := goredis.NewStringCmd(ctx, "get", s.prefix+key)
	if err := s.do(ctx, cmd); err != nil {
		return nil, s.fail(ctx, op, key, err)
	}
	return cmd.Bytes()
}

// Set implements store.Store in one round trip, a transaction of two commands:
// the second ends the lease of the key, if there is one. A ttl is rounded up to the
// millisecond. A value of more than 512 MiB is ErrTooLarge; a server that is
// configured to take less closes the connection, which is ErrUnavailable.
// Another program's list or hash under the key is replaced.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	const op = "set"
	if err := s.checkTTL(ctx, op, key, ttl); err != nil {
		return err
	}
	if len(value) > maxValue {
		// What was there before must not be read any more.
		if err := s.unlink(ctx, op, key); err != nil {
			return err
		}
		return tooLarge(op, key, value)
	}
	full := s.prefix + key
	value = s.keep(ctx, value)
	cmd := goredis.NewStatusCmd(ctx, s.setArgs(full, value, ttl)...)
	voids := goredis.NewIntCmd(ctx, "unlink", leaseKey(full))
	err := s.send(ctx, &sequence{cmd, s.announced(ctx, full, voids)}, len(value))
	if repeatable(err) {
		_, err = evalAgain(ctx, s, goredis.NewBoolCmd, set, key, value, s.millis(ttl), s.announce())
	}
	return s.fail(ctx, op, key, err)
}

// Delete implements store.Store in one round trip, by a script: where there is
// a lease and no entry, it has WatchTracking tell of the key all the same.
func (s *Store) Delete(ctx context.Context, key string) error {
	const op = "delete"
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return s.unlink(ctx, op, key)
}

// unlink removes a key and its lease.
func (s *Store) unlink(ctx context.Context, op, key string) error {
	_, err := s.runAgain(ctx, op, unlink, key, s.announce())
	return err
}

// announced adds to the commands that follow a write of a full key the one
// that publishes it, if that is asked for.
func (s *Store) announced(ctx context.Context, full string, cmds ...goredis.Cmder) []goredis.Cmder {
	if s.publishes {
		cmds = append(cmds, goredis.NewIntCmd(ctx, "publish", s.channel, full))
	}
	return cmds
}

// announce is the channel that a script publishes to, or nothing.
func (s *Store) announce() string {
	if s.publishes {
		return s.channel
	}
	return ""
}

// TTL implements store.Store in one round trip. It is what was left when the
// server answered.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	const op = "ttl"
	if err := s.check(ctx, op, key); err != nil {
		return 0, err
	}
	cmd := goredis.NewIntCmd(ctx, "pttl", s.prefix+key)
	if err := s.do(ctx, cmd); err != nil {
		return 0, s.fail(ctx, op, key, err)
	}
	ttl, err := left(cmd.Val())
	return ttl, s.fail(ctx, op, key, err)
}

// GetWithTTL implements store.GetWithTTLStore in one round trip, a transaction
// of two commands.
func (s *Store) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	const op = "getwithttl"
	if err := s.check(ctx, op, key); err != nil {
		return nil, 0, err
	}
	e, err := exchange(ctx, s, func(ctx context.Context) (e store.Entry, err error) {
		get := goredis.NewStringCmd(ctx, "get", s.prefix+key)
		ttl := goredis.NewIntCmd(ctx, "pttl", s.prefix+key)
		if err := s.transaction(ctx, get, ttl); err != nil {
			return e, err
		}
		if e.TTL, err = left(ttl.Val()); err != nil {
			return e, err
		}
		e.Value, err = get.Bytes()
		return e, err
	})
	if err != nil {
		return nil, 0, s.fail(ctx, op, key, err)
	}
	return e.Value, e.TTL, nil
}

// Touch implements store.TouchStore in one round trip.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	const op = "touch"
	if err := s.checkTTL(ctx, op, key, ttl); err != nil {
		return err
	}
	full := s.prefix + key
	exists := goredis.NewBoolCmd(ctx, "exists", full)
	var err error
	if ms := s.millis(ttl); ms > 0 {
		exists = goredis.NewBoolCmd(ctx, "pexpire", full, ms)
		var cmd goredis.Cmder = exists
		if s.publishes { // the entry may have less time now than its copies elsewhere
			cmd = &sequence{exists, s.announced(ctx, full)}
		}
		err = s.do(ctx, cmd)
	} else {
		// PERSIST does not tell an absent key from one without expiry.
		_, err = exchange(ctx, s, func(ctx context.Context) (none, error) {
			return none{}, s.transaction(ctx, exists, goredis.NewIntCmd(ctx, "persist", full))
		})
	}
	if err == nil && !exists.Val() {
		err = goredis.Nil
	}
	return s.fail(ctx, op, key, err)
}

// transaction runs two commands on one key, with nothing in between.
func (s *Store) transaction(ctx context.Context, a, b goredis.Cmder) error {
	pipe := s.client.TxPipeline()
	pipe.Process(ctx, a) // it is queued
	pipe.Process(ctx, b) // likewise
	_, err := pipe.Exec(ctx)
	return err
}
