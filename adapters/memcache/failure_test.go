package memcache

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// commands is the number of items that a server was asked for, got or touched.
func commands(t *testing.T, addr string) (sum int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "stats\r\n")
	for {
		var word, name, value string
		if _, err := fmt.Fscanln(conn, &word, &name, &value); err != nil || word == "END" {
			return sum
		}
		if n, err := strconv.Atoi(value); err == nil && strings.HasPrefix(name, "cmd_") {
			sum += n
		}
	}
}

// A restart costs no call that may be repeated, however many connections the
// client had kept.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := testservers.StartMemcached(t)
	s := newStore(t, nil, server.Addr)
	ctx := t.Context()
	fill := func() { // the client's pool
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				key := strconv.Itoa(i)
				if err := s.Set(ctx, key, []byte("v"), 0); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	var written string
	for name, call := range map[string]func() error{
		"get":            func() error { _, err := s.Get(ctx, "k"); return err },
		"set":            func() error { return s.Set(ctx, "k", []byte("v"), 0) },
		"delete":         func() error { return s.Delete(ctx, "k") },
		"ttl":            func() error { _, err := s.TTL(ctx, "k"); return err },
		"getwithttl":     func() error { _, _, err := s.GetWithTTL(ctx, "k"); return err },
		"getmanywithttl": func() error { _, err := s.GetManyWithTTL(ctx, []string{"a", "b"}); return err },
		"getmany":        func() error { _, err := s.GetMany(ctx, []string{"a", "b"}); return err },
		"setmany":        func() error { return s.SetMany(ctx, []store.Item{{Key: "a"}, {Key: "b"}}) },
		"touch":          func() error { return s.Touch(ctx, "k", 0) },
		"ping":           func() error { return s.Ping(ctx) },
	} {
		fill()
		server.Kill()
		server.Restart()
		if err := call(); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after a restart %s = %v", name, err)
		}
		mustSet(t, s, name, "v", 0)
		wantGet(t, s, name, "v")
		written = name
	}
	afterProof()
	wantGet(t, s, written, "v")
}

// What cannot be repeated says that its outcome is not known.
func TestRestartIsNoAnswer(t *testing.T) {
	t.Parallel()
	server := testservers.StartMemcached(t)
	s := newStore(t, nil, server.Addr)
	mustSet(t, s, "k", "v", 0)
	server.Kill()
	server.Restart()
	// A reading of the generation would find that the connection is broken.
	p := *s.generation.proven.Load()
	p.at = time.Now()
	s.generation.proven.Store(&p)
	added, err := s.Add(t.Context(), "k", nil, 0)
	if added {
		t.Error("Add = true")
	}
	wantErr(t, "Add", err, store.ErrUnavailable)
	if added, err := s.Add(t.Context(), "k", nil, 0); !added || err != nil {
		t.Errorf("the next Add = %v, %v", added, err)
	}
}

// A silent server costs the client's time-out, and no more than the context.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	server := testservers.StartMemcached(t)
	c := newClient(t, server.Addr)
	c.Timeout = 100 * time.Millisecond
	s := newStoreOver(t, c, nil)
	mustSet(t, s, "k", "v", 0)
	server.Pause()

	_, err := s.Get(t.Context(), "k")
	wantErr(t, "Get", err, store.ErrUnavailable)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %v, which matches too much", err)
	}
	// Those who wait for the generation together fail together.
	afterProof()
	var wg sync.WaitGroup
	start := time.Now()
	for range 20 {
		wg.Go(func() {
			_, err := s.Get(context.Background(), "k")
			wantErr(t, "Get", err, store.ErrUnavailable)
		})
	}
	wg.Wait()
	if d := time.Since(start); d > 20*c.Timeout {
		t.Errorf("20 calls together took %v with a time-out of %v", d, c.Timeout)
	}

	// Calls that were given up read nothing of the caller's any more.
	server.Resume()
	mustSet(t, s, "swap", "first", 0)
	server.Pause()
	afterProof()
	c.Timeout = 2 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	value, old, swap := []byte("first"), []byte("first"), []byte("second")
	start = time.Now()
	wg.Go(func() {
		_, err := s.CompareAndSwap(ctx, "swap", old, swap, 0)
		wantErr(t, "CompareAndSwap", err, context.DeadlineExceeded)
	})
	err = s.Set(ctx, "k", value, 0)
	wantErr(t, "Set", err, context.DeadlineExceeded)
	wg.Wait()
	if errors.Is(err, store.ErrUnavailable) || time.Since(start) > time.Second {
		t.Errorf("Set = %v after %v", err, time.Since(start))
	}
	for _, b := range [][]byte{value, old, swap} {
		clear(b)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Fatal("Close does not wait for the calls that go on")
	case <-time.After(50 * time.Millisecond):
	}
	server.Resume()
	wantErr(t, "Close", <-closed, nil)
	s = newStore(t, nil, server.Addr)
	wantGet(t, s, "k", "first")
	wantGet(t, s, "swap", "second")
}

// byServer returns keys with the server that each is on.
func byServer(s *Store, servers int) [][]string {
	keys := make([][]string, servers)
	for i := range 50 {
		key := "k" + strconv.Itoa(i)
		n := crc32.ChecksumIEEE([]byte(s.name(key).native)) % uint32(servers)
		keys[n] = append(keys[n], key)
	}
	return keys
}

// Of two servers either may fail and come back, empty or not; the entries of
// the other are served throughout.
func TestOneOfTwoServers(t *testing.T) {
	t.Parallel()
	for down := range 2 {
		for name, fault := range map[string]struct{ begin, end func(*testservers.Process) }{
			"killed": {(*testservers.Process).Kill, (*testservers.Process).Restart},
			"silent": {(*testservers.Process).Pause, (*testservers.Process).Resume},
		} {
			t.Run(fmt.Sprintf("%d is %s", down, name), func(t *testing.T) {
				t.Parallel()
				servers := []*testservers.Process{testservers.StartMemcached(t), testservers.StartMemcached(t)}
				addrs := []string{servers[0].Addr, servers[1].Addr}
				ctx := t.Context()
				opts := &Options{Prefix: newPrefix()}
				open := func() *Store {
					c := newClient(t, addrs...)
					c.Timeout = 700 * time.Millisecond
					return newStoreOver(t, c, opts)
				}
				s := open()
				keys := byServer(s, 2)
				lost, kept := keys[down], keys[1-down]
				for _, key := range append(lost, kept...) {
					mustSet(t, s, key, key, 0)
				}
				fault.begin(servers[down])
				ended := sync.OnceFunc(func() { fault.end(servers[down]) })
				defer ended()

				_, err := s.Get(ctx, lost[0])
				wantErr(t, "Get of the server that is down", err, store.ErrUnavailable)
				// A silent server may do this when it wakes up, at any time.
				wantErr(t, "Set", s.Set(ctx, lost[0], nil, 0), store.ErrUnavailable)
				lost = lost[1:]
				wantErr(t, "Ping", s.Ping(ctx), store.ErrUnavailable)
				for _, key := range kept[:3] {
					afterProof()
					wantGet(t, s, key, key)
				}
				wantGet(t, open(), kept[0], kept[0]) // that has not seen the generation yet
				values, err := s.GetMany(ctx, append(lost, kept...))
				wantErr(t, "GetMany", err, store.ErrUnavailable)
				entries, err := s.GetManyWithTTL(ctx, append(lost, kept...))
				wantErr(t, "GetManyWithTTL", err, store.ErrUnavailable)
				if len(entries) != len(kept) {
					t.Errorf("GetManyWithTTL has %d values, want %d", len(entries), len(kept))
				}
				if len(values) != len(kept) {
					t.Errorf("GetMany has %d values, want %d", len(values), len(kept))
				}
				wantErr(t, "Clear", s.Clear(ctx), store.ErrUnavailable)
				mustSet(t, s, kept[0], "new", 0)

				ended()
				wantGet(t, s, kept[0], "new")
				for _, key := range lost {
					mustSet(t, s, key, "new", 0)
				}
				afterProof()
				for _, s := range []*Store{s, open()} {
					for _, key := range append(lost, kept[0]) {
						wantGet(t, s, key, "new")
					}
				}
				wantErr(t, "Clear", s.Clear(ctx), nil)
				wantMiss(t, s, keys[0]...)
				wantMiss(t, open(), keys[1]...)
			})
		}
	}
}
