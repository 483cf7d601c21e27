package testservers

import (
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
	var c Cluster
	for range 3 {
		i, err := redisSpec("--cluster-enabled", "yes").start("redis-cluster", freePort)
		if err != nil {
			return nil, err
		}
		c.Addrs = append(c.Addrs, i.addr())
	}
	create := append([]string{"redis-cli", "--cluster", "create"}, c.Addrs...)
	if err := runToEnd(append(create, "--cluster-yes")...); err != nil {
		return nil, err
	}
	for _, addr := range c.Addrs {
		if err := says(addr, "CLUSTER INFO", "cluster_state:ok", "cluster_slots_ok:16384", "cluster_size:3"); err != nil {
			return nil, err
		}
	}
	return &c, nil
})
