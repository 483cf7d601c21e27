package lock_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/lock"
)

const (
	ttl = 10 * time.Second

	// connections is how many a process may use: one for each goroutine.
	connections = 16
)

// A lockFunc waits for a lock.
type lockFunc func(ctx context.Context, name string) (unlock func() error, err error)

// A library is what is compared, with the settings that its documentation
// advises for one server and a lock that is wanted by many.
type library struct {
	name string
	open func(addr string) (l lockFunc, end func(), err error)

	// sends are the commands that a client sends for locks, by their names in
	// INFO commandstats, which counts those that scripts call as well.
	sends []string
}

var libraries = []library{
	{"cairn", openCairn, scripts},
	{"rueidislock", openRueidislock, scripts},
	{"redislock", openRedislock, scripts},
	{"redsync", openRedsync, append([]string{"set"}, scripts...)},
}

var scripts = []string{"eval", "evalsha"}

func openCairn(addr string) (lockFunc, func(), error) {
	client := newClient(addr)
	s, err := redis.New(client, nil)
	if err != nil {
		return nil, nil, err
	}
	locker, err := lock.New(s, &lock.Options{TTL: ttl})
	if err != nil {
		return nil, nil, err
	}
	take := func(ctx context.Context, name string) (func() error, error) {
		lease, err := locker.Lock(ctx, name)
		if err != nil {
			return nil, err
		}
		return func() error { return lease.Unlock(ctx) }, nil
	}
	return take, func() { locker.Close(context.Background()); s.Close(); client.Close() }, nil
}

// openRueidislock has the settings of the library's own benchmark. It uses one
// connection whatever it is allowed to.
func openRueidislock(addr string) (lockFunc, func(), error) {
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: []string{addr}},
		KeyMajority:    1,
		NoLoopTracking: true,
		KeyValidity:    ttl,
	})
	if err != nil {
		return nil, nil, err
	}
	take := func(ctx context.Context, name string) (func() error, error) {
		_, cancel, err := locker.WithContext(ctx, name)
		if err != nil {
			return nil, err
		}
		return func() error { cancel(); return nil }, nil
	}
	return take, locker.Close, nil
}

// poll is how often the libraries ask that do not wait for a message. Of 0.5 to
// 10 ms it gives them the most handovers with four processes. If they ask more
// often, server and processors are busy with that; if less often, one goroutine
// takes the lock again and again while the others sleep.
const poll = 2 * time.Millisecond

func openRedislock(addr string) (lockFunc, func(), error) {
	client := newClient(addr)
	locker := redislock.New(client)
	opts := &redislock.Options{RetryStrategy: redislock.LinearBackoff(poll)}
	take := func(ctx context.Context, name string) (func() error, error) {
		l, err := locker.Obtain(ctx, name, ttl, opts)
		if err != nil {
			return nil, err
		}
		return func() error { return l.Release(ctx) }, nil
	}
	return take, func() { client.Close() }, nil
}

func openRedsync(addr string) (lockFunc, func(), error) {
	client := newClient(addr)
	pool := redsync.New(redsyncredis.NewPool(client))
	opts := []redsync.Option{
		redsync.WithExpiry(ttl),
		redsync.WithTries(math.MaxInt),
		redsync.WithRetryDelayFunc(func(int) time.Duration { return poll/2 + rand.N(poll) }), // its own is random as well
	}
	take := func(ctx context.Context, name string) (func() error, error) {
		m := pool.NewMutex(name, opts...)
		if err := m.LockContext(ctx); err != nil {
			return nil, err
		}
		return func() error {
			unlocked, err := m.UnlockContext(ctx)
			if err == nil && !unlocked {
				err = errors.New("redsync: not unlocked")
			}
			return err
		}, nil
	}
	return take, func() { client.Close() }, nil
}

func newClient(addr string) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: addr, PoolSize: connections, MinIdleConns: connections, ContextTimeoutEnabled: true,
	})
}
