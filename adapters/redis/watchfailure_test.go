package redis

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
)

// flushedAnew waits until a Flush and then a proof have come since do was
// called.
func (r *recorder) flushedAnew(do func()) {
	r.t.Helper()
	before := r.flushCount()
	do()
	eventually(r.t, "Flush", func() bool { return r.flushCount() > before })
	r.prove()
}

// tells checks that a write of s is told.
func (r *recorder) tells(s *Store, key string) {
	r.t.Helper()
	flushes := r.flushCount()
	if err := s.Set(r.t.Context(), key, []byte("v"), time.Minute); err != nil {
		r.t.Error(err)
	}
	r.prove()
	if r.count(key) == 0 && r.flushCount() == flushes {
		r.t.Errorf("%q was not told", key)
	}
}

// provesNothing checks that nothing is proven to r of the time after this call,
// for long enough that a heartbeat would have come several times.
func (r *recorder) provesNothing(s *Store) {
	r.t.Helper()
	since := time.Now()
	for time.Since(since) < 5*s.watchDelta {
		if last := r.last(); last.After(since) {
			r.t.Fatalf("proven %v after the connection was lost", last.Sub(since))
		}
		time.Sleep(time.Millisecond)
	}
	eventually(r.t, "an error", func() bool { return s.WatchErr() != nil })
}

// lines returns the addresses of the connections that watch by tracking.
func lines(t *testing.T, client *goredis.Client) (addrs []string) {
	t.Helper()
	list, err := client.Do(context.Background(), "client", "list", "type", "pubsub").Text()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		fields := make(map[string]string)
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = value
		}
		if strings.Contains(fields["flags"], "B") { // CLIENT TRACKING … BCAST
			addrs = append(addrs, fields["addr"])
		}
	}
	return addrs
}

func TestWatchFlushAndKill(t *testing.T) {
	server := testservers.StartRedis(t)
	client := newClient(t, server.Addr)
	s := newStore(t, client, quick("p:"))
	r := watchStore(t, s)
	for name, do := range map[string]func() error{
		"FLUSHALL":    func() error { return client.FlushAll(t.Context()).Err() },
		"FLUSHDB":     func() error { return client.FlushDB(t.Context()).Err() },
		"CLIENT KILL": func() error { return client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err() },
	} {
		r.flushedAnew(func() {
			if err := do(); err != nil {
				t.Fatal(name, ": ", err)
			}
		})
		r.tells(s, name)
	}
}

// The watching connection goes silent, all others work.
func TestWatchBlackHole(t *testing.T) {
	server := testservers.StartRedis(t)
	direct := newClient(t, server.Addr)
	proxy := faultproxy.New(t, server.Addr)
	s := newStore(t, newClient(t, proxy.Addr), quick("p:"))
	r := watchStore(t, s)
	if err := s.Set(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	lost := time.Now()
	r.flushedAnew(func() {
		if n := proxy.Lose(lines(t, direct)...); n != 1 {
			t.Fatalf("%d connections watch", n)
		}
		if err := s.Delete(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	})
	if d := time.Since(lost); d < s.watchDelta {
		t.Errorf("gave the connection up after %v already", d)
	}
	r.tells(s, "k")
}

// Everything goes silent: the server, or the way to it.
func TestWatchSilence(t *testing.T) {
	for name, test := range map[string]func(t *testing.T) (client *goredis.Client, silence, end func()){
		"network": func(t *testing.T) (*goredis.Client, func(), func()) {
			proxy := faultproxy.New(t, testservers.Redis(t).Addr)
			return newClient(t, proxy.Addr), proxy.BlackHole, proxy.Pass
		},
		"cut": func(t *testing.T) (*goredis.Client, func(), func()) {
			proxy := faultproxy.New(t, testservers.Redis(t).Addr)
			return newClient(t, proxy.Addr), proxy.Cut, proxy.Pass
		},
		"SIGSTOP": func(t *testing.T) (*goredis.Client, func(), func()) {
			server := testservers.StartRedis(t)
			return newClient(t, server.Addr), server.Pause, server.Resume
		},
		"kill": func(t *testing.T) (*goredis.Client, func(), func()) {
			server := testservers.StartRedis(t)
			return newClient(t, server.Addr), server.Kill, server.Restart
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, silence, end := test(t)
			opts := quick(unique(t))
			opts.Timeout = time.Second
			s := newStore(t, client, opts)
			r := watchStore(t, s)
			silence()
			r.provesNothing(s)
			r.flushedAnew(end)
			if err := s.WatchErr(); err != nil {
				t.Errorf("WatchErr: %v, though there are proofs again", err)
			}
			// The client may go on failing for a moment with what it has pooled.
			eventually(t, "a write", func() bool { return s.Set(t.Context(), "again", []byte("v"), 0) == nil })
			r.tells(s, "k")
		})
	}
}

// A pause that is shorter than the connection is given loses nothing, and so
// needs no Flush.
func TestWatchShortPause(t *testing.T) {
	server := testservers.StartRedis(t)
	opts := quick("p:")
	opts.WatchDelta = 10 * time.Second
	s := newStore(t, newClient(t, server.Addr), opts)
	r := watchStore(t, s)
	server.Pause()
	time.Sleep(100 * time.Millisecond)
	server.Resume()
	r.prove()
	if n := r.flushCount(); n != 1 {
		t.Errorf("%d Flushes", n)
	}
}

// The reads and writes have gone over to another server, and the one that is
// watched still answers: as after a failover.
func TestWatchFollowsTheData(t *testing.T) {
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
	r := watchStore(t, s)
	r.flushedAnew(func() {
		addr.Store(new.Addr)
		if err := newClient(t, old.Addr).ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
	})
	r.tells(s, "k")
	if left := lines(t, newClient(t, old.Addr)); len(left) > 0 {
		t.Errorf("the old server is still watched, by %v", left)
	}
}

func TestWatchSentinelFailover(t *testing.T) {
	group := testservers.StartRedisSentinel(t, 1, 500*time.Millisecond)
	client := goredis.NewFailoverClient(&goredis.FailoverOptions{
		SentinelAddrs: group.Addrs, MasterName: group.MasterName, ContextTimeoutEnabled: true,
		DialTimeout: time.Second, DialerRetries: 1,
	})
	defer client.Close()
	opts := quick("p:")
	opts.Timeout = time.Second
	s := newStore(t, client, opts)
	r := watchStore(t, s)
	master := group.Servers[0]
	r.flushedAnew(master.Pause)
	if left := lines(t, newClient(t, group.Servers[1].Addr)); len(left) != 1 {
		t.Errorf("the new master is watched by %v", left)
	}
	r.tells(s, "k")
	master.Resume() // it takes itself for the master for a while
	r.tells(s, "l")
}
