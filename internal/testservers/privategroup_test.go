package testservers

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestStartRedisSentinel(t *testing.T) {
	t.Parallel()
	g := StartRedisSentinel(t, 2, 300*time.Millisecond)
	old := g.Servers[0]
	master := func() string {
		return strings.Join(strings.Fields(ask(t, "tcp", g.Addrs[0], "SENTINEL GET-MASTER-ADDR-BY-NAME "+g.MasterName)), ":")
	}
	if got := master(); got != old.Addr || len(g.Servers) != 3 {
		t.Fatalf("the master is %s of %d servers, want %s of 3", got, len(g.Servers), old.Addr)
	}
	old.Pause()
	if err := poll(patience, func() error {
		if got := master(); got == old.Addr {
			return fmt.Errorf("%s is still the master", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := says(master(), "ROLE", "master\n"); err != nil {
		t.Error(err)
	}
	old.Resume()
	if err := says(old.Addr, "ROLE", "slave\n"); err != nil {
		t.Error(err)
	}
}

func TestStartRedisCluster(t *testing.T) {
	t.Parallel()
	c := StartRedisCluster(t)
	if shared := RedisCluster(t); shared.Addrs[0] == c.Addrs[0] || len(c.Masters) != 3 {
		t.Errorf("got %d masters at %v, those of all tests are at %v", len(c.Masters), c.Addrs, shared.Addrs)
	}
	c.Masters[1].Kill()
	c.Masters[1].Restart()
	for _, addr := range c.Addrs {
		if err := says(addr, "CLUSTER INFO", "cluster_state:ok", "cluster_slots_ok:16384"); err != nil {
			t.Error(err)
		}
	}
}
