package testservers

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// ask sends one command to a Redis.
func ask(t *testing.T, network, addr, command string) string {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply, err := askRedis(conn, patience, command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return reply
}

func TestRedis(t *testing.T) {
	t.Parallel()
	s := Redis(t)
	if other := Redis(t); other != s {
		t.Errorf("two servers: %v and %v", s, other)
	}
	ask(t, "tcp", s.Addr, "SET TestRedis here")
	if got := ask(t, "unix", s.Socket, "GET TestRedis"); got != "here" {
		t.Errorf("the socket leads to another server: got %q", got)
	}
}

func TestRedisIsStartedOnce(t *testing.T) {
	t.Parallel()
	addrs := make(chan string, 20)
	var wg sync.WaitGroup
	for range cap(addrs) {
		wg.Go(func() { addrs <- Redis(t).Addr })
	}
	wg.Wait()
	close(addrs)
	for addr := range addrs {
		if want := Redis(t).Addr; addr != want {
			t.Errorf("got %s, want %s", addr, want)
		}
	}
}

func TestRedisTLS(t *testing.T) {
	t.Parallel()
	s := RedisTLS(t)
	tests := []struct{ name, command, want string }{
		{"no password", "PING", "NOAUTH Authentication required."},
		{"default user", "AUTH " + s.Password, "WRONGPASS"},
		{"wrong password", "AUTH " + s.Username + " wrong", "WRONGPASS"},
	}
	for _, test := range tests {
		conn, err := tls.Dial("tcp", s.Addr, s.TLS)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := askRedis(conn, patience, test.command); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
	conn, err := tls.Dial("tcp", s.Addr, s.TLS)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	auth := "AUTH " + s.Username + " " + s.Password
	if got, err := askRedis(conn, patience, auth, "SET TestRedisTLS here", "GET TestRedisTLS"); got != "here" || err != nil {
		t.Errorf("with password: got %q, %v", got, err)
	}
	if _, err := askRedis(conn, patience, "FLUSHALL"); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("FLUSHALL: got %v, want NOPERM", err)
	}
	if conn, err := tls.Dial("tcp", s.Addr, nil); err == nil {
		conn.Close()
		t.Error("the certificate is trusted without CAFile")
	}
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	c := RedisCluster(t)
	nodes := ask(t, "tcp", c.Addrs[0], "CLUSTER NODES")
	for _, addr := range c.Addrs {
		if !strings.Contains(nodes, addr+"@") {
			t.Errorf("%s is not among the nodes:\n%s", addr, nodes)
		}
	}
	if got := strings.Count(nodes, "master"); len(c.Addrs) != 3 || got != 3 {
		t.Errorf("got %d addresses and %d masters, want 3", len(c.Addrs), got)
	}
	for _, addr := range c.Addrs { // each serves a third of the slots and knows who serves the others
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		served := 0
		for i := range 30 {
			_, err := askRedis(conn, patience, fmt.Sprintf("SET TestRedisCluster%d here", i))
			if err == nil {
				served++
			} else if !strings.HasPrefix(err.Error(), "MOVED ") {
				t.Fatal(err)
			}
		}
		if served == 0 || served == 30 {
			t.Errorf("%s serves %d of 30 keys", addr, served)
		}
	}
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	s := RedisSentinel(t)
	master := strings.Fields(ask(t, "tcp", s.Addrs[0], "SENTINEL GET-MASTER-ADDR-BY-NAME "+s.MasterName))
	addr := net.JoinHostPort(master[0], master[1])
	if got := ask(t, "tcp", addr, "ROLE"); !strings.HasPrefix(got, "master\n") {
		t.Errorf("the master's role is %s", got)
	}
	ask(t, "tcp", addr, "SET TestRedisSentinel here")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := askRedis(conn, patience, "SET TestRedisSentinel here", "WAIT 1 1000"); got != "1" || err != nil {
		t.Errorf("WAIT for the replica: got %s, %v", got, err)
	}
}

func TestMemcached(t *testing.T) {
	t.Parallel()
	tests := []struct{ network, addr string }{
		{"tcp", Memcached(t).Addr},
		{"unix", MemcachedSocket(t).Socket},
	}
	for _, test := range tests {
		conn, err := net.Dial(test.network, test.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "set key 0 0 5\r\nvalue\r\n")
		reply := make([]byte, len("STORED\r\n"))
		if _, err := io.ReadFull(conn, reply); string(reply) != "STORED\r\n" {
			t.Errorf("%s: got %q, %v", test.network, reply, err)
		}
	}
}

// A port that another server has taken meanwhile is not mistaken for ours.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	need(t, "redis-server", "memcached")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	redis, memcached := StartRedis(t), StartMemcached(t)
	for _, spec := range []spec{redisSpec(), memcachedSpec()} {
		ports := []int{redis.instance.port, memcached.instance.port, silent.Addr().(*net.TCPAddr).Port}
		tried := 0
		i, err := spec.start("taken", func() int {
			if tried++; tried <= len(ports) {
				return ports[tried-1]
			}
			return freePort()
		})
		if err != nil {
			t.Fatal(err)
		}
		defer i.stop("KILL")
		if tried != len(ports)+1 {
			t.Errorf("it started on the port of another, at try %d", tried)
		}
	}
}

// fakeTB stands for a test that skips or fails.
type fakeTB struct {
	testing.TB
	skipped, failed string
}

func (f *fakeTB) Helper() {}

func (f *fakeTB) Skipf(format string, args ...any) {
	f.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (f *fakeTB) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func (f *fakeTB) run(test func(t testing.TB)) {
	var wg sync.WaitGroup
	wg.Go(func() { test(f) })
	wg.Wait()
}

func TestNotInstalled(t *testing.T) {
	const want = "memcached is not installed; on Debian: apt-get install -y redis-server memcached"
	t.Setenv("PATH", t.TempDir())

	t.Setenv("CAIRN_TEST_SERVERS", "")
	var optional fakeTB
	optional.run(func(t testing.TB) { Memcached(t) })
	if optional.skipped != want || optional.failed != "" {
		t.Errorf("skipped with %q, failed with %q", optional.skipped, optional.failed)
	}

	t.Setenv("CAIRN_TEST_SERVERS", "required")
	var required fakeTB
	required.run(func(t testing.TB) { StartMemcached(t) })
	if required.failed != want || required.skipped != "" {
		t.Errorf("skipped with %q, failed with %q", required.skipped, required.failed)
	}
}

func TestBadArgument(t *testing.T) {
	t.Parallel()
	need(t, "redis-server")
	var f fakeTB
	f.run(func(t testing.TB) { StartRedis(t, "--no-such-option", "1") })
	if !strings.Contains(f.failed, "Bad directive or wrong number of arguments") {
		t.Errorf("the server's own words are not in the message: %s", f.failed)
	}
}
