package testservers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
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
	g, err := startGroup(1, time.Minute)
	if err != nil {
		return nil, err
	}
	return g.sentinel, nil
})

// group is a sentinel and the servers that it watches.
type group struct {
	sentinel *Sentinel
	own      *instance
	servers  []*instance // the master first
}

func startGroup(replicas int, downAfter time.Duration) (*group, error) {
	master, err := redisSpec("--repl-diskless-sync-delay", "0").start("redis-master", freePort)
	if err != nil {
		return nil, err
	}
	g := &group{servers: []*instance{master}}
	masterPort := strconv.Itoa(master.port)
	var online []string
	for range replicas {
		replica, err := redisSpec("--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", masterPort).start("redis-replica", freePort)
		if err != nil {
			return nil, err
		}
		g.servers = append(g.servers, replica)
		online = append(online, fmt.Sprintf("port=%d,state=online", replica.port))
	}
	// A sentinel asks a master for its replicas when it starts and every ten
	// seconds after that, so the replicas must be there before.
	if err := says(master.addr(), "INFO replication", online...); err != nil {
		return nil, err
	}
	sentinel, err := startSentinel()
	if err != nil {
		return nil, err
	}
	g.own = sentinel
	g.sentinel = &Sentinel{Addrs: []string{sentinel.addr()}, MasterName: "main"}
	if _, err := tell(sentinel.addr(),
		"SENTINEL MONITOR "+g.sentinel.MasterName+" 127.0.0.1 "+masterPort+" 1",
		fmt.Sprintf("SENTINEL SET %s down-after-milliseconds %d", g.sentinel.MasterName, downAfter.Milliseconds()),
		"SENTINEL SET "+g.sentinel.MasterName+" failover-timeout 3000",
	); err != nil {
		return nil, err
	}
	if err := says(sentinel.addr(), "SENTINEL MASTER "+g.sentinel.MasterName, fmt.Sprintf("\nnum-slaves\n%d\n", replicas)); err != nil {
		return nil, err
	}
	return g, says(sentinel.addr(), "SENTINEL REPLICAS "+g.sentinel.MasterName, "\nflags\nslave\n", "\nmaster-link-status\nok\n")
}

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
