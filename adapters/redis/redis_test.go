package redis

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// newClient returns a client as this package advises it.
func newClient(t testing.TB, addr string) *goredis.Client {
	client := goredis.NewClient(advised(&goredis.Options{Addr: addr}))
	t.Cleanup(func() { client.Close() })
	return client
}

// newCluster returns a client of the shared cluster.
func newCluster(t testing.TB) *goredis.ClusterClient {
	client := goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs:                 testservers.RedisCluster(t).Addrs,
		ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { client.Close() })
	return client
}

func TestNewRefuses(t *testing.T) {
	client := newClient(t, "localhost:1")
	cluster := func(opts goredis.ClusterOptions) goredis.UniversalClient {
		opts.Addrs = []string{"localhost:1"}
		c := goredis.NewClusterClient(&opts)
		t.Cleanup(func() { c.Close() })
		return c
	}
	cached := goredis.NewClient(&goredis.Options{Addr: "localhost:1", ClientSideCacheConfig: &goredis.ClientSideCacheConfig{}})
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": "localhost:1"}})
	t.Cleanup(func() { cached.Close(); ring.Close() })
	for name, test := range map[string]struct {
		client goredis.UniversalClient
		opts   *Options
		want   string
	}{
		"no client":          {nil, nil, "nil"},
		"a nil client":       {(*goredis.Client)(nil), nil, "nil"},
		"a nil cluster":      {(*goredis.ClusterClient)(nil), nil, "nil"},
		"a ring":             {ring, nil, "Ring"},
		"a client's cache":   {cached, nil, "client-side cache"},
		"replicas":           {cluster(goredis.ClusterOptions{ReadOnly: true}), nil, "replicas"},
		"the nearest server": {cluster(goredis.ClusterOptions{RouteByLatency: true}), nil, "replicas"},
		"any server":         {cluster(goredis.ClusterOptions{RouteRandomly: true}), nil, "replicas"},
		"an unknown client":  {struct{ goredis.UniversalClient }{client}, nil, "no known kind"},
		"a negative ttl":     {client, &Options{TTL: -1}, "Options.TTL"},
		"a negative timeout": {client, &Options{Timeout: -1}, "Options.Timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(test.client, test.opts)
			if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), test.want) || s != nil {
				t.Errorf("got %v, %v, want an error about %q", s, err, test.want)
			}
		})
	}
}

func TestNewTakesEmbeddedClients(t *testing.T) {
	for name, client := range map[string]goredis.UniversalClient{
		"single":  struct{ *goredis.Client }{newClient(t, testservers.Redis(t).Addr)},
		"cluster": struct{ *goredis.ClusterClient }{newCluster(t)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
			if err := s.SetMany(t.Context(), []store.Item{{Key: "a"}, {Key: "b"}, {Key: "c"}}); err != nil {
				t.Fatal(err)
			}
			if values, err := s.GetMany(t.Context(), []string{"a", "b", "c"}); len(values) != 3 || err != nil {
				t.Errorf("got %v, %v, want three values", values, err)
			}
			if err := s.Clear(t.Context()); err != nil {
				t.Fatal(err)
			}
			if values, err := s.GetMany(t.Context(), []string{"a", "b", "c"}); len(values) != 0 || err != nil {
				t.Errorf("after Clear: got %v, %v", values, err)
			}
		})
	}
}

func TestDefaultTTL(t *testing.T) {
	client := newClient(t, miniredis.RunT(t).Addr())
	for _, test := range []struct{ configured, want time.Duration }{
		{0, store.Forever},
		{store.Forever, store.Forever},
		{time.Minute, time.Minute},
	} {
		s := newStore(t, client, &Options{TTL: test.configured})
		if err := s.Set(t.Context(), "k", nil, store.DefaultTTL); err != nil {
			t.Fatal(err)
		}
		if ttl, err := s.TTL(t.Context(), "k"); ttl != test.want || err != nil {
			t.Errorf("Options.TTL %v: got %v, %v, want %v", test.configured, ttl, err, test.want)
		}
	}
}

// Other programs must find the values of a store, and it theirs.
func TestValuesAreRaw(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	prefix := unique(t)
	s := newStore(t, client, &Options{Prefix: prefix, Timeout: patience})
	ctx := t.Context()
	for _, value := range []string{"", "text", "\x00\xff\r\n"} {
		if err := s.Set(ctx, "ours", []byte(value), time.Minute); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Get(ctx, prefix+"ours").Result(); got != value || err != nil {
			t.Errorf("another program reads %q, %v, want %q", got, err, value)
		}
		if err := client.Set(ctx, prefix+"theirs", value, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(ctx, "theirs"); string(got) != value || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, value)
		}
	}
}

func TestForeignExpiry(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	prefix := unique(t)
	s := newStore(t, client, &Options{Prefix: prefix, Timeout: patience})
	ctx := t.Context()
	client.Set(ctx, prefix+"k", "v", 0)
	if err := client.Do(ctx, "pexpireat", prefix+"k", int64(1)<<60).Err(); err != nil {
		t.Fatal(err)
	}
	want := store.Forever - 1
	if ttl, err := s.TTL(ctx, "k"); ttl != want || err != nil {
		t.Errorf("TTL: got %v, %v, want %v", ttl, err, want)
	}
	if _, ttl, err := s.GetWithTTL(ctx, "k"); ttl != want || err != nil {
		t.Errorf("GetWithTTL: got %v, %v, want %v", ttl, err, want)
	}
}

func TestMillis(t *testing.T) {
	s := &Store{ttl: time.Minute}
	for ttl, want := range map[time.Duration]int64{
		store.DefaultTTL:     60_000,
		store.Forever:        0,
		1:                    1,
		time.Millisecond:     1,
		time.Millisecond + 1: 2,
		store.Forever - 1:    maxMillis,
	} {
		if got := s.millis(ttl); got != want {
			t.Errorf("millis(%d) = %d, want %d", ttl, got, want)
		}
	}
}

func TestLeft(t *testing.T) {
	for ms, want := range map[int64]time.Duration{
		-1:            store.Forever,
		0:             1,
		1:             time.Millisecond,
		maxMillis:     maxMillis * time.Millisecond,
		maxMillis + 1: store.Forever - 1,
	} {
		if got, err := left(ms); got != want || err != nil {
			t.Errorf("left(%d) = %v, %v, want %v", ms, got, err, want)
		}
	}
	if got, err := left(-2); err != goredis.Nil {
		t.Errorf("left(-2) = %v, %v, want a miss", got, err)
	}
}

// A value that cannot be stored must not leave the old one behind.
func TestTooLarge(t *testing.T) {
	s := newStore(t, newClient(t, miniredis.RunT(t).Addr()), nil)
	ctx := context.Background()
	large := make([]byte, maxValue+1) // never touched, so never in memory
	for name, write := range map[string]func() error{
		"Set":     func() error { return s.Set(ctx, "k", large, 0) },
		"SetMany": func() error { return s.SetMany(ctx, []store.Item{{Key: "k", Value: large}, {Key: "other"}}) },
		"CompareAndSwap": func() error {
			_, err := s.CompareAndSwap(ctx, "k", []byte("old"), large, 0)
			return err
		},
	} {
		if err := s.Set(ctx, "k", []byte("old"), 0); err != nil {
			t.Fatal(err)
		}
		if err := write(); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
		if value, err := s.Get(ctx, "k"); err != store.ErrNotFound {
			t.Errorf("%s: %q, %v is left behind", name, value, err)
		}
	}
	if _, err := s.Get(ctx, "other"); err != nil {
		t.Errorf("SetMany: the other item was not stored: %v", err)
	}
	if added, err := s.Add(ctx, "k", large, 0); added || !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Add: got %v, %v, want ErrTooLarge", added, err)
	}
}

// Hooks see the caller's values, such as a trace, whatever goroutine the call
// runs in.
func TestHooksSeeTheContextsValues(t *testing.T) {
	client := newClient(t, miniredis.RunT(t).Addr())
	type valueKey struct{}
	var seen atomic.Value
	client.AddHook(hook{process: func(ctx context.Context, cmd goredis.Cmder, next goredis.ProcessHook) error {
		seen.Store(ctx.Value(valueKey{}))
		return next(ctx, cmd)
	}})
	s := newStore(t, client, nil)
	done, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, ctx := range map[string]context.Context{"never done": context.WithoutCancel(done), "may be done": done} {
		s.Get(context.WithValue(ctx, valueKey{}, name), "k")
		if got := seen.Load(); got != name {
			t.Errorf("the hook saw %v, want %q", got, name)
		}
	}
}

// hook intercepts commands and pipelines.
type hook struct {
	process  func(context.Context, goredis.Cmder, goredis.ProcessHook) error
	pipeline func(context.Context, []goredis.Cmder, goredis.ProcessPipelineHook) error
}

func (h hook) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (h hook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	if h.process == nil {
		return next
	}
	return func(ctx context.Context, cmd goredis.Cmder) error { return h.process(ctx, cmd, next) }
}

func (h hook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	if h.pipeline == nil {
		return next
	}
	return func(ctx context.Context, cmds []goredis.Cmder) error { return h.pipeline(ctx, cmds, next) }
}
