package layered_test

import (
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
)

// servers are what a test runs against and may break.
type servers struct {
	t     *testing.T
	redis *testservers.Process // L2
	proxy *faultproxy.Proxy    // what the stores take for it
	admin *goredis.Client      // not through the proxy
	fleet fleet                // the processes of a stress

	// Instead of redis and proxy: a master with replicas, and its sentinel.
	group *testservers.SentinelGroup
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{t: t, redis: testservers.StartRedis(t)}
	s.proxy = faultproxy.New(t, s.redis.Addr)
	s.admin = goredis.NewClient(&goredis.Options{Addr: s.redis.Addr})
	t.Cleanup(func() { s.admin.Close() })
	return s
}

// startSentinel is startServers for a master that may fail over to one of two
// replicas. A master that has lost both takes no writes, or it would acknowledge
// some that are lost, which nobody can make good.
func startSentinel(t *testing.T) *servers {
	t.Helper()
	s := &servers{t: t, group: testservers.StartRedisSentinel(t, 2, 500*time.Millisecond)}
	for _, one := range s.group.Servers {
		client := goredis.NewClient(&goredis.Options{Addr: one.Addr})
		if err := client.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
			t.Error(err)
		}
		client.Close()
	}
	return s
}

// master returns the master of a group. The sentinel names another one when it
// tells the clients, which is some time after that was promoted.
func (s *servers) master() *testservers.Process {
	s.t.Helper()
	sentinel := goredis.NewSentinelClient(&goredis.Options{Addr: s.group.Addrs[0]})
	defer sentinel.Close()
	m, err := sentinel.Master(context.Background(), s.group.MasterName).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, one := range s.group.Servers {
		if one.Addr == net.JoinHostPort(m["ip"], m["port"]) {
			return one
		}
	}
	s.t.Fatal("the sentinel's master is unknown: ", m)
	return nil
}

// follows says whether a server is a replica that has all that its master has.
func follows(addr string) bool {
	client := goredis.NewClient(&goredis.Options{Addr: addr, ReadTimeout: time.Second, MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	replication := client.InfoMap(context.Background(), "replication").Val()["Replication"]
	return replication["role"] == "slave" && replication["master_link_status"] == "up"
}

func (s *servers) tell(command ...any) (answer any) {
	s.t.Helper()
	answer, err := s.admin.Do(context.Background(), command...).Result()
	if err != nil && err != goredis.Nil {
		s.t.Error(command, ": ", err)
	}
	return answer
}

// watchers returns the addresses of the watching connections, as the server
// knows them.
func (s *servers) watchers() (peers []string) {
	s.t.Helper()
	list, _ := s.tell("CLIENT", "LIST", "TYPE", "pubsub").(string)
	for _, field := range strings.Fields(list) {
		if addr, ok := strings.CutPrefix(field, "addr="); ok {
			peers = append(peers, addr)
		}
	}
	return peers
}

// What may happen to the servers. Each ends with servers that work.
func calm(*servers) {}

func cutWatch(s *servers) { s.tell("CLIENT", "KILL", "TYPE", "pubsub") }

// loseWatch is a black hole for the watching connections that there are.
func loseWatch(s *servers) { s.proxy.Lose(s.watchers()...) }

// holdWatch makes what is told arrive late.
func holdWatch(s *servers) {
	s.proxy.Hold(s.watchers()...)
	time.Sleep(3 * testDelta / 2)
	s.proxy.Pass()
}

func loseAll(s *servers) {
	s.proxy.BlackHole()
	time.Sleep(3 * testDelta / 2)
	s.proxy.Pass()
}

func freeze(s *servers) {
	s.redis.Pause()
	time.Sleep(1500 * time.Millisecond)
	s.redis.Resume()
}

// freezeProcess lets a process of a stress miss what happens meanwhile.
func freezeProcess(s *servers) {
	c := s.fleet[rand.IntN(len(s.fleet))]
	c.Signal(syscall.SIGSTOP)
	time.Sleep(1200 * time.Millisecond)
	c.Signal(syscall.SIGCONT)
}

// killProcess replaces a process of a stress by a new one.
func killProcess(s *servers) {
	i := rand.IntN(len(s.fleet))
	old := s.fleet[i]
	old.Signal(syscall.SIGKILL)
	s.fleet[i] = startProcess(s.t, old.config)
	s.fleet[i : i+1].ask("start")
}

func killServer(s *servers) {
	s.redis.Kill()
	time.Sleep(100 * time.Millisecond)
	s.redis.Restart()
}

// failOver freezes the master until another one is promoted and the clients have
// been told, and returns some seconds later, when it follows that. Until then it
// takes itself for the master. A client that is not told yet takes it for that
// too, so who reads by it reads what is old: that is not what L1 can mend.
func failOver(s *servers) {
	s.t.Helper()
	old := s.master()
	old.Pause()
	eventually(s.t, "another master", func() bool { return s.master() != old })
	time.Sleep(3 * testDelta) // for a machine that has much else to do
	old.Resume()
	eventually(s.t, "the old master follows", func() bool { return follows(old.Addr) })
}

func flushAll(s *servers) { s.tell("FLUSHALL") }

func killClients(s *servers) {
	s.tell("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	cutWatch(s)
}

// evict lets the server run out of memory.
func evict(s *servers) {
	s.tell("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	s.tell("CONFIG", "SET", "maxmemory", "1")
	s.tell("PING")
	s.tell("CONFIG", "SET", "maxmemory", "0")
}
