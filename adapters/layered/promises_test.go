package layered_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// faults are what happens to a server while its promises are tested.
var faults = map[string]func(*servers){
	"nothing":           calm,
	"watch cut":         often(cutWatch, 10, 60*time.Millisecond),
	"watch silent":      often(loseWatch, 3, testDelta),
	"watch late":        often(holdWatch, 2, testDelta),
	"network black":     loseAll,
	"server frozen":     freeze,
	"server restarted":  often(killServer, 2, testDelta),
	"FLUSHALL":          often(flushAll, 10, 60*time.Millisecond),
	"all clients cut":   often(killClients, 5, 100*time.Millisecond),
	"entries evicted":   often(evict, 10, 60*time.Millisecond),
	"silent and killed": func(s *servers) { loseWatch(s); killServer(s); loseWatch(s) },
}

// often repeats a fault with pauses.
func often(fault func(*servers), times int, pause time.Duration) func(*servers) {
	return func(s *servers) {
		for range times {
			fault(s)
			time.Sleep(pause)
		}
	}
}

// fenced is a node whose watch is patient with silence, so that the fence alone
// bounds staleness: else the watch would flush before the fence is missed.
var fenced = nodeOptions{watch: 3 * testDelta}

// tryAll runs a trial of two nodes for each fault, and checks what was seen.
func tryAll(t *testing.T, check func(t *testing.T, seen *report)) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServers(t)
			tr := new(trial)
			for range 2 {
				tr.nodes = append(tr.nodes, newNode(t, newClient(s.proxy.Addr), "p:", fenced))
			}
			seen := tr.run(func() { fault(s) })
			t.Logf("%d reads (%d failed), %d writes (%d failed), outdated for up to %v", seen.Reads, seen.ReadErrors, seen.Deletes, seen.Failed, seen.Worst)
			if !tr.worked() {
				t.Error("hardly anything worked")
			}
			check(t, seen)
			for _, note := range seen.Notes {
				t.Log(note)
			}
		})
	}
}

// G1: after Set or Delete returned nil, no later Get in that process answers an
// older value.
func TestG1ReadYourWrites(t *testing.T) {
	tryAll(t, func(t *testing.T, seen *report) {
		if seen.Own > 0 {
			t.Errorf("%d answers were older than what the process itself had written", seen.Own)
		}
	})
}

// G2: what L1 answers was L2's value at most delta ago, under lost messages,
// cut and silent connections, server restart and failover.
func TestG2BoundedStaleness(t *testing.T) {
	tryAll(t, func(t *testing.T, seen *report) {
		if seen.Stale > 0 {
			t.Errorf("%d answers were outdated since more than %v, the worst since %v", seen.Stale, testDelta+slack, seen.Worst)
		}
	})
}

// G3: per key and process, values never go back in time, while the primary
// keeps what it acknowledged.
func TestG3NeverBackInTime(t *testing.T) {
	tryAll(t, func(t *testing.T, seen *report) {
		if seen.Back > 0 {
			t.Errorf("%d answers were older than one before", seen.Back)
		}
	})
}

// G1 to G3 through a failover: the master freezes, a replica is promoted, and
// the old master goes on for some seconds as if nothing had happened.
func TestFailover(t *testing.T) {
	t.Parallel()
	s := startSentinel(t)
	tr := new(trial)
	for range 2 {
		tr.nodes = append(tr.nodes, newNode(t, newFailoverClient(s.group.Addrs, s.group.MasterName), "p:", fenced))
	}
	checkAll(t, tr.run(func() { failOver(s) }))
}

// G1 to G3 on a cluster, of which a master is cut off, freezes and dies.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := testservers.StartRedisCluster(t)
	tr := new(trial)
	for range 2 {
		client := goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: c.Addrs, PoolSize: 50, ContextTimeoutEnabled: true, DialTimeout: time.Second, ReadTimeout: time.Second,
		})
		tr.nodes = append(tr.nodes, newNode(t, client, "p:", nodeOptions{}))
	}
	admin := newClient(c.Addrs[1])
	defer admin.Close()
	checkAll(t, tr.run(func() {
		for _, what := range []string{"pubsub", "normal"} {
			if err := admin.Do(context.Background(), "CLIENT", "KILL", "TYPE", what, "SKIPME", "yes").Err(); err != nil {
				t.Error(err)
			}
			time.Sleep(testDelta)
		}
		c.Masters[0].Pause()
		time.Sleep(3 * testDelta)
		c.Masters[0].Resume()
		c.Masters[2].Kill()
		time.Sleep(testDelta)
		c.Masters[2].Restart()
		time.Sleep(testDelta)
	}))
}

// checkAll checks G1 to G3.
func checkAll(t *testing.T, seen *report) {
	t.Helper()
	t.Logf("%d reads (%d failed), %d writes (%d failed), outdated for up to %v", seen.Reads, seen.ReadErrors, seen.Deletes, seen.Failed, seen.Worst)
	if seen.Own+seen.Stale+seen.Back > 0 {
		t.Errorf("violations: own writes %d, staleness %d, back in time %d", seen.Own, seen.Stale, seen.Back)
	}
	for _, note := range seen.Notes {
		t.Log(note)
	}
}

// G4: what was read or loaded before a Set or Delete completed is in no layer
// afterwards.
func TestG4NoResurrection(t *testing.T) {
	for name, fault := range faults {
		if name == "network black" || name == "server frozen" {
			continue // nothing completes
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServers(t)
			for _, writer := range []string{"the same process", "another process"} {
				readThenDelete(t, s, writer, fault)
				loadThenDelete(t, s, writer, fault)
			}
		})
	}
}

// holdup holds back calls of L2 after they have been answered.
type holdup struct {
	closed  atomic.Bool
	waiting chan struct{}
	open    chan struct{}
	second  atomic.Bool
}

func newHoldup() *holdup { return &holdup{waiting: make(chan struct{}), open: make(chan struct{})} }

// pass is called before and after a call.
func (g *holdup) pass() {
	if !g.closed.Load() {
		return
	}
	if g.second.CompareAndSwap(false, true) {
		return // before the call
	}
	if g.closed.CompareAndSwap(true, false) {
		g.waiting <- struct{}{}
		<-g.open
	}
}

func readThenDelete(t *testing.T, s *servers, writer string, fault func(*servers)) {
	t.Helper()
	g := newHoldup()
	reader := newNode(t, newClient(s.proxy.Addr), "p:", nodeOptions{pause: g.pass})
	other := reader
	if writer == "another process" {
		other = newNode(t, newClient(s.proxy.Addr), "p:", nodeOptions{})
	}
	ctx, key := t.Context(), "read before "+writer
	if err := other.Set(ctx, key, []byte("old"), time.Minute); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the reader is told of this before it asks
	g.closed.Store(true)
	var done sync.WaitGroup
	done.Go(func() { reader.Get(ctx, key) })
	<-g.waiting
	fault(s)
	eventually(t, "Delete", func() bool { return other.Delete(ctx, key) == nil })
	if other != reader {
		time.Sleep(testDelta) // the bound of what L1 may answer
	}
	g.open <- struct{}{}
	done.Wait()
	for name, n := range map[string]store.Store{"reader": reader, "writer": other, "L2": other.l2} {
		if v, err := n.Get(ctx, key); err != store.ErrNotFound {
			t.Errorf("deleted by %s: %s answers %q, %v", writer, name, v, err)
		}
	}
}

func loadThenDelete(t *testing.T, s *servers, writer string, fault func(*servers)) {
	t.Helper()
	var version atomic.Int64
	began, end := make(chan struct{}, 10), make(chan struct{})
	wrap := func() *memo.Func[string, int64] {
		n := newNode(t, newClient(s.proxy.Addr), "m:", nodeOptions{})
		m, err := memo.New(n.Store, &memo.Options{Policy: memo.Policy{TTL: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		f, err := memo.Wrap(m, "f", func(context.Context, string) (int64, error) {
			v := version.Load()
			began <- struct{}{}
			<-end
			return v, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	loader := wrap()
	other := loader
	if writer == "another process" {
		other = wrap()
	}
	key := "loaded before " + writer
	var done sync.WaitGroup
	done.Go(func() { loader.Get(t.Context(), key) })
	<-began
	fault(s)
	version.Store(1)
	eventually(t, "Delete", func() bool { return other.Delete(t.Context(), key) == nil })
	close(end)
	done.Wait()
	if other != loader {
		time.Sleep(testDelta)
	}
	for name, f := range map[string]*memo.Func[string, int64]{"loader": loader, "writer": other} {
		if v, err := f.Get(t.Context(), key); v != 1 || err != nil {
			t.Errorf("deleted by %s: %s answers %d, %v", writer, name, v, err)
		}
	}
}

// G5: layering never prolongs a ttl.
func TestG5TTLIsNotProlonged(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServers(t)
			a := newNode(t, newClient(s.proxy.Addr), "p:", nodeOptions{})
			b := newNode(t, newClient(s.proxy.Addr), "p:", nodeOptions{})
			stop := make(chan struct{})
			var work sync.WaitGroup
			for id := range 4 {
				work.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						outlives(t, a, b, fmt.Sprint(id, ".", i), time.Duration(50+100*id)*time.Millisecond)
					}
				})
			}
			fault(s)
			time.Sleep(testDelta)
			close(stop)
			work.Wait()
		})
	}
}

// outlives reads an entry all its life, and then it must be gone.
func outlives(t *testing.T, a, b *node, key string, ttl time.Duration) {
	ctx := context.Background()
	if a.Set(ctx, key, []byte("v"), ttl) != nil {
		return
	}
	end := time.Now().Add(ttl + 2*time.Millisecond) // the server counts whole ms
	for {
		for id, n := range []*node{a, b} {
			began := time.Now()
			_, err := n.Get(ctx, key)
			if err == nil && began.After(end) {
				t.Errorf("node %d answers %v after the end of an entry that lived for %v", id, began.Sub(end), ttl)
				return
			}
			if left, err := n.TTL(ctx, key); err == nil && left > time.Until(end) {
				// The answer may be late, so that what is left now is less.
				if left > end.Sub(began) {
					t.Errorf("node %d: %v left of an entry that ends in %v", id, left, end.Sub(began))
				}
			}
		}
		if time.Now().After(end.Add(20 * time.Millisecond)) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// G6: one load at a time per key in the fleet, while L2 answers and leases are
// renewed.
func TestG6OneLoadInTheFleet(t *testing.T) {
	for _, name := range []string{"nothing", "watch cut", "watch silent", "watch late"} {
		fault := faults[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServers(t)
			var loads, loading atomic.Int64
			load := func(_ context.Context, k int) (int, error) {
				if n := loading.Add(1); n > 1 {
					t.Errorf("%d loads at a time", n)
				}
				loads.Add(1)
				time.Sleep(100 * time.Millisecond)
				if k == 0 {
					time.Sleep(11 * time.Second) // longer than a lease that is not renewed
				}
				loading.Add(-1)
				return k, nil
			}
			var funcs []*memo.Func[int, int]
			for range 3 {
				n := newNode(t, newClient(s.proxy.Addr), "m:", nodeOptions{patient: true})
				m, err := memo.New(n.Store, &memo.Options{Policy: memo.Policy{TTL: time.Minute}})
				if err != nil {
					t.Fatal(err)
				}
				f, err := memo.Wrap(m, "f", load, nil)
				if err != nil {
					t.Fatal(err)
				}
				funcs = append(funcs, f)
			}
			for k := range 5 {
				var callers sync.WaitGroup
				start := time.Now()
				for _, f := range funcs {
					for range 50 {
						callers.Go(func() {
							if v, err := f.Get(t.Context(), k); v != k || err != nil {
								t.Errorf("got %d, %v", v, err)
							}
						})
					}
				}
				time.Sleep(20 * time.Millisecond)
				fault(s)
				callers.Wait()
				if n := loads.Swap(0); n != 1 {
					t.Errorf("key %d: %d loads, want 1", k, n)
				}
				t.Logf("key %d: all callers were answered within %v", k, time.Since(start))
			}
		})
	}
}
