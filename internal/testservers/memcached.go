package testservers

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Memcached returns a memcached that all tests share. It has an address but no
// unix socket, because memcached does not listen on both.
func Memcached(t testing.TB) *Server {
	t.Helper()
	return shared(t, plainMemcached, "memcached")
}

// MemcachedSocket returns another memcached that all tests share, which has a
// unix socket but no address.
func MemcachedSocket(t testing.TB) *Server {
	t.Helper()
	return shared(t, socketMemcached, "memcached")
}

var (
	plainMemcached = sync.OnceValues(func() (*Server, error) {
		i, err := memcachedSpec().start("memcached", freePort)
		if err != nil {
			return nil, err
		}
		return &Server{Addr: i.addr()}, nil
	})
	socketMemcached = sync.OnceValues(func() (*Server, error) {
		i, err := memcachedSocketSpec.start("memcached", freePort)
		if err != nil {
			return nil, err
		}
		return &Server{Socket: memcachedSocket(i.dir)}, nil
	})
)

// StartMemcached starts a memcached for this test alone, with an address, and
// stops it when the test ends. The args follow its own on the command line:
// "-I", "8m".
func StartMemcached(t testing.TB, args ...string) *Process {
	t.Helper()
	need(t, "memcached")
	p := startProcess(t, "memcached", memcachedSpec(args...))
	p.Server = Server{Addr: p.instance.addr()}
	return p
}

func memcachedSpec(args ...string) spec {
	return spec{
		command: func(_ string, port int) []string {
			return append(memcachedCommand("-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0"), args...)
		},
		identify: func(i *instance) (int, error) { return memcachedPID(net.Dial("tcp", i.addr())) },
	}
}

func memcachedSocket(dir string) string { return filepath.Join(dir, "memcached.sock") }

var memcachedSocketSpec = spec{
	command: func(dir string, _ int) []string {
		return memcachedCommand("-s", memcachedSocket(dir))
	},
	identify: func(i *instance) (int, error) { return memcachedPID(net.Dial("unix", memcachedSocket(i.dir))) },
}

// memcachedCommand names the user where memcached insists on it.
func memcachedCommand(args ...string) []string {
	command := []string{"memcached"}
	if os.Geteuid() == 0 {
		command = append(command, "-u", "root")
	}
	return append(command, args...)
}

func memcachedPID(conn net.Conn, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stats, err := askMemcached(conn)
	if err != nil {
		return 0, err
	}
	return pidIn(stats, "STAT pid ")
}
