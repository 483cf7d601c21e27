package redis

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testreport"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis reports every dial that fails
	testservers.Main(m)
}

// abilities are all that a Store offers.
var abilities = []string{
	"GetMany", "SetMany", "DeleteMany", "GetWithTTL", "GetManyWithTTL", "Add", "CompareAndSwap", "CompareAndDelete",
	"Touch", "Keys", "Clear", "Ping", "Lease", "Watch", "Lock", "WatchLock",
}

// The suite runs whole where something behind the client behaves otherwise: a
// clock that it can move, a server whose network it breaks, a cluster, a view.
// Another way to reach the same server is tried with the cases for which it is
// not the same. A view over it would show nothing that one over a server does
// not.
func TestConformance(t *testing.T) {
	run := func(name string, prove func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it waits
			prove(t)
		})
	}
	run("miniredis", func(t *testing.T) {
		server := miniredis.RunT(t)
		prove(t, goredis.NewClient(advised(&goredis.Options{Addr: server.Addr()})), conformance.Options{
			Advance: server.FastForward,
			Skip:    map[string]string{"Watch/Expiry": "miniredis has no tracking, and expiry is not published"},
		})
	})
	run("server", func(t *testing.T) {
		proxy := faultproxy.New(t, testservers.StartRedis(t).Addr)
		client := goredis.NewClient(advised(&goredis.Options{Addr: proxy.Addr}))
		prove(t, client, conformance.Options{Fault: faults(t, proxy, client), Report: testreport.Check(t)})
	})
	run("view", func(t *testing.T) {
		proxy := faultproxy.New(t, testservers.StartRedis(t).Addr)
		client := goredis.NewClient(advised(&goredis.Options{Addr: proxy.Addr}))
		proveView(t, client, conformance.Options{Fault: faults(t, proxy, client)})
	})
	run("cluster", func(t *testing.T) {
		prove(t, goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs:                 testservers.RedisCluster(t).Addrs,
			ContextTimeoutEnabled: true,
		}), conformance.Options{})
	})
	run("TLS and ACL", func(t *testing.T) {
		server := testservers.RedisTLS(t)
		provePart(t, goredis.NewClient(advised(&goredis.Options{
			Addr: server.Addr, Username: server.Username, Password: server.Password, TLSConfig: server.TLS,
		})), conformance.Options{})
	})
	run("unadvised client", func(t *testing.T) { // without ContextTimeoutEnabled
		proxy := faultproxy.New(t, testservers.StartRedis(t).Addr)
		client := goredis.NewClient(&goredis.Options{Addr: proxy.Addr})
		provePart(t, client, conformance.Options{Fault: faults(t, proxy, client)})
	})
	run("unix socket", func(t *testing.T) {
		provePart(t, goredis.NewClient(advised(&goredis.Options{Addr: testservers.Redis(t).Socket})), conformance.Options{})
	})
	run("sentinel", func(t *testing.T) {
		sentinel := testservers.RedisSentinel(t)
		provePart(t, goredis.NewFailoverClient(&goredis.FailoverOptions{
			SentinelAddrs:         sentinel.Addrs,
			MasterName:            sentinel.MasterName,
			ContextTimeoutEnabled: true,
		}), conformance.Options{})
	})
}

// advised adds what this package advises to set on a client.
func advised(opts *goredis.Options) *goredis.Options {
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout = time.Second
	opts.DialerRetries = 1
	return opts
}

// faults are those of the network to a server.
func faults(t *testing.T, proxy *faultproxy.Proxy, client goredis.UniversalClient) *conformance.Fault {
	return &conformance.Fault{
		Break: proxy.Cut,
		Hang:  proxy.BlackHole,
		Restore: func() {
			proxy.Pass()
			// A go-redis client that could not connect for a while tries again
			// once a second.
			for range 100 {
				if client.Ping(t.Context()).Err() == nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Error("the server does not answer again")
		},
	}
}

// prove runs the suite on stores of one client.
func prove(t *testing.T, client goredis.UniversalClient, opts conformance.Options) {
	proveOn(t, client, opts, func(string) bool { return true })
}

// connecting are the groups of cases in which the way to the server may
// matter: every command is sent and every kind of connection opened, used from
// many goroutines, given up, broken and closed. The others are about what the
// commands do, which the server does not let depend on the way.
var connecting = []string{"Abilities", "Basics", "Watch", "Lease", "Ping", "Context", "Failure", "Close", "Concurrency", "Reopen"}

// provePart runs the groups connecting.
func provePart(t *testing.T, client goredis.UniversalClient, opts conformance.Options) {
	run := t.Name() + "/"
	proveOn(t, client, opts, func(test string) bool {
		id, isCase := strings.CutPrefix(test, run)
		group, _, _ := strings.Cut(id, "/")
		return !isCase || slices.Contains(connecting, group)
	})
}

// proveOn runs those cases of the suite whose test is to run by its name.
func proveOn(t *testing.T, client goredis.UniversalClient, opts conformance.Options, runs func(test string) bool) {
	t.Cleanup(func() { client.Close() })
	opts.Want = abilities
	opts.Reopen = func(t *testing.T, s store.Store) store.Store {
		return newStore(t, client, proved(s.(*Store).prefix, &opts))
	}
	open := opener(client, &opts)
	conformance.Run(t, func(t *testing.T) store.Store {
		if !runs(t.Name()) {
			t.Skip("the same on every way to a server")
		}
		return open(t)
	}, step(opts))
}

// proveView runs the suite on store.Prefix over stores of one client.
func proveView(t *testing.T, client goredis.UniversalClient, opts conformance.Options) {
	t.Cleanup(func() { client.Close() })
	opts.MaxKey = store.MaxKeyLen - len("p:")
	open := opener(client, &opts)
	conformance.Run(t, func(t *testing.T) store.Store { return store.Prefix(open(t), "p:") }, step(opts))
}

// patience is for a machine that has much else to do.
const patience = 30 * time.Second

func opener(client goredis.UniversalClient, opts *conformance.Options) func(t *testing.T) store.Store {
	return func(t *testing.T) store.Store { return newStore(t, client, proved(unique(t), opts)) }
}

// proved are the options of a store that goes through the suite.
func proved(prefix string, suite *conformance.Options) *Options {
	opts := &Options{Prefix: prefix, Timeout: patience}
	if suite.Advance != nil { // miniredis
		opts.Watching = WatchPublish
	}
	return opts
}

// step tells the suite about the expiry of a real server: it is rounded up to
// the millisecond, and an entry stays until the millisecond of its expiry is
// over.
func step(opts conformance.Options) *conformance.Options {
	if opts.Advance == nil {
		opts.TTLStep = 2 * time.Millisecond
	}
	return &opts
}

var stores atomic.Int64

// unique returns a prefix that no other test uses, with characters that mean
// something in a pattern.
func unique(t *testing.T) string {
	return fmt.Sprintf("%s[%d]*?\\:", t.Name(), stores.Add(1))
}

func newStore(t testing.TB, client goredis.UniversalClient, opts *Options) *Store {
	t.Helper()
	s, err := New(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
