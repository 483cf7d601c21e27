package layered_test

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

var prefixes atomic.Int64

// unique returns a prefix that no other test uses.
func unique() string { return fmt.Sprintf("layered%d:", prefixes.Add(1)) }

// patience is for a machine that has much else to do.
const patience = 5 * time.Second

// overRedis proves what it tells often, which much waits for.
func overRedis(t *testing.T, client goredis.UniversalClient, prefix string, c layered.Coherence) *layered.Store {
	t.Helper()
	return newOverRedis(t, client, &redis.Options{Prefix: prefix, Timeout: patience, WatchDelta: 400 * time.Millisecond}, c)
}

func newOverRedis(t *testing.T, client goredis.UniversalClient, o *redis.Options, c layered.Coherence) *layered.Store {
	t.Helper()
	l2, err := redis.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l2.Close() })
	return newLayered(t, newMemory(t), l2, &layered.Options{Coherence: c, Timeout: patience})
}

// skipOverRedis are the cases that Redis as L2 does not pass in full.
func skipOverRedis(coherence string) map[string]string {
	skip := maps.Clone(overBytes)
	if coherence == "Watch" {
		skip["Live/DecodedOnce"] = "L1 serves what is proven, and is told of the store's own Set after that has returned, so the first reads are of L2; TestDecodedOnceOverRedis has those that follow"
		skip["LiveAt/DecodedOnce"] = skip["Live/DecodedOnce"]
	}
	return skip
}

// What a view shows of a Store over bytes, TestConformanceBehindPrefix has.
func TestConformanceOverRedis(t *testing.T) {
	t.Parallel()
	for coherence, c := range coherences {
		t.Run(coherence, func(t *testing.T) {
			t.Parallel()
			// Its own, as each Keys and Clear walks all that a server has.
			proxy := faultproxy.New(t, testservers.StartRedis(t).Addr)
			client := newClient(proxy.Addr)
			t.Cleanup(func() { client.Close() })
			suite := &conformance.Options{TTLStep: 2 * time.Millisecond, Skip: skipOverRedis(coherence), Want: wanted(c), Fault: &conformance.Fault{
				Break: proxy.Cut,
				Hang:  proxy.BlackHole,
				Restore: func() {
					proxy.Pass()
					eventually(t, "the server answers", func() bool { return client.Ping(t.Context()).Err() == nil })
				},
			}}
			conformance.Run(t, func(t *testing.T) store.Store { return overRedis(t, client, unique(), c) }, suite)
		})
	}
}
