package testservers

import (
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Redis returns a redis-server without password that all tests share. It
// listens on an address and on a unix socket, and keeps nothing on disk.
func Redis(t testing.TB) *Server {
	t.Helper()
	return shared(t, plainRedis, "redis-server")
}

var plainRedis = sync.OnceValues(func() (*Server, error) {
	i, err := redisSpec().start("redis", freePort)
	if err != nil {
		return nil, err
	}
	return &Server{Addr: i.addr(), Socket: redisSocket(i.dir)}, nil
})

// StartRedis starts a redis-server for this test alone, with an address and a
// unix socket as [Redis] has, and stops it when the test ends. The args follow
// its own on the command line and win over them: "--maxmemory", "2mb". They
// must not ask for a password, which would keep StartRedis from seeing that
// the server is ready.
func StartRedis(t testing.TB, args ...string) *Process {
	t.Helper()
	need(t, "redis-server")
	p := startProcess(t, "redis", redisSpec(args...))
	p.Server = Server{Addr: p.instance.addr(), Socket: redisSocket(p.instance.dir)}
	return p
}

func redisSocket(dir string) string { return filepath.Join(dir, "redis.sock") }

func redisSpec(args ...string) spec {
	return spec{
		command: func(dir string, port int) []string {
			return append([]string{
				"redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
				"--unixsocket", redisSocket(dir), "--dir", dir, "--save", "", "--appendonly", "no",
			}, args...)
		},
		identify: func(i *instance) (int, error) { return redisPID(net.Dial("tcp", i.addr())) },
	}
}

// redisPID returns the process id of a Redis that is ready for commands, and
// closes the connection. The commands in before come first.
func redisPID(conn net.Conn, err error, before ...string) (int, error) {
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	info, err := askRedis(conn, answerTime, append(before, "PING", "INFO server")...)
	if err != nil {
		return 0, err
	}
	return pidIn(info, "process_id:")
}
