package redis

import (
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
)

// One master that is silent is enough for nothing to be proven.
func TestWatchClusterSilence(t *testing.T) {
	client, proxies := newProxiedCluster(t)
	for _, addr := range testservers.RedisCluster(t).Addrs {
		opts := quick(unique(t))
		opts.Timeout = time.Second
		s := newStore(t, client, opts)
		r := watchStore(t, s)
		proxies[addr].BlackHole()
		r.provesNothing(s)
		r.flushedAnew(proxies[addr].Pass)
		for i := range 10 {
			key := fmt.Sprint(i)
			eventually(t, "a write", func() bool { return s.Set(t.Context(), key, []byte("v"), 0) == nil })
			r.tells(s, key)
		}
	}
}

func TestWatchClusterRestart(t *testing.T) {
	group := testservers.StartRedisCluster(t)
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: group.Addrs, ContextTimeoutEnabled: true, DialerRetries: 1})
	defer client.Close()
	opts := quick("p:")
	opts.Timeout = time.Second
	s := newStore(t, client, opts)
	r := watchStore(t, s)
	for _, master := range group.Masters {
		master.Kill()
		r.provesNothing(s)
		r.flushedAnew(master.Restart)
	}
}

// A master that has lost its slots is watched no more, and one that has got
// some is.
func TestWatchClusterResharding(t *testing.T) {
	group := testservers.StartRedisCluster(t)
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: group.Addrs, ContextTimeoutEnabled: true})
	defer client.Close()
	var nodes []*goredis.Client
	var ids []string
	for _, addr := range group.Addrs {
		node := newClient(t, addr)
		id, err := node.ClusterMyID(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		// A master that loses its last slot stays one.
		if err := node.ConfigSet(t.Context(), "cluster-allow-replica-migration", "no").Err(); err != nil {
			t.Fatal(err)
		}
		nodes, ids = append(nodes, node), append(ids, id)
	}
	s := newStore(t, client, quick("p:"))
	r := watchStore(t, s)
	move := func(from, to, slots int) {
		t.Helper()
		r.flushedAnew(func() { nodes[from].FlushAll(t.Context()) }) // slots with keys cannot be given away like that
		before := r.flushCount()
		for _, i := range []int{to, from, 3 - to - from} {
			pipe := nodes[i].Pipeline()
			for slot := range slots {
				pipe.Do(t.Context(), "cluster", "setslot", 16383-slot, "node", ids[to])
			}
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "Flush", func() bool { return r.flushCount() > before })
		r.prove()
	}
	write := func() {
		t.Helper()
		for i := range 20 {
			r.tells(s, fmt.Sprint(i))
		}
	}
	write()
	const slots = 5461 // of the third master
	move(2, 1, slots)
	eventually(t, "two masters are watched", func() bool { return len(lines(t, nodes[2])) == 0 && len(lines(t, nodes[1])) == 1 })
	write()
	move(1, 2, 100)
	eventually(t, "three masters are watched", func() bool { return len(lines(t, nodes[2])) == 1 })
	write()
}
