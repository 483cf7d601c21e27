package lock

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/testservers"
)

// lossTTL is so long that a holder who is told with the next renewal, late on a
// busy machine, is told long before its lease would end by itself: after a third,
// and not after two thirds at least.
const lossTTL = 4 * time.Second

// A server loses its data. Another can have the lock at once, with a larger
// fence, and the holder is told with its next renewal.
func TestServerLosesItsData(t *testing.T) {
	t.Parallel()
	onOwnSites(t, func(t *testing.T, s *site) {
		loses(t, s, "flushed", func() { flush(t, s) })
		loses(t, s, "restarted", func() { s.server.Kill(); s.server.Restart() })
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		group := testservers.StartRedisCluster(t)
		s := newSite(t, "cluster", group.Addrs...)
		loses(t, s, "flushed", func() { flush(t, s) })
	})
}

func flush(t *testing.T, s *site) {
	t.Helper()
	for _, addr := range s.addrs {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		command := "flushall\r\n"
		if s.kind == "memcached" {
			command = "flush_all\r\n"
		}
		fmt.Fprint(conn, command)
		conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
}

func loses(t *testing.T, s *site, name string, lose func()) {
	t.Helper()
	k := newLock(t, s.open(t, nil), &Options{TTL: lossTTL})
	first := lockWithin(t, k, name, patience)
	lose()
	lost := startStopwatch()
	other := newLock(t, s.open(t, nil), &Options{TTL: longTTL}) // none of its connections is from before
	second := lockWithin(t, other, name, patience)
	if second.Fence() <= first.Fence() {
		t.Errorf("%s: fence %d after %d", name, second.Fence(), first.Fence())
	}
	wantTold(t, first)
	if after := lost.passed(); after > lossTTL/3+late {
		t.Errorf("%s: the holder was told after %v; the process stood still for %v", name, after, lost.stalled())
	}
	wantLost(t, first, 0)
	if second.Context().Err() != nil || s.left(t, name) == 0 {
		t.Errorf("%s: the next holder has lost the lock by that", name)
	}
	mustUnlock(t, second)
}

// A failover loses the lock, as the replica does not have it yet. That two hold
// it cannot be helped: the fence of the second is larger, and the first is told
// when its client finds the new master.
func TestFailoverLosesTheLock(t *testing.T) {
	t.Parallel()
	const ttl = 9 * time.Second // longer than a failover takes
	group := testservers.StartRedisSentinel(t, 1, 500*time.Millisecond)
	open := func() *redis.Store {
		client := goredis.NewFailoverClient(&goredis.FailoverOptions{
			SentinelAddrs: group.Addrs, MasterName: group.MasterName,
			ContextTimeoutEnabled: true, DialTimeout: late, DialerRetries: 1,
		})
		s, err := redis.New(client, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(); client.Close() })
		return s
	}
	ctx := t.Context()
	k, other := newLock(t, open(), &Options{TTL: ttl}), newLock(t, open(), &Options{TTL: longTTL})
	first := lockWithin(t, k, "a", patience)

	// The replica loses the lock and its fence.
	replica := goredis.NewClient(&goredis.Options{Addr: group.Servers[1].Addr})
	defer replica.Close()
	eventually(t, "the replica has it", patience, func() bool { return replica.Exists(ctx, "cairn:lock:{a}").Val() == 1 })
	if err := replica.ConfigSet(ctx, "replica-read-only", "no").Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := replica.Del(ctx, "cairn:lock:{a}", "cairn:lock:fence:{a}").Result(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	group.Servers[0].Pause()
	var second *Lease
	eventually(t, "the lock on the new master", patience, func() bool {
		var err error
		second, err = other.TryLock(ctx, "a")
		return err == nil
	})
	acquired := startStopwatch()
	if second.Fence() <= first.Fence() {
		t.Errorf("fence %d after %d", second.Fence(), first.Fence())
	}
	wantTold(t, first)
	if after := acquired.passed(); after > ttl/3+late {
		t.Errorf("the first holder was told after %v; the process stood still for %v", after, acquired.stalled())
	}
	wantLost(t, first, 0)
	if second.Context().Err() != nil || context.Cause(second.Context()) != nil {
		t.Error("the next holder has lost the lock by that")
	}
	if left, err := replica.PTTL(ctx, "cairn:lock:{a}").Result(); left <= 0 || err != nil {
		t.Errorf("on the new master the lock is left for %v, %v", left, err)
	}
	mustUnlock(t, second)
}
