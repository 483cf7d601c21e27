package layered_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	gomemcache "github.com/bradfitz/gomemcache/memcache"
	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memcache"
	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func newMemcache(t *testing.T) *memcache.Store {
	t.Helper()
	client := gomemcache.New(testservers.Memcached(t).Addr)
	client.MaxIdleConns = 64
	client.Timeout = patience
	s, err := memcache.New(client, &memcache.Options{Prefix: unique()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		client.Close()
	})
	return s
}

func TestConformanceOverMemcache(t *testing.T) {
	t.Parallel()
	bounded := coherences["Bounded"]
	conformance.Run(t, func(t *testing.T) store.Store {
		return newLayered(t, newMemory(t), newMemcache(t), &layered.Options{Coherence: bounded, Timeout: patience})
	}, &conformance.Options{
		MaxValue: 1<<20 - 8<<10, // leaves room for the headers and the key
		Skip:     overBytes,
		Want:     slices.DeleteFunc(wanted(bounded), func(ability string) bool { return ability == "Keys" || ability == "Lock" || ability == "WatchLock" }),
	})
}

// Memcached tells of no changes.
func TestWatchOverMemcacheIsRefused(t *testing.T) {
	s, err := layered.New(newMemory(t), newMemcache(t), watchSecond)
	if s != nil || !errors.Is(err, store.ErrInvalid) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("New = %v, %v; want ErrInvalid and errors.ErrUnsupported", s, err)
	}
}

func TestConformanceOverCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs: testservers.RedisCluster(t).Addrs, PoolSize: 50, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { client.Close() })
	conformance.Run(t, func(t *testing.T) store.Store {
		return overRedis(t, client, unique(), coherences["Watch"])
	}, &conformance.Options{
		TTLStep: 2 * time.Millisecond,
		Skip:    skipOverRedis("Watch"),
		Want:    wanted(coherences["Watch"]),
	})
}

// Memory over memory over Redis, each level told by the next. A second handle
// has levels of its own.
func TestConformanceOfThreeLevels(t *testing.T) {
	t.Parallel()
	client := newClient(testservers.StartRedis(t).Addr)
	t.Cleanup(func() { client.Close() })
	skip := skipOverRedis("Watch")
	for _, id := range []string{"Reopen/SeesWrites", "Reopen/SeesDeletes", "Reopen/SeesClear"} {
		skip[id] = "what another process writes shows when Redis has told of it, within Watch's bound; TestConformanceOfTwo has it where telling takes no time"
	}
	open := func(t *testing.T, prefix string) store.Store {
		inner := overRedis(t, client, prefix, coherences["Watch"])
		outer := newLayered(t, newMemory(t), inner, &layered.Options{Coherence: coherences["Watch"], Timeout: patience})
		return &prefixed{outer, prefix}
	}
	conformance.Run(t, func(t *testing.T) store.Store { return open(t, unique()) }, &conformance.Options{
		TTLStep: 2 * time.Millisecond,
		Skip:    skip,
		Want:    wanted(coherences["Watch"]),
		Reopen:  func(t *testing.T, s store.Store) store.Store { return open(t, s.(*prefixed).prefix) },
	})
}

// prefixed remembers what its keys begin with in the last level.
type prefixed struct {
	*layered.Store
	prefix string
}
