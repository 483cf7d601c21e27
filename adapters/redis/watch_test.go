package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// recorder is a Watcher that remembers what it was told.
type recorder struct {
	t  *testing.T
	mu sync.Mutex // fails if calls overlap, and is held for a moment by others

	told    map[string]int
	flushes int
	proven  time.Time
	owed    map[string]time.Time // when what is not told yet had been written
}

func (r *recorder) Invalidate(keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.told[key]++
		delete(r.owed, key)
	}
}

func (r *recorder) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushes++
	clear(r.owed)
}

func (r *recorder) Proven(sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.flushes == 0:
		r.t.Error("Proven came without a Flush before it")
	case sent.After(time.Now()):
		r.t.Error("Proven named a time that is yet to come")
	case sent.Before(r.proven):
		r.t.Error("Proven went back in time")
	}
	for key, written := range r.owed {
		if written.Before(sent) {
			r.t.Errorf("%q had been written before what is proven, and was not told", key)
		}
	}
	r.proven = sent
}

// look runs f while nothing is told.
func (r *recorder) look(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *recorder) count(key string) (n int) {
	r.look(func() { n = r.told[key] })
	return n
}

func (r *recorder) flushCount() (n int) {
	r.look(func() { n = r.flushes })
	return n
}

func (r *recorder) last() (at time.Time) {
	r.look(func() { at = r.proven })
	return at
}

// prove waits until what happens from now on is told.
func (r *recorder) prove() {
	r.t.Helper()
	now := time.Now()
	eventually(r.t, "Proven", func() bool { return r.last().After(now) })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// quick is how the tests watch.
func quick(prefix string) *Options {
	return &Options{Prefix: prefix, Timeout: patience, WatchDelta: 200 * time.Millisecond}
}

// watchStore returns a recorder of what s tells, from a moment on when it is
// proven.
func watchStore(t *testing.T, s *Store) *recorder {
	t.Helper()
	r := watchUnproven(t, t.Context(), s)
	r.prove()
	return r
}

func watchUnproven(t *testing.T, ctx context.Context, s *Store) *recorder {
	t.Helper()
	r := &recorder{t: t, told: make(map[string]int), owed: make(map[string]time.Time)}
	if err := store.Watch(ctx, s, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// watchClients are clients of all kinds.
func watchClients(t *testing.T) map[string]goredis.UniversalClient {
	server, secure, sentinel := testservers.Redis(t), testservers.RedisTLS(t), testservers.RedisSentinel(t)
	clients := map[string]goredis.UniversalClient{
		"single":    newClient(t, server.Addr),
		"socket":    newClient(t, server.Socket),
		"unadvised": goredis.NewClient(&goredis.Options{Addr: server.Addr}),
		"RESP2":     goredis.NewClient(&goredis.Options{Addr: server.Addr, Protocol: 2}),
		"database":  goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, DB: 3, PoolSize: 1})),
		"TLS and ACL": goredis.NewClient(advised(&goredis.Options{
			Addr: secure.Addr, Username: secure.Username, Password: secure.Password, TLSConfig: secure.TLS,
		})),
		"sentinel": goredis.NewFailoverClient(&goredis.FailoverOptions{
			SentinelAddrs: sentinel.Addrs, MasterName: sentinel.MasterName, ContextTimeoutEnabled: true,
		}),
		"cluster":  newCluster(t),
		"embedded": struct{ *goredis.ClusterClient }{newCluster(t)},
	}
	t.Cleanup(func() {
		for _, client := range clients {
			client.Close()
		}
	})
	return clients
}

func TestWatchTells(t *testing.T) {
	for name, client := range watchClients(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := unique(t)
			s := newStore(t, client, quick(prefix))
			other := newStore(t, client, &Options{Prefix: "other" + prefix, Timeout: patience})
			foreign := newStore(t, client, &Options{Prefix: prefix[:len(prefix)-1], Timeout: patience})
			r := watchStore(t, s)
			ctx := t.Context()
			told := func(what, key string, write func() error) {
				t.Helper()
				flushes := r.flushCount()
				if err := write(); err != nil {
					t.Fatal(what, ": ", err)
				}
				r.prove()
				if r.count(key) == 0 && r.flushCount() == flushes {
					t.Errorf("%s: %q was not told", what, key)
				}
				r.look(func() { clear(r.told) })
			}
			for _, key := range []string{"a", "b", "c", "d", "e", "f", "\x00\xff {}\r\n", strings.Repeat("k", store.MaxKeyLen)} { // in many slots
				told("Set", key, func() error { return s.Set(ctx, key, []byte("v"), 0) })
				told("SetMany", key, func() error { return s.SetMany(ctx, []store.Item{{Key: key, Value: []byte("w")}}) })
				told("a foreign write", key, func() error { return client.Append(ctx, prefix+key, "x").Err() })
				told("Delete", key, func() error { return s.Delete(ctx, key) })
			}
			flushes := r.flushCount()
			if err := s.Set(ctx, "short", []byte("v"), 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the write and the expiry", func() bool {
				_, _ = s.Get(ctx, "short") // the server removes what has expired when it comes across it
				return r.count("short") >= 2 || r.flushCount() > flushes
			})
			r.prove()

			for _, err := range []error{
				other.Set(ctx, "mine", []byte("v"), 0),
				foreign.Set(ctx, "mine", []byte("v"), 0),
				client.Set(ctx, prefix, "v", 0).Err(), // no key of a Store
				client.Set(ctx, prefix+strings.Repeat("k", store.MaxKeyLen+1), "v", 0).Err(),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			r.prove()
			r.look(func() {
				delete(r.told, "short")
				if len(r.told) != 0 {
					t.Errorf("was told %v of others' keys", r.told)
				}
			})
			if err := s.WatchErr(); err != nil {
				t.Errorf("WatchErr: %v, though there are proofs", err)
			}
		})
	}
}

// Without a prefix, all keys are those of the store.
func TestWatchWithoutPrefix(t *testing.T) {
	server := testservers.StartRedis(t)
	client := newClient(t, server.Addr)
	r := watchStore(t, newStore(t, client, quick("")))
	if err := client.Set(t.Context(), "any", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r.prove()
	if r.count("any") == 0 {
		t.Error("the key was not told")
	}
}

// What had been written before the time of a proof has been told before it. The
// recorder looks.
func TestWatchProvesInOrder(t *testing.T) {
	for name, client := range map[string]goredis.UniversalClient{
		"single":  newClient(t, testservers.Redis(t).Addr),
		"cluster": newCluster(t),
	} {
		t.Run(name, func(t *testing.T) {
			opts := quick(unique(t))
			opts.WatchDelta = minDelta
			s := newStore(t, client, opts)
			r := watchStore(t, s)
			flushes := r.flushCount()
			var writers sync.WaitGroup
			for i := range 4 {
				writers.Go(func() {
					for n := 0; n < 2000 && t.Context().Err() == nil; n++ {
						key := fmt.Sprint(i, "/", n)
						before := r.flushCount()
						if err := s.Set(t.Context(), key, []byte("v"), time.Minute); err != nil {
							t.Error(err)
						}
						r.look(func() {
							if r.told[key] == 0 && r.flushes == before {
								r.owed[key] = time.Now()
							}
						})
					}
				})
			}
			writers.Wait()
			r.prove()
			r.look(func() {
				if len(r.owed) != 0 || len(r.told) != 8000 && r.flushes == flushes {
					t.Errorf("%d keys were told, %d are owed, after %d Flushes", len(r.told), len(r.owed), r.flushes-flushes)
				}
			})
		})
	}
}

func TestWatchEviction(t *testing.T) {
	server := testservers.StartRedis(t, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
	client := newClient(t, server.Addr)
	s := newStore(t, client, quick("p:"))
	ctx := t.Context()
	if err := s.Set(ctx, "victim", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	r := watchStore(t, s)
	for i := 0; client.Exists(ctx, "p:victim").Val() > 0; i++ { // which does not count as a use
		if err := client.Set(ctx, fmt.Sprint("q:", i), make([]byte, 10<<10), 0).Err(); err != nil || i > 10000 {
			t.Fatal(i, err)
		}
	}
	r.prove()
	if r.count("victim") == 0 {
		t.Error("the eviction was not told")
	}
}

func TestWatchRefuses(t *testing.T) {
	s := newStore(t, newClient(t, "localhost:1"), nil)
	if err := s.Watch(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil Watcher: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Watch(ctx, new(recorder)); !errors.Is(err, context.Canceled) {
		t.Errorf("a done context: got %v", err)
	}
	s.Close()
	if err := s.Watch(t.Context(), new(recorder)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a closed store: got %v", err)
	}
	if err := s.WatchErr(); err != nil {
		t.Errorf("WatchErr of a closed store: %v", err)
	}
}

func TestWatchOptions(t *testing.T) {
	client := newClient(t, "localhost:1")
	for name, test := range map[string]struct {
		client goredis.UniversalClient
		opts   Options
		want   string
	}{
		"a short delta":      {client, Options{WatchDelta: minDelta - 1}, "Options.WatchDelta"},
		"a negative delta":   {client, Options{WatchDelta: -1}, "Options.WatchDelta"},
		"an unknown way":     {client, Options{Watching: WatchPublish + 1}, "Options.Watching"},
		"a cluster, publish": {newCluster(t), Options{Watching: WatchPublish}, "WatchTracking"},
	} {
		if s, err := New(test.client, &test.opts); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), test.want) || s != nil {
			t.Errorf("%s: got %v, %v, want an error about %q", name, s, err, test.want)
		}
	}
}

// What stores publish is told, though the server has no tracking.
func TestWatchPublish(t *testing.T) {
	secure := testservers.RedisTLS(t)
	for name, client := range map[string]*goredis.Client{
		"miniredis": newClient(t, miniredis.RunT(t).Addr()),
		"server":    newClient(t, testservers.Redis(t).Addr),
		"RESP2":     goredis.NewClient(advised(&goredis.Options{Addr: testservers.Redis(t).Addr, Protocol: 2})),
		"TLS and ACL": goredis.NewClient(advised(&goredis.Options{
			Addr: secure.Addr, Username: secure.Username, Password: secure.Password, TLSConfig: secure.TLS,
		})),
	} {
		t.Run(name, func(t *testing.T) {
			defer client.Close()
			opts := quick(unique(t))
			opts.Watching = WatchPublish
			s, writer := newStore(t, client, opts), newStore(t, client, opts)
			r := watchStore(t, s)
			ctx := t.Context()
			for _, err := range []error{
				writer.Set(ctx, "set", []byte("v"), 0),
				writer.Set(ctx, "long", make([]byte, 2*sharedValue), 0),
				writer.SetMany(ctx, []store.Item{{Key: "many 1"}, {Key: "many 2"}}),
				writer.Delete(ctx, "delete"),
				writer.DeleteMany(ctx, []string{"delete 1", "delete 2"}),
				client.Publish(ctx, s.channel, "another's key").Err(),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			if added, err := writer.Add(ctx, "add", []byte("v"), 0); !added || err != nil {
				t.Error(added, err)
			}
			r.prove()
			for _, key := range []string{"set", "long", "many 1", "many 2", "delete", "delete 1", "delete 2", "add"} {
				if r.count(key) == 0 {
					t.Errorf("%q was not told", key)
				}
			}
			r.look(func() { clear(r.told) })
			if err := writer.Clear(ctx); err != nil {
				t.Error(err)
			}
			r.prove()
			if r.count("set") == 0 {
				t.Error("Clear was not told")
			}
		})
	}
}

// A server that cannot be watched works otherwise, and WatchErr says why.
func TestWatchErr(t *testing.T) {
	t.Run("no tracking", func(t *testing.T) {
		s := newStore(t, newClient(t, miniredis.RunT(t).Addr()), quick("p:"))
		r := watchUnproven(t, t.Context(), s)
		if err := s.WatchErr(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("at first: %v", err)
		}
		eventually(t, "the refusal", func() bool { return strings.Contains(s.WatchErr().Error(), "use WatchPublish") })
		if err := s.Set(t.Context(), "k", []byte("v"), 0); err != nil {
			t.Error(err)
		}
		if !r.last().IsZero() {
			t.Error("something was proven")
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		s := newStore(t, newClient(t, "localhost:1"), quick("p:"))
		watchUnproven(t, t.Context(), s)
		eventually(t, "the refusal", func() bool { return strings.Contains(s.WatchErr().Error(), "refused") })
	})
	t.Run("nobody watches", func(t *testing.T) {
		s := newStore(t, newClient(t, "localhost:1"), quick("p:"))
		if err := s.WatchErr(); err != nil {
			t.Error(err)
		}
	})
	t.Run("not allowed", func(t *testing.T) {
		server := testservers.StartRedis(t)
		admin := newClient(t, server.Addr)
		err := admin.ACLSetUser(t.Context(), "user", "on", ">pw", "~*", "&*", "+@all", "-publish").Err()
		if err != nil {
			t.Fatal(err)
		}
		client := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, Username: "user", Password: "pw"}))
		defer client.Close()
		s := newStore(t, client, quick("p:"))
		r := watchUnproven(t, t.Context(), s)
		eventually(t, "the refusal of heartbeats", func() bool { return strings.Contains(s.WatchErr().Error(), "NOPERM") })
		if err := admin.ACLSetUser(t.Context(), "user", "-client|tracking").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the refusal of tracking", func() bool { return strings.Contains(s.WatchErr().Error(), "tracking") })
		if err := admin.ACLSetUser(t.Context(), "user", "+@all").Err(); err != nil {
			t.Fatal(err)
		}
		r.prove()
		eventually(t, "no error", func() bool { return s.WatchErr() == nil })
	})
}

func TestWatchingString(t *testing.T) {
	for w, want := range map[Watching]string{WatchTracking: "tracking", WatchPublish: "publish", WatchPublish + 1: "unknown"} {
		if got := w.String(); got != want {
			t.Errorf("%d is %q, want %q", w, got, want)
		}
	}
}

func TestOpenWatch(t *testing.T) {
	s, err := openURL(t, "redis://localhost:1?watching=publish&watch_delta=300ms")
	if err != nil || !s.publishes || s.watchDelta != 300*time.Millisecond {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, params := range []string{"", "watching=tracking"} {
		if s, err := openURL(t, "redis://localhost:1?"+params); err != nil || s.publishes || s.watchDelta != time.Second {
			t.Errorf("%q: got %+v, %v", params, s, err)
		}
	}
	for params, want := range map[string]string{
		"watching=polling": "neither tracking nor publish",
		"watch=publish":    `unknown parameter "watch"`,
		"watch_delta=1ms":  "WatchDelta",
		"watch_delta=fast": "watch_delta",
	} {
		if _, err := openURL(t, "redis://localhost:1?"+params); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error about %q", params, err, want)
		}
	}
}
