package testservers

import (
	"testing"
	"time"
)

// SentinelGroup is a sentinel with its master and replicas, which one test has
// for itself.
type SentinelGroup struct {
	Sentinel
	Servers []*Process // the first one begins as the master
}

// StartRedisSentinel starts a sentinel for this test alone, with a master and
// that many replicas, and stops all when the test ends. The sentinel takes a
// server that has not answered for downAfter for dead, and promotes a replica
// in its place. A master that comes back is made a replica of the new one, up
// to ten seconds later.
func StartRedisSentinel(t testing.TB, replicas int, downAfter time.Duration) *SentinelGroup {
	t.Helper()
	need(t, "redis-server")
	g, err := startGroup(replicas, downAfter)
	if err != nil {
		t.Fatal(err)
	}
	private := &SentinelGroup{Sentinel: *g.sentinel}
	for _, i := range g.servers {
		private.Servers = append(private.Servers, adopt(t, i))
	}
	adopt(t, g.own) // goes before what it watches
	return private
}

// ClusterGroup is a Redis Cluster that one test has for itself.
type ClusterGroup struct {
	Cluster
	Masters []*Process // in the order of Addrs
}

// StartRedisCluster starts a Redis Cluster of three masters without replicas
// for this test alone, and stops it when the test ends. A master that was
// killed has its slots again when it is restarted, and none of its entries.
func StartRedisCluster(t testing.TB) *ClusterGroup {
	t.Helper()
	need(t, "redis-server", "redis-cli")
	masters, err := startMasters(3)
	if err != nil {
		t.Fatal(err)
	}
	private := &ClusterGroup{Cluster: *clusterOf(masters)}
	for _, i := range masters {
		private.Masters = append(private.Masters, adopt(t, i))
	}
	return private
}
