package lock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	memcacheadapter "github.com/cairncache/cairn/adapters/memcache"
	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis reports every dial that fails
	testprocess.Main(processConfig.run)
	go watchStalls()
	testservers.Main(m)
}

// stalls is what watchStalls has seen: for how long in sum this process could
// not run when it wanted to, and when it did last.
var stalls struct{ sum, last atomic.Int64 } // ns, and Unix ns

const stallTick = 10 * time.Millisecond

func watchStalls() {
	for {
		stalls.last.Store(time.Now().UnixNano())
		time.Sleep(stallTick)
		stalls.sum.Add(int64(stalling()))
	}
}

// stalling is how long the stall is that has not ended yet.
func stalling() time.Duration {
	return max(0, time.Since(time.Unix(0, stalls.last.Load()))-2*stallTick)
}

// A stopwatch stands still while the process does, so that what is due in some
// time is not late because the machine had no time for it.
type stopwatch struct {
	start time.Time
	sum   time.Duration
}

func startStopwatch() stopwatch {
	return stopwatch{time.Now(), time.Duration(stalls.sum.Load()) + stalling()}
}

func (w stopwatch) stalled() time.Duration {
	return time.Duration(stalls.sum.Load()) + stalling() - w.sum
}

func (w stopwatch) passed() time.Duration { return time.Since(w.start) - w.stalled() }

const (
	// late is how much later than it is due something may be noticed, as
	// several processes have to get their turn for it. See stopwatch for when
	// this one does not get any.
	late = time.Second

	// patience is for what must happen, and has no time.
	patience = 20 * time.Second

	// longTTL is of locks that must not end by themselves in a test.
	longTTL = time.Minute
)

// A site is where real servers keep locks.
type site struct {
	kind   string // "redis", "cluster" or "memcached"
	addrs  []string
	prefix string
	direct store.Store // without a proxy, for the test to look
	client goredis.UniversalClient
	server *testservers.Process // nil if it is shared
}

var sitePrefixes atomic.Int64

func newSite(t *testing.T, kind string, addrs ...string) *site {
	t.Helper()
	s := &site{kind: kind, addrs: addrs, prefix: fmt.Sprintf("t%d:", sitePrefixes.Add(1))}
	s.direct = s.open(t, nil)
	return s
}

// onSites runs a test on each kind of servers, which others use too.
func onSites(t *testing.T, test func(t *testing.T, s *site)) {
	for kind, addrs := range map[string]func(t *testing.T) []string{
		"redis":     func(t *testing.T) []string { return []string{testservers.Redis(t).Addr} },
		"cluster":   func(t *testing.T) []string { return testservers.RedisCluster(t).Addrs },
		"memcached": func(t *testing.T) []string { return []string{testservers.Memcached(t).Addr} },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newSite(t, kind, addrs(t)...))
		})
	}
}

// onOwnSites runs a test on each kind of single servers, started for it.
func onOwnSites(t *testing.T, test func(t *testing.T, s *site)) {
	for kind, start := range map[string]func(t testing.TB, args ...string) *testservers.Process{
		"redis":     testservers.StartRedis,
		"memcached": testservers.StartMemcached,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			s := newSite(t, kind, server.Addr)
			s.server = server
			test(t, s)
		})
	}
}

func clusterSite(t *testing.T) *site {
	return newSite(t, "cluster", testservers.RedisCluster(t).Addrs...)
}

// url is for other processes.
func (s *site) url() string {
	scheme := map[string]string{"redis": "redis", "cluster": "redis+cluster", "memcached": "memcache"}[s.kind]
	return fmt.Sprintf("%s://%s?timeout=%v&prefix=%s", scheme, strings.Join(s.addrs, ","), patience, s.prefix)
}

// open makes a store of which each connection to a server goes by way of
// another address, if that is in via.
func (s *site) open(t *testing.T, via map[string]string, change ...func(*goredis.UniversalOptions)) store.Store {
	t.Helper()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if other := via[addr]; other != "" {
			addr = other
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	if s.kind == "memcached" {
		client := memcache.New(s.addrs...)
		client.MaxIdleConns, client.Timeout, client.DialContext = 64, 2*late, dial
		m, err := memcacheadapter.New(client, &memcacheadapter.Options{Prefix: s.prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close(); client.Close() })
		return m
	}
	o := &goredis.UniversalOptions{
		Addrs: s.addrs, IsClusterMode: s.kind == "cluster", ContextTimeoutEnabled: true,
		DialTimeout: late, DialerRetries: 1, ReadTimeout: 2 * late, Dialer: dial,
	}
	for _, f := range change {
		f(o)
	}
	client := goredis.NewUniversalClient(o)
	r, err := redis.New(client, &redis.Options{Prefix: s.prefix, Timeout: 2 * late})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); client.Close() })
	if s.client == nil {
		s.client = client
	}
	return r
}

// proxied makes a store that talks to its servers through proxies.
func (s *site) proxied(t *testing.T, change ...func(*goredis.UniversalOptions)) (store.Store, network) {
	t.Helper()
	via, all := make(map[string]string), network{}
	for _, addr := range s.addrs {
		p := faultproxy.New(t, addr)
		via[addr] = p.Addr
		all = append(all, p)
	}
	return s.open(t, via, change...), all
}

// network is the way to all servers of a site.
type network []*faultproxy.Proxy

func (n network) all(do func(p *faultproxy.Proxy)) {
	for _, p := range n {
		do(p)
	}
}

func (n network) pass() { n.all((*faultproxy.Proxy).Pass) }

// left is how long the server holds a lock from now on, 0 if it does not. It
// asks the server itself, past the proxies and package lock.
func (s *site) left(t testing.TB, name string) time.Duration {
	t.Helper()
	if s.kind == "memcached" {
		ttl, err := s.direct.TTL(context.Background(), entryPrefix+name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		return ttl
	}
	ms, err := s.client.Do(context.Background(), "pttl", s.key(name)).Int64()
	if err != nil {
		t.Error(err)
	}
	return time.Duration(max(ms, 0)) * time.Millisecond
}

// key is that of a lock in Redis.
func (s *site) key(name string) string { return "cairn:lock:{" + s.prefix + name + "}" }

// eventually waits for what must happen within d.
func eventually(t testing.TB, what string, d time.Duration, is func() bool) {
	t.Helper()
	for start := startStopwatch(); !is(); time.Sleep(2 * time.Millisecond) {
		if start.passed() > d {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// isDone does not look at the time, as the Context's Err does.
func isDone(l *Lease) bool {
	select {
	case <-l.Context().Done():
		return true
	default:
		return false
	}
}

// wantTold waits until a holder is told that the lock is lost, which must be
// before the lease would have ended by itself.
func wantTold(t testing.TB, l *Lease) {
	t.Helper()
	eventually(t, "the end of the Context", patience, func() bool { return isDone(l) })
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.until) {
		t.Errorf("the lease has ended by itself, %v ago", now.Sub(l.until))
	}
}

// wantLost checks that a holder is told within d, and has lost the lock.
func wantLost(t testing.TB, l *Lease, d time.Duration) {
	t.Helper()
	eventually(t, "the end of the Context", d, func() bool { return isDone(l) })
	if cause := context.Cause(l.Context()); cause != ErrLost {
		t.Errorf("the Context ended with %v", cause)
	}
	if err := l.Unlock(context.Background()); err != ErrLost {
		t.Errorf("Unlock of a lost lock: %v", err)
	}
}

func wantHeld(t testing.TB, k *Locker, name string) {
	t.Helper()
	l, err := k.TryLock(context.Background(), name)
	if !errors.Is(err, ErrHeld) {
		t.Errorf("TryLock of what another holds: %v, %v", l != nil, err)
	}
}

// lockWithin takes the lock, which must be free within d.
func lockWithin(t testing.TB, k *Locker, name string, d time.Duration) *Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	l, err := k.Lock(ctx, name)
	if err != nil {
		t.Fatalf("not within %v: %v", d, err)
	}
	return l
}
