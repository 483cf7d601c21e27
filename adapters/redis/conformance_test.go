package redis

import (
	"fmt"
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
	"Touch", "Keys", "Clear", "Ping", "Lease", "Watch",
}

func TestConformance(t *testing.T) {
	for _, run := range []struct {
		name  string
		prove func(*testing.T, goredis.UniversalClient, conformance.Options)
	}{{"bare", prove}, {"view", proveView}} {
		t.Run("miniredis/"+run.name, func(t *testing.T) {
			server := miniredis.RunT(t)
			client := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr()}))
			run.prove(t, client, conformance.Options{
				Advance: server.FastForward,
				Skip:    map[string]string{"Watch/Expiry": "miniredis has no tracking, and expiry is not published"},
			})
		})
		t.Run("server/"+run.name, func(t *testing.T) {
			proxy := faultproxy.New(t, testservers.Redis(t).Addr)
			client := goredis.NewClient(advised(&goredis.Options{Addr: proxy.Addr}))
			opts := conformance.Options{Fault: faults(t, proxy, client)}
			if run.name == "bare" {
				opts.Report = testreport.Check(t)
			}
			run.prove(t, client, opts)
		})
		t.Run("cluster/"+run.name, func(t *testing.T) {
			run.prove(t, goredis.NewClusterClient(&goredis.ClusterOptions{
				Addrs:                 testservers.RedisCluster(t).Addrs,
				ContextTimeoutEnabled: true,
			}), conformance.Options{})
		})
		t.Run("TLS and ACL/"+run.name, func(t *testing.T) {
			server := testservers.RedisTLS(t)
			run.prove(t, goredis.NewClient(advised(&goredis.Options{
				Addr: server.Addr, Username: server.Username, Password: server.Password, TLSConfig: server.TLS,
			})), conformance.Options{})
		})
	}
	t.Run("unadvised client", func(t *testing.T) { // without ContextTimeoutEnabled
		proxy := faultproxy.New(t, testservers.Redis(t).Addr)
		client := goredis.NewClient(&goredis.Options{Addr: proxy.Addr})
		prove(t, client, conformance.Options{Fault: faults(t, proxy, client)})
	})
	t.Run("unix socket", func(t *testing.T) {
		prove(t, goredis.NewClient(advised(&goredis.Options{Addr: testservers.Redis(t).Socket})), conformance.Options{})
	})
	t.Run("sentinel", func(t *testing.T) {
		sentinel := testservers.RedisSentinel(t)
		prove(t, goredis.NewFailoverClient(&goredis.FailoverOptions{
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
	t.Cleanup(func() { client.Close() })
	opts.Want = abilities
	opts.Reopen = func(t *testing.T, s store.Store) store.Store {
		return newStore(t, client, proved(s.(*Store).prefix, &opts))
	}
	conformance.Run(t, opener(client, &opts), step(opts))
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
