package lock

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/testservers"
)

// Renewals keep the lock, all the time and for several ttls. If the process
// stands still for so long that they come too late, it is tried again.
func TestRenewalKeepsTheLockOnTheServer(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	onSites(t, func(t *testing.T, s *site) {
		k, other := newLock(t, s.open(t, nil), &Options{TTL: ttl}), newLock(t, s.direct, &Options{TTL: ttl})
		for range 5 {
			start := startStopwatch()
			fault := keeps(t, s, k, other, ttl)
			if fault == "" {
				return
			}
			t.Logf("the process stood still for %v: %s", start.stalled(), fault)
			if start.stalled() < ttl/10 {
				t.FailNow()
			}
		}
		t.Error("it was never kept")
	})
}

// keeps returns what was seen of a lock that is lost.
func keeps(t *testing.T, s *site, k, other *Locker, ttl time.Duration) (fault string) {
	t.Helper()
	before := k.Stats().Renewals
	l := mustLock(t, k, "a")
	defer l.Unlock(t.Context())
	for start := time.Now(); time.Since(start) < 3*ttl; time.Sleep(10 * time.Millisecond) {
		if got, err := other.TryLock(t.Context(), "a"); got != nil || !errors.Is(err, ErrHeld) {
			if got != nil {
				defer got.Unlock(t.Context())
			}
			return fmt.Sprintf("another has got it: %v, %v", got != nil, err)
		}
		if left := s.left(t, "a"); left == 0 || left > ttl+time.Millisecond {
			return fmt.Sprintf("the lock is left for %v after %v", left, time.Since(start))
		}
	}
	if n := k.Stats().Renewals - before; n < 4 || n > 9 || l.Context().Err() != nil {
		return fmt.Sprintf("%d renewals in 3 ttls, %v", n, l.Context().Err())
	}
	mustUnlock(t, l)
	if left := s.left(t, "a"); left != 0 {
		t.Errorf("it is left for %v after Unlock", left)
	}
	return ""
}

// evals is how many scripts a server has run.
func evals(t *testing.T, client *goredis.Client) (n int) {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`cmdstat_eval\w*:calls=(\d+)`).FindAllStringSubmatch(info, -1) {
		calls, _ := strconv.Atoi(found[1])
		n += calls
	}
	return n
}

// After Unlock nothing more is sent, and the next holder's lock runs out as if
// nobody had held it before. That Unlock comes just when a renewal is due, or is
// under way, makes no difference.
func TestNoRenewalAfterUnlockOnTheServer(t *testing.T) {
	t.Parallel()
	const (
		ttl    = 2 * late
		leases = 50
	)
	server := testservers.StartRedis(t)
	s := newSite(t, "redis", server.Addr)
	k, other := newLock(t, s.open(t, nil), &Options{TTL: ttl}), newLock(t, s.direct, &Options{TTL: longTTL, NoRenewal: true})
	look := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer look.Close()
	warm(t, k)
	var all sync.WaitGroup
	for i := range leases {
		all.Go(func() {
			name := strconv.Itoa(i)
			l, err := k.Lock(t.Context(), name)
			if err != nil {
				t.Error(err)
				return
			}
			// From 20 ms before the first renewal to 80 ms after it.
			due := l.Validity() - validity(ttl) + ttl/3
			sleep(t.Context(), due-20*time.Millisecond+time.Duration(i)*100*time.Millisecond/leases)
			mustUnlock(t, l)
			if next, err := other.Lock(t.Context(), name); err != nil || next.Fence() <= l.Fence() {
				t.Error(name, next, err)
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d were renewed before they were unlocked", k.Stats().Renewals, leases)
	var left [leases]time.Duration
	for i := range left {
		left[i] = s.left(t, strconv.Itoa(i))
	}
	asked, before := time.Now(), evals(t, look)
	sleep(t.Context(), ttl/2) // a renewal would be due after a third
	if after := evals(t, look); after != before {
		t.Errorf("%d scripts were run after Unlock", after-before)
	}
	passed := time.Since(asked)
	for i := range left {
		if now := s.left(t, strconv.Itoa(i)); now == 0 || now > left[i]-passed+2*time.Millisecond {
			t.Errorf("the lock of another is left for %v, and was for %v before %v passed", now, left[i], passed)
		}
	}
}

// counter counts the commands of a client, in its own order.
type counter struct {
	mu    sync.Mutex
	names []string
}

func (c *counter) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (c *counter) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.add(cmd)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		c.add(cmds...)
		return next(ctx, cmds)
	}
}

func (c *counter) add(cmds ...goredis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		c.names = append(c.names, cmd.Name())
	}
}

func (c *counter) took() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.names
	c.names = nil
	return names
}

// Where nobody else wants it, to lock and to unlock is one round trip each, and
// nobody subscribes to anything.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	one := []string{"evalsha"}
	single := testservers.StartRedis(t)
	for kind, client := range map[string]goredis.UniversalClient{
		"redis": goredis.NewClient(&goredis.Options{Addr: single.Addr, ContextTimeoutEnabled: true}),
		"cluster": goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: testservers.RedisCluster(t).Addrs, ContextTimeoutEnabled: true,
		}),
	} {
		s, err := redis.New(client, &redis.Options{Prefix: "roundtrips:", Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(); client.Close() })
		k := newLock(t, s, nil)
		warm(t, k)
		l := mustLock(t, k, "a")
		if err := l.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustUnlock(t, l) // now the server knows the scripts
		c := new(counter)
		client.AddHook(c)
		for _, take := range []func(context.Context, string) (*Lease, error){k.Lock, k.TryLock} {
			l, err := take(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if names := c.took(); !slices.Equal(names, one) {
				t.Errorf("%s: to lock took %v, want %v", kind, names, one)
			}
			if err := l.Extend(t.Context()); err != nil {
				t.Error(err)
			}
			if names := c.took(); !slices.Equal(names, one) {
				t.Errorf("%s: to extend took %v, want %v", kind, names, one)
			}
			mustUnlock(t, l)
			if names := c.took(); !slices.Equal(names, one) {
				t.Errorf("%s: to unlock took %v, want %v", kind, names, one)
			}
		}
	}
	look := goredis.NewClient(&goredis.Options{Addr: single.Addr})
	defer look.Close()
	info := look.Info(t.Context(), "commandstats").Val()
	if regexp.MustCompile(`cmdstat_s?subscribe`).MatchString(info) {
		t.Errorf("somebody has subscribed:\n%s", info)
	}
	// Each of the three scripts was sent once by name and once in full, and two
	// of them once more for the other lock; then each twice.
	if n := evals(t, look); n != 3*2+2+3*2 {
		t.Errorf("the server has run %d scripts", n)
	}
}
