package layered_test

import (
	"context"
	"math/rand/v2"
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
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{t: t, redis: testservers.StartRedis(t)}
	s.proxy = faultproxy.New(t, s.redis.Addr)
	s.admin = goredis.NewClient(&goredis.Options{Addr: s.redis.Addr})
	t.Cleanup(func() { s.admin.Close() })
	return s
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
	c.signal(syscall.SIGSTOP)
	time.Sleep(1200 * time.Millisecond)
	c.signal(syscall.SIGCONT)
}

func killServer(s *servers) {
	s.redis.Kill()
	time.Sleep(100 * time.Millisecond)
	s.redis.Restart()
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
