package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// A lost answer must not become a wrong one: the command was carried out, and
// a second try would find its own work.
func TestLostAnswers(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		proxy := faultproxy.New(t, testservers.Redis(t).Addr)
		testLostAnswers(t, newClient(t, proxy.Addr), proxy.DropReply)
	})
	t.Run("cluster", func(t *testing.T) {
		client, proxies := newProxiedCluster(t)
		testLostAnswers(t, client, func() {
			for _, proxy := range proxies {
				proxy.DropReply()
			}
		})
	})
}

// newProxiedCluster returns a client of the shared cluster that reaches each
// server through a proxy.
func newProxiedCluster(t *testing.T) (*goredis.ClusterClient, map[string]*faultproxy.Proxy) {
	addrs := testservers.RedisCluster(t).Addrs
	proxies := make(map[string]*faultproxy.Proxy)
	for _, addr := range addrs {
		proxies[addr] = faultproxy.New(t, addr)
	}
	client := goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs:                 addrs,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, proxies[addr].Addr)
		},
	})
	t.Cleanup(func() { client.Close() })
	return client, proxies
}

func testLostAnswers(t *testing.T, client goredis.UniversalClient, drop func()) {
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	conditional := map[string]struct {
		before, after string // the value, or "" for none
		call          func() (bool, error)
	}{
		"Add":              {"", "new", func() (bool, error) { return s.Add(ctx, "k", []byte("new"), 0) }},
		"CompareAndSwap":   {"old", "new", func() (bool, error) { return s.CompareAndSwap(ctx, "k", []byte("old"), []byte("new"), 0) }},
		"CompareAndDelete": {"old", "", func() (bool, error) { return s.CompareAndDelete(ctx, "k", []byte("old")) }},
	}
	put := func(value string) {
		t.Helper()
		err := s.Delete(ctx, "k")
		if value != "" {
			err = s.Set(ctx, "k", []byte(value), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	has := func(name, want string) {
		t.Helper()
		value, err := s.Get(ctx, "k")
		if string(value) != want || err != nil && (want != "" || err != store.ErrNotFound) {
			t.Errorf("%s left %q, %v, want %q", name, value, err, want)
		}
	}
	for name, test := range conditional { // they work, and the server knows the scripts
		put(test.before)
		if did, err := test.call(); !did || err != nil {
			t.Fatalf("%s: got %v, %v", name, did, err)
		}
		has(name, test.after)
	}
	for name, test := range conditional {
		put(test.before)
		drop()
		if did, err := test.call(); did || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, %v, want an unknown outcome", name, did, err)
		}
		has(name, test.after)
	}
	for name, test := range map[string]struct {
		after string
		call  func() error
	}{
		"Set":     {"new", func() error { return s.Set(ctx, "k", []byte("new"), 0) }},
		"Touch":   {"old", func() error { return s.Touch(ctx, "k", time.Minute) }},
		"Delete":  {"", func() error { return s.Delete(ctx, "k") }},
		"SetMany": {"new", func() error { return s.SetMany(ctx, []store.Item{{Key: "k", Value: []byte("new")}}) }},
	} {
		put("old")
		drop()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v, though it can be repeated", name, err)
		}
		has(name, test.after)
	}
}

// One server of a cluster that is away takes its own keys with it alone.
func TestPartOfAClusterIsAway(t *testing.T) {
	client, proxies := newProxiedCluster(t)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: 3 * time.Second})
	ctx := t.Context()
	keys := make([]string, 100)
	items := make([]store.Item, len(keys))
	for i := range keys {
		keys[i] = fmt.Sprint(i)
		items[i] = store.Item{Key: keys[i], Value: []byte("v"), TTL: time.Minute}
	}
	if err := s.SetMany(ctx, items); err != nil {
		t.Fatal(err)
	}
	for _, proxy := range proxies {
		proxy.Cut()
		break
	}
	values, err := s.GetMany(ctx, keys)
	if !errors.Is(err, store.ErrUnavailable) || len(values) < 20 || len(values) > 80 {
		t.Errorf("GetMany: %d values, %v, want about two thirds and an error", len(values), err)
	}
	entries, err := s.GetManyWithTTL(ctx, keys)
	if !errors.Is(err, store.ErrUnavailable) || len(entries) != len(values) {
		t.Errorf("GetManyWithTTL: %d values, %v, want %d and an error", len(entries), err, len(values))
	}
	for name, err := range map[string]error{
		"SetMany":    s.SetMany(ctx, items),
		"DeleteMany": s.DeleteMany(ctx, keys),
		"Clear":      s.Clear(ctx),
		"Ping":       s.Ping(ctx),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
}

// A server that is stopped but still connected, and what the caller's context,
// the store's time-out and a Close make of it.
func TestSilentServer(t *testing.T) {
	server := testservers.StartRedis(t)
	for name, opts := range map[string]*goredis.Options{
		"advised client":   advised(&goredis.Options{Addr: server.Addr}),
		"unadvised client": {Addr: server.Addr},
		"busy client":      advised(&goredis.Options{Addr: server.Addr, PoolSize: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			client := goredis.NewClient(opts)
			defer client.Close()
			s := newStore(t, client, &Options{Timeout: 300 * time.Millisecond})
			patient := newStore(t, client, &Options{Timeout: patience})
			if err := patient.Set(t.Context(), "k", []byte("v"), 0); err != nil {
				t.Fatal(err)
			}
			server.Pause()
			defer server.Resume()
			if name == "busy client" {
				go patient.Get(t.Context(), "k") // holds the one connection
				time.Sleep(10 * time.Millisecond)
			}

			start := time.Now()
			for _, ctx := range []context.Context{context.Background(), t.Context()} {
				_, err := s.Get(ctx, "k")
				if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the store's time-out: got %v, want ErrUnavailable alone", err)
				}
			}
			if d := time.Since(start); d < 500*time.Millisecond || d > 5*time.Second {
				t.Errorf("two time-outs of 300ms took %v", d)
			}

			start = time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := patient.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("the caller's deadline: got %v, want DeadlineExceeded alone", err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			if _, err := patient.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller's cancellation: got %v, want Canceled", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("two ends after 50ms each took %v", d)
			}
		})
	}
}

// Whatever happens to a call that was given up, it must not read the value
// again: the caller may use the slice for something else.
func TestAnAbandonedSetHasItsOwnValue(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	var giveUp context.CancelFunc
	release := make(chan struct{})
	client.AddHook(hook{
		process: func(ctx context.Context, cmd goredis.Cmder, next goredis.ProcessHook) error {
			giveUp()
			<-release
			return next(context.WithoutCancel(ctx), cmd)
		},
		pipeline: func(ctx context.Context, cmds []goredis.Cmder, next goredis.ProcessPipelineHook) error {
			giveUp()
			<-release
			return next(context.WithoutCancel(ctx), cmds)
		},
	})
	prefix := unique(t)
	s, err := New(client, &Options{Prefix: prefix, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	value := []byte("value")
	for _, write := range []func(context.Context) error{
		func(ctx context.Context) error { return s.Set(ctx, "set", value, 0) },
		func(ctx context.Context) error { return s.SetMany(ctx, []store.Item{{Key: "setmany", Value: value}}) },
		func(ctx context.Context) error { _, err := s.Add(ctx, "add", value, 0); return err },
	} {
		var ctx context.Context
		ctx, giveUp = context.WithCancel(t.Context())
		if err := write(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
		giveUp()
	}
	copy(value, "other")
	close(release)
	if err := s.Close(); err != nil { // waits for the three
		t.Fatal(err)
	}
	for _, key := range []string{"set", "setmany", "add"} {
		if got, err := client.Get(t.Context(), prefix+key).Result(); got != "value" || err != nil {
			t.Errorf("%s stored %q, %v, want what it was given", key, got, err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	secure := testservers.RedisTLS(t)
	login := func(username, password string) *goredis.Client {
		client := goredis.NewClient(advised(&goredis.Options{
			Addr: secure.Addr, TLSConfig: secure.TLS, Username: username, Password: password,
		}))
		t.Cleanup(func() { client.Close() })
		return client
	}
	shared := newClient(t, testservers.Redis(t).Addr)
	prefix := unique(t)
	if err := shared.LPush(t.Context(), prefix+"list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	replica := newClient(t, testservers.StartRedis(t, "--replicaof", "127.0.0.1", "1").Addr)
	full := newClient(t, testservers.StartRedis(t, "--maxmemory", "1").Addr)
	small := newClient(t, testservers.StartRedis(t, "--proto-max-bulk-len", "1mb").Addr)
	strange := newClient(t, testservers.StartRedis(t, "--rename-command", "EVALSHA", "").Addr)
	closed := goredis.NewClient(&goredis.Options{Addr: "localhost:1"})
	closed.Close()
	ctx := t.Context()
	set := func(s *Store) error { return s.Set(ctx, "k", []byte("secret"), 0) }
	for name, test := range map[string]struct {
		client *goredis.Client
		call   func(*Store) error
		kind   error
		want   string
	}{
		"no password":    {login("", ""), set, store.ErrUnavailable, "NOAUTH"},
		"wrong password": {login(secure.Username, "wrong-secret"), set, store.ErrUnavailable, "check the user and the password"},
		"no permission":  {login(secure.Username, secure.Password), func(s *Store) error { return s.client.FlushAll(ctx).Err() }, nil, ""},
		"unreachable":    {newClient(t, "localhost:1"), set, store.ErrUnavailable, "refused"},
		"another type":   {shared, func(s *Store) error { _, err := s.Get(ctx, "list"); return err }, store.ErrUnavailable, "a prefix of its own"},
		"a replica":      {replica, set, store.ErrUnavailable, "READONLY"},
		"full":           {full, set, store.ErrUnavailable, "maxmemory-policy"},
		"closed client":  {closed, set, store.ErrClosed, "closed"},
		"smaller limit":  {small, func(s *Store) error { return s.Set(ctx, "k", make([]byte, 1<<20+1), 0) }, store.ErrUnavailable, ""},
		"unknown command": {strange, func(s *Store) error {
			_, err := s.CompareAndSwap(ctx, "k", []byte("secret"), []byte("secret"), 0)
			return err
		}, store.ErrUnavailable, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, test.client, &Options{Prefix: prefix, Timeout: patience})
			err := test.call(s)
			if name == "no permission" {
				err = s.fail(ctx, "get", "k", err)
				test.kind, test.want = store.ErrUnavailable, fmt.Sprintf("allow the client's user this command, the keys %q", prefix+"*")
			}
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q shows a value or password", err)
			}
			if _, ok := err.(*store.Error); !ok {
				t.Errorf("%T is no *store.Error", err)
			}
		})
	}
}

// An address that swallows everything, and one where nobody listens, must not
// cost more than the time-out, for a client that would try for a long time.
func TestUnreachable(t *testing.T) {
	silent := faultproxy.New(t, testservers.Redis(t).Addr)
	silent.BlackHole()
	refusing := faultproxy.New(t, testservers.Redis(t).Addr)
	refusing.Cut()
	for name, addr := range map[string]string{"silent": silent.Addr, "refusing": refusing.Addr} {
		for kind, client := range map[string]goredis.UniversalClient{
			"advised":   goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true}),
			"unadvised": goredis.NewClient(&goredis.Options{Addr: addr}),
			"cluster":   goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{addr}, ContextTimeoutEnabled: true}),
			"sentinel":  goredis.NewFailoverClient(&goredis.FailoverOptions{SentinelAddrs: []string{addr}, MasterName: "main", ContextTimeoutEnabled: true}),
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() { client.Close() })
				s, err := New(client, &Options{Timeout: 200 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for _, ctx := range []context.Context{context.Background(), t.Context()} {
					if _, err := s.Get(ctx, "k"); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v, want ErrUnavailable alone", err)
					}
				}
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("two calls with a time-out of 200ms took %v", d)
				}
			})
		}
	}
}

func TestClose(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	s := newStore(t, client, nil)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the client that the store was given does not work any more: %v", err)
	}
}

func TestClientTimeoutsAreNotTheCallers(t *testing.T) {
	s := newStore(t, newClient(t, "localhost:1"), nil)
	for _, err := range []error{
		context.DeadlineExceeded,
		context.Canceled,
		&net.OpError{Op: "dial", Err: context.DeadlineExceeded},
		fmt.Errorf("sentinel: %w", context.Canceled),
	} {
		got := s.fail(t.Context(), "get", "k", err)
		if !errors.Is(got, store.ErrUnavailable) || errors.Is(got, context.DeadlineExceeded) || errors.Is(got, context.Canceled) {
			t.Errorf("%v became %v, want ErrUnavailable alone", err, got)
		}
	}
}
