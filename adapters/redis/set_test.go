package redis

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// tornConn calls a function, once, when the server has got all that comes before
// the command that ends a lease.
type tornConn struct {
	net.Conn
	between *atomic.Pointer[func()]
}

func (c tornConn) Write(b []byte) (int, error) {
	first := bytes.Index(b, []byte("unlink"))
	if first < 0 {
		return c.Conn.Write(b)
	}
	call := c.between.Swap(nil)
	if call == nil {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:first])
	if err != nil {
		return n, err
	}
	(*call)()
	rest, err := c.Conn.Write(b[first:])
	return n + rest, err
}

// A Set of the very bytes that a lease was granted despite could not be told by
// the Fill from what was there before, if that came in before the lease ends.
func TestNothingComesIntoASet(t *testing.T) {
	addr := testservers.Redis(t).Addr
	other := newStore(t, newClient(t, addr), &Options{Prefix: unique(t), Timeout: patience})
	var between atomic.Pointer[func()]
	opts := advised(&goredis.Options{Addr: addr})
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return tornConn{conn, &between}, err
	}
	client := goredis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	long := strings.Repeat("v", 2*sharedValue)
	for _, watching := range []Watching{WatchTracking, WatchPublish} {
		s := newStore(t, client, &Options{Prefix: other.prefix, Timeout: patience, Watching: watching})
		for name, test := range map[string]struct {
			value string
			set   func(value []byte) error
		}{
			"Set":        {"v", func(value []byte) error { return s.Set(context.Background(), "k", value, 0) }},
			"a long Set": {long, func(value []byte) error { return s.Set(context.Background(), "k", value, 0) }},
			"SetMany": {"v", func(value []byte) error {
				return s.SetMany(context.Background(), []store.Item{{Key: "k", Value: value}})
			}},
			"a long SetMany": {long, func(value []byte) error {
				return s.SetMany(context.Background(), []store.Item{{Key: "k", Value: value}})
			}},
		} {
			t.Run(watching.String()+"/"+name, func(t *testing.T) {
				value := []byte(test.value)
				wantNil(t, other.Set(t.Context(), "k", value, 0))
				grant(t, other, "k", "token", store.LiveBytes(value))
				fill := func() {
					wantNil(t, other.Ping(t.Context())) // the server has read what was sent before
					_, err := other.Fill(t.Context(), "k", "token", store.LiveBytes([]byte("loaded before")), 0)
					wantNil(t, err)
				}
				between.Store(&fill)
				wantNil(t, test.set(value))
				if between.Load() != nil {
					t.Error("nothing came into it")
				}
				if got, err := s.Get(t.Context(), "k"); string(got) != test.value || err != nil {
					t.Errorf("got %.20q, %v, want what was set", got, err)
				}
				wantFill(t, other, "k", "token", false)
			})
		}
	}
}

// An error of the second command of a Set is an error of the Set, which has then
// done nothing.
func TestSetThatCannotEndTheLease(t *testing.T) {
	server := testservers.StartRedis(t)
	admin := newClient(t, server.Addr)
	if err := admin.ACLSetUser(t.Context(), "app", "on", ">secret", "~app:*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, Username: "app", Password: "secret"}))
	t.Cleanup(func() { client.Close() })
	s := newStore(t, client, &Options{Prefix: "app:", Timeout: patience})
	for name, err := range map[string]error{
		"Set":     s.Set(t.Context(), "k", nil, 0),
		"SetMany": s.SetMany(t.Context(), []store.Item{{Key: "k"}}),
	} {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "NOPERM") || !strings.Contains(err.Error(), leaseMark) {
			t.Errorf("%s: got %v, want an error that says what to allow", name, err)
		}
	}
	if _, err := s.Get(t.Context(), "k"); err != store.ErrNotFound {
		t.Errorf("Get: %v, want nothing", err)
	}
}

// A server that refuses one command of what travels together carries out the
// others.
func TestARefusedSetFailsAlone(t *testing.T) {
	server := testservers.StartRedis(t)
	client := newClient(t, server.Addr)
	gathered(t, client, func(s *Store) {
		wantNil(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())
		wantNil(t, s.Set(t.Context(), "k", []byte("v"), 0))
		wantNil(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
		crowd(100, func(i int) {
			if i%2 == 0 {
				if err := s.Set(context.Background(), "other", []byte("v"), 0); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "maxmemory-policy") {
					t.Errorf("Set: got %v, want what the server lacks", err)
				}
				return
			}
			if got, err := s.Get(context.Background(), "k"); string(got) != "v" || err != nil {
				t.Errorf("Get: got %q, %v", got, err)
			}
		})
	})
	s := newStore(t, newClient(t, server.Addr), &Options{Timeout: patience})
	err := s.SetMany(t.Context(), []store.Item{{Key: "a"}, {Key: "b"}})
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "maxmemory-policy") {
		t.Errorf("SetMany: got %v, want what the server lacks", err)
	}
}

// A Set whose answer is lost is repeated, also where the client would not.
func TestSetIsRepeated(t *testing.T) {
	lost := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	for _, watching := range []Watching{WatchTracking, WatchPublish} {
		client := newClient(t, testservers.Redis(t).Addr)
		s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience, Watching: watching})
		var transactions int
		client.AddHook(hook{pipeline: func(ctx context.Context, cmds []goredis.Cmder, next goredis.ProcessPipelineHook) error {
			if cmds[0].Name() != "multi" {
				return next(ctx, cmds)
			}
			transactions++
			for _, cmd := range cmds {
				cmd.SetErr(lost)
			}
			return lost
		}})
		wantNil(t, s.Set(t.Context(), "k", []byte("set"), time.Hour))
		wantNil(t, s.SetMany(t.Context(), []store.Item{{Key: "a", Value: []byte("set"), TTL: time.Minute}, {Key: "b", Value: []byte("set")}}))
		if transactions != 2 {
			t.Errorf("%v: %d transactions, want 2", watching, transactions)
		}
		for key, ttl := range map[string]time.Duration{"k": time.Hour, "a": time.Minute, "b": store.Forever} {
			value, err := s.Get(t.Context(), key)
			left, ttlErr := s.TTL(t.Context(), key)
			if string(value) != "set" || err != nil || ttlErr != nil || left > ttl || left < ttl-time.Minute/2 {
				t.Errorf("%v: %s is %q for %v, %v, %v, want it for %v", watching, key, value, left, err, ttlErr, ttl)
			}
		}
	}
}
