package testservers

import (
	"fmt"
	"sync"
	"testing"
)

// Cluster is a Redis Cluster.
type Cluster struct {
	Addrs []string // host:port of each master
}

// RedisCluster returns a Redis Cluster of three masters without replicas that
// all tests share. The first call takes a few seconds.
func RedisCluster(t testing.TB) *Cluster {
	t.Helper()
	return shared(t, redisCluster, "redis-server", "redis-cli")
}

var redisCluster = sync.OnceValues(func() (*Cluster, error) {
	masters, err := startMasters(3)
	if err != nil {
		return nil, err
	}
	return clusterOf(masters), nil
})

func clusterOf(masters []*instance) *Cluster {
	var c Cluster
	for _, i := range masters {
		c.Addrs = append(c.Addrs, i.addr())
	}
	return &c
}

// startMasters starts a Redis Cluster that forgets nothing of itself: its
// nodes may be killed and restarted.
func startMasters(n int) ([]*instance, error) {
	create := []string{"redis-cli", "--cluster", "create"}
	var masters []*instance
	for range n {
		i, err := redisSpec("--cluster-enabled", "yes").start("redis-cluster", freePort)
		if err != nil {
			return nil, err
		}
		masters = append(masters, i)
		create = append(create, i.addr())
	}
	if err := runToEnd(append(create, "--cluster-yes")...); err != nil {
		return nil, err
	}
	for _, i := range masters {
		if err := says(i.addr(), "CLUSTER INFO", "cluster_state:ok", "cluster_slots_ok:16384", fmt.Sprint("cluster_size:", n)); err != nil {
			return nil, err
		}
	}
	return masters, nil
}
