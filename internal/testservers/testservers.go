// Package testservers starts real Redis and Memcached servers for tests, on
// free loopback ports and in a temporary directory.
//
// [Redis], [RedisTLS], [RedisCluster], [RedisSentinel], [Memcached] and
// [MemcachedSocket] return a server that all tests of a test binary share: it
// is started by the first test that asks and is never emptied, so a test takes
// a key prefix of its own and leaves the server running. [StartRedis] and
// [StartMemcached] start a server for one test alone, to be paused, killed and
// restarted at will.
//
// All functions may be called from parallel tests, but not from inside a
// synctest bubble: ask for the server before entering it.
//
// A test whose server is not installed is skipped. It fails instead where the
// environment variable CAIRN_TEST_SERVERS is "required".
//
// No server outlives the test binary, however that ends: see [Main].
package testservers

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// Server is a server that listens on a loopback address, on a unix socket, or
// on both.
type Server struct {
	Addr   string // host:port; empty for MemcachedSocket
	Socket string // path of the unix socket; empty for Memcached and StartMemcached
}

// Main runs the tests of a test binary and then stops every server:
//
//	func TestMain(m *testing.M) { testservers.Main(m) }
//
// Without it, and where a test binary panics, times out or is killed, the
// servers are killed and their files removed a moment after its end.
func Main(m *testing.M) {
	m.Run() // its result becomes the exit code when TestMain returns
	exit.Lock()
	defer exit.Unlock()
	for _, stop := range slices.Backward(exit.stops) {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// exit holds what Main does at the end, last first.
var exit struct {
	sync.Mutex
	stops []func() error
}

func atExit(stop func() error) {
	exit.Lock()
	defer exit.Unlock()
	exit.stops = append(exit.stops, stop)
}

// need skips t, or fails it, unless the programs are installed.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		give := t.Skipf
		if os.Getenv("CAIRN_TEST_SERVERS") == "required" {
			give = t.Fatalf
		}
		give("%s is not installed; on Debian: apt-get install -y redis-server memcached", program)
	}
}

// shared returns what start returned to the first test that asked.
func shared[T any](t testing.TB, start func() (T, error), programs ...string) T {
	t.Helper()
	need(t, programs...)
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
