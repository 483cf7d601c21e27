package testservers

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Sentinel is a Redis whose master is found by asking sentinels.
type Sentinel struct {
	Addrs      []string // host:port of each sentinel
	MasterName string
}

// RedisSentinel returns a sentinel that all tests share, with one master and
// one replica, which it knows. The first call takes a few seconds. The
// sentinel waits for a minute before it takes a master for dead.
func RedisSentinel(t testing.TB) *Sentinel {
	t.Helper()
	return shared(t, redisSentinel, "redis-server")
}

var redisSentinel = sync.OnceValues(func() (*Sentinel, error) {
	master, err := redisSpec("--repl-diskless-sync-delay", "0").start("redis-master", freePort)
	if err != nil {
		return nil, err
	}
	masterPort := strconv.Itoa(master.port)
	if _, err := redisSpec("--replicaof", "127.0.0.1", masterPort).start("redis-replica", freePort); err != nil {
		return nil, err
	}
	// A sentinel asks a master for its replicas when it starts and every ten
	// seconds after that, so the replica must be there before.
	if err := says(master.addr(), "INFO replication", "state=online"); err != nil {
		return nil, err
	}
	sentinel, err := startSentinel()
	if err != nil {
		return nil, err
	}
	s := &Sentinel{Addrs: []string{sentinel.addr()}, MasterName: "main"}
	if _, err := tell(sentinel.addr(),
		"SENTINEL MONITOR "+s.MasterName+" 127.0.0.1 "+masterPort+" 1",
		"SENTINEL SET "+s.MasterName+" down-after-milliseconds 60000",
	); err != nil {
		return nil, err
	}
	return s, says(sentinel.addr(), "SENTINEL REPLICAS "+s.MasterName, "\nflags\nslave\n", "\nmaster-link-status\nok\n")
})

// startSentinel starts a sentinel that knows no master. It insists on a file
// that it may write its configuration to.
func startSentinel() (*instance, error) {
	dir, err := newDir("sentinel-conf")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, err
	}
	return spec{
		command: func(dir string, port int) []string {
			return []string{"redis-server", file, "--sentinel", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir}
		},
		identify: redisSpec().identify,
	}.start("sentinel", freePort)
}
