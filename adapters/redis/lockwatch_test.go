package redis

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func waitFor(t *testing.T, ctx context.Context, s store.WatchLockStore, key string) <-chan struct{} {
	t.Helper()
	freed, err := s.WatchLock(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return freed
}

// receives waits until something is told.
func receives(t *testing.T, what string, freed <-chan struct{}) {
	t.Helper()
	select {
	case <-freed:
	case <-time.After(patience):
		t.Fatalf("%s: nothing was received within %v", what, patience)
	}
}

// tellsUnlock checks that an Unlock by s is told, by a connection that is there.
func tellsUnlock(t *testing.T, s store.LockStore, key string, freed <-chan struct{}) {
	t.Helper()
	for range 3 {
		take(t, s, key, "token")
		select {
		case <-freed:
		default:
		}
		free(t, s, key, "token")
		receives(t, "Unlock", freed)
	}
}

// lockLines returns the addresses of the connections that watch locks.
func lockLines(t *testing.T, client *goredis.Client) (addrs []string) {
	t.Helper()
	list, err := client.Do(context.Background(), "client", "list", "type", "pubsub").Text()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		for field := range strings.FieldsSeq(line) {
			if addr, ok := strings.CutPrefix(field, "addr="); ok {
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs
}

// noLockStacks waits until nothing runs for those who wait for locks.
func noLockStacks(t *testing.T) {
	t.Helper()
	eventually(t, "the end of the goroutines", func() bool {
		stacks := make([]byte, 1<<20)
		text := string(stacks[:runtime.Stack(stacks, true)])
		return !strings.Contains(text, "redis.(*lockLine)") && !strings.Contains(text, "placeLocks") && !strings.Contains(text, "redis.(*line)")
	})
}

func TestWatchLockTells(t *testing.T) {
	for name, client := range watchClients(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := quick(unique(t))
			s, other := newStore(t, client, opts), newStore(t, client, opts)
			for _, key := range append([]string{"a", "b", "c", "d", strings.Repeat("k", store.MaxKeyLen)}, "{tag}ged", "br{aces", "}", "\x00\xff\r\n") {
				freed := waitFor(t, t.Context(), s, key)
				receives(t, "the subscription", freed)
				tellsUnlock(t, s, key, freed)
				tellsUnlock(t, other, key, freed)
			}
		})
	}
}

// All who wait share a connection, which ends a moment after them.
func TestLockWaitersShare(t *testing.T) {
	server := testservers.StartRedis(t)
	client := newClient(t, server.Addr)
	s := newStore(t, client, &Options{Prefix: "p:", Timeout: patience, WatchDelta: 4 * time.Second})
	take(t, s, "k", "token")
	free(t, s, "k", "token")
	if addrs := lockLines(t, client); len(addrs) != 0 {
		t.Errorf("%v watch, though nobody waits", addrs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 50 {
		key := fmt.Sprint("key", i%25)
		tellsUnlock(t, s, key, waitFor(t, ctx, s, key))
	}
	before := lockLines(t, client)
	if len(before) != 1 {
		t.Errorf("%v watch, want one connection", before)
	}
	channels := func() int { return len(client.PubSubChannels(t.Context(), lockMark+"*").Val()) }
	if n := channels(); n != 25 {
		t.Errorf("%d subscriptions for 25 locks", n)
	}

	// Who comes a moment later finds the connection, and the subscription.
	alone, endAlone := context.WithCancel(t.Context())
	cancel()
	time.Sleep(100 * time.Millisecond)
	freed := waitFor(t, alone, s, "key0")
	tellsUnlock(t, s, "key0", freed)
	eventually(t, "the end of the other subscriptions", func() bool { return channels() == 1 })
	tellsUnlock(t, s, "key0", freed)
	tellsUnlock(t, s, "key1", waitFor(t, alone, s, "key1"))
	if after := lockLines(t, client); len(after) != 1 || after[0] != before[0] {
		t.Errorf("%v watch, and did %v", after, before)
	}

	endAlone()
	eventually(t, "the end of the connection", func() bool { return len(lockLines(t, client)) == 0 })
	noLockStacks(t)
	tellsUnlock(t, s, "key0", waitFor(t, t.Context(), s, "key0"))
	s.Close()
	noLockStacks(t)
}

// A connection that is lost is made again, and what was missed is told.
func TestWatchLockReconnects(t *testing.T) {
	server := testservers.StartRedis(t)
	direct := newClient(t, server.Addr)
	proxy := faultproxy.New(t, server.Addr)
	s, other := newStore(t, newClient(t, proxy.Addr), quick("p:")), newStore(t, direct, quick("p:"))
	kill := func() { wantNil(t, direct.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err()) }
	for _, test := range []struct {
		name    string
		do, end func()
	}{
		{"CLIENT KILL", kill, func() {}},
		{"black hole of this connection", func() {
			if n := proxy.Lose(lockLines(t, direct)...); n != 1 {
				t.Errorf("%d connections watch", n)
			}
		}, func() {}},
		{"black hole", proxy.BlackHole, proxy.Pass},
		{"cut", proxy.Cut, proxy.Pass},
		{"SIGSTOP", server.Pause, server.Resume},
		{"restart", server.Kill, server.Restart},
	} {
		t.Run(test.name, func(t *testing.T) {
			freed := waitFor(t, t.Context(), s, "k")
			tellsUnlock(t, other, "k", freed)
			test.do()
			time.Sleep(2 * s.watchDelta) // it is given up by then
			test.end()
			receives(t, "the new connection", freed)
			eventually(t, "the server", func() bool { return other.Ping(t.Context()) == nil })
			tellsUnlock(t, other, "k", freed)
		})
	}
}

// The scripts go to another server, and the one that is watched still answers:
// as after a failover.
func TestWatchLockFollowsTheData(t *testing.T) {
	old, new := testservers.StartRedis(t), testservers.StartRedis(t)
	var addr atomic.Value
	addr.Store(old.Addr)
	opts := advised(&goredis.Options{Addr: old.Addr})
	opts.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr.Load().(string))
	}
	client := goredis.NewClient(opts)
	defer client.Close()
	s := newStore(t, client, quick("p:"))
	freed := waitFor(t, t.Context(), s, "k")
	tellsUnlock(t, s, "k", freed)
	addr.Store(new.Addr)
	wantNil(t, newClient(t, old.Addr).ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())
	receives(t, "the other server", freed)
	eventually(t, "the other server", func() bool { return len(lockLines(t, newClient(t, new.Addr))) == 1 })
	tellsUnlock(t, s, "k", freed)
}

// A lock whose slot goes over to another server is watched there.
func TestWatchLockResharding(t *testing.T) {
	group := testservers.StartRedisCluster(t)
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: group.Addrs, ContextTimeoutEnabled: true})
	defer client.Close()
	s := newStore(t, client, quick("p:"))
	var freed []<-chan struct{}
	for i := range 10 {
		freed = append(freed, waitFor(t, t.Context(), s, fmt.Sprint(i)))
		tellsUnlock(t, s, fmt.Sprint(i), freed[i])
	}
	from, err := client.MasterForKey(t.Context(), lockKeys("p:0")[0])
	wantNil(t, err)
	slot, err := client.ClusterKeySlot(t.Context(), "p:0").Result()
	wantNil(t, err)
	var to *goredis.Client
	for _, addr := range group.Addrs {
		if addr != from.Options().Addr {
			to = newClient(t, addr)
		}
	}
	id, err := to.ClusterMyID(t.Context()).Result()
	wantNil(t, err)
	wantNil(t, from.FlushAll(t.Context()).Err()) // a slot with keys cannot be given away like that
	for _, addr := range group.Addrs {
		wantNil(t, newClient(t, addr).Do(t.Context(), "cluster", "setslot", slot, "node", id).Err())
	}
	receives(t, "the other server", freed[0])
	for i := range freed {
		eventually(t, "the cluster", func() bool {
			r, err := s.TryLock(t.Context(), fmt.Sprint(i), "first", patience)
			return r.Acquired && err == nil
		})
		free(t, s, fmt.Sprint(i), "first")
		receives(t, "Unlock", freed[i])
		tellsUnlock(t, s, fmt.Sprint(i), freed[i])
	}
}

// Close returns soon in whatever state the connection is, wakes those who wait
// and leaves nothing behind.
func TestWatchLockClose(t *testing.T) {
	for name, client := range watchClients(t) {
		s := newStore(t, client, quick(unique(t)))
		freed := waitFor(t, t.Context(), s, "k")
		tellsUnlock(t, s, "k", freed)
		soon(t, name, s)
		receives(t, "Close", freed)
	}
	proxy := faultproxy.New(t, testservers.Redis(t).Addr)
	for name, test := range map[string]struct{ before, after func() }{
		"at once":          {proxy.Pass, func() {}},
		"connecting":       {proxy.BlackHole, func() { time.Sleep(50 * time.Millisecond) }},
		"refused":          {proxy.Cut, func() { time.Sleep(50 * time.Millisecond) }},
		"silent afterward": {proxy.Pass, func() { time.Sleep(50 * time.Millisecond); proxy.BlackHole() }},
	} {
		test.before()
		opts := quick(unique(t))
		opts.Timeout = time.Second
		s := newStore(t, goredis.NewClient(advised(&goredis.Options{Addr: proxy.Addr, ReadTimeout: time.Second})), opts)
		s.own = true
		freed := waitFor(t, t.Context(), s, "k")
		test.after()
		soon(t, name, s)
		receives(t, "Close", freed)
		noLockStacks(t)
	}
}

// Those who wait come and go at once.
func TestLockWaitersComeAndGo(t *testing.T) {
	onServers(t, func(t *testing.T, stores []*Store) {
		s := stores[0]
		for i := range 500 {
			ctx, cancel := context.WithCancel(t.Context())
			waitFor(t, ctx, s, fmt.Sprint(i%7))
			go cancel()
		}
		for i := range 7 {
			tellsUnlock(t, stores[1], fmt.Sprint(i), waitFor(t, t.Context(), s, fmt.Sprint(i)))
		}
		s.Close()
		noLockStacks(t)
		if freed, err := s.WatchLock(t.Context(), "k"); freed != nil || err == nil {
			t.Error("a closed store can be watched")
		}
	})
}

// onServers runs a test with two stores of the same entries, each of which has a
// client of its own.
func onServers(t *testing.T, test func(t *testing.T, stores []*Store)) {
	for name, client := range map[string]func() goredis.UniversalClient{
		"single":  func() goredis.UniversalClient { return newClient(t, testservers.Redis(t).Addr) },
		"cluster": func() goredis.UniversalClient { return newCluster(t) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := &Options{Prefix: unique(t), Timeout: patience}
			test(t, []*Store{newStore(t, client(), opts), newStore(t, client(), opts)})
		})
	}
}
