package layered_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/store"
)

// node is a layered store with all that a process has of its own: what another
// node does, it learns from the server alone.
type node struct {
	*layered.Store
	l1     *memory.Store
	l2     *redis.Store
	client goredis.UniversalClient
}

// nodeOptions have useful zero values.
type nodeOptions struct {
	delta   time.Duration // 0 is testDelta
	watch   time.Duration // redis.Options.WatchDelta; 0 is delta
	off     []string      // mechanisms that do nothing: "lease", and those of SwitchOff
	patient bool          // with an L2 that is slow, because the machine is
	pause   func()        // before and after each call of L2
}

// testDelta is what all tests state, unless they say otherwise.
const testDelta = 400 * time.Millisecond

func newClient(addr string) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: addr, PoolSize: 50, ContextTimeoutEnabled: true,
		DialTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, DialerRetries: 1, // the store asks for less
	})
}

func newFailoverClient(sentinels []string, master string) *goredis.Client {
	return goredis.NewFailoverClient(&goredis.FailoverOptions{
		SentinelAddrs: sentinels, MasterName: master, PoolSize: 50, ContextTimeoutEnabled: true,
		DialTimeout: time.Second, ReadTimeout: time.Second, DialerRetries: 1,
	})
}

// openNode opens a node that uses client.
func openNode(client goredis.UniversalClient, prefix string, o nodeOptions) (*node, error) {
	if o.delta == 0 {
		o.delta = testDelta
	}
	if o.watch == 0 {
		o.watch = o.delta
	}
	var timeout time.Duration
	if o.patient {
		timeout = 10 * time.Second
	}
	l2, err := redis.New(client, &redis.Options{Prefix: prefix, WatchDelta: o.watch, Timeout: timeout})
	if err != nil {
		return nil, err
	}
	l1, err := memory.New(&memory.Options{MaxEntries: 10000})
	if err != nil {
		return nil, err
	}
	var far store.Store = l2
	if o.pause != nil {
		far = delayed(l2, o.pause)
	}
	if i := slices.Index(o.off, "lease"); i >= 0 {
		far, o.off = unleased(far), slices.Delete(slices.Clone(o.off), i, i+1)
	}
	s, err := layered.New(l1, far, &layered.Options{Coherence: layered.Watch(o.delta), Timeout: timeout})
	if err != nil {
		return nil, err
	}
	for _, name := range o.off {
		s.SwitchOff(name)
	}
	return &node{s, l1, l2, client}, nil
}

func (n *node) close() error {
	return errors.Join(n.Store.Close(), n.l2.Close(), n.l1.Close(), n.client.Close())
}

// newNode opens a node that is closed when the test ends, and returns when its
// L1 serves.
func newNode(t *testing.T, client goredis.UniversalClient, prefix string, o nodeOptions) *node {
	t.Helper()
	n, err := openNode(client, prefix, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	n.warm(t)
	return n
}

// warm waits until L1 serves.
func (n *node) warm(t *testing.T) {
	t.Helper()
	eventually(t, "L1 serves", func() bool {
		n.Set(t.Context(), "warm", []byte("v"), time.Minute)
		n.Get(t.Context(), "warm")
		before := n.l1.Stats().Hits
		n.Get(t.Context(), "warm")
		return n.l1.Stats().Hits > before
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

// trial is a few nodes that read and write the same keys while something
// happens to their server, and what they have seen. A value is the number of
// the write that made it. Each key is written by one node, and given up for
// another when a write has failed: nobody knows then what is right.
type trial struct {
	nodes []*node
	keys  [trialKeys]atomic.Pointer[trialKey]

	mu    sync.Mutex
	seen  report
	fresh atomic.Int64 // number of keys so far
}

const trialKeys = 6

type trialKey struct {
	name   string
	events struct {
		sync.Mutex
		all []deletion // writes that have returned
	}
	newest [2]atomic.Int64 // answered, by node
}

func (k *trialKey) written(n int64) {
	k.events.Lock()
	defer k.events.Unlock()
	k.events.all = append(k.events.all, deletion{Version: n, At: time.Now().UnixNano()})
}

// outdated returns for how long a value had been outdated at a time, and the
// newest one that had been written by then.
func (k *trialKey) outdated(v, at int64) (since time.Duration, newest int64) {
	k.events.Lock()
	defer k.events.Unlock()
	for _, e := range k.events.all {
		if e.Version > v && e.At < at {
			since = max(since, time.Duration(at-e.At))
			newest = e.Version
		}
	}
	return since, newest
}

// worked reports whether so much has succeeded that the trial says something.
func (tr *trial) worked() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.seen.Reads-tr.seen.ReadErrors >= 100 && tr.seen.Deletes-tr.seen.Failed >= 20
}

// run lets the nodes work until disturb has returned, and a moment longer: on a
// busy machine until they have worked.
func (tr *trial) run(disturb func()) *report {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for i := range tr.keys {
		tr.renew(i)
		work.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				tr.write(i, n)
				time.Sleep(rand.N(10 * time.Millisecond))
			}
		})
	}
	for id := range tr.nodes {
		for range 3 {
			work.Go(func() {
				for ctx.Err() == nil {
					tr.read(id, rand.IntN(trialKeys))
					time.Sleep(rand.N(time.Millisecond))
				}
			})
		}
	}
	time.Sleep(200 * time.Millisecond)
	disturb()
	time.Sleep(2 * testDelta)
	for end := time.Now().Add(20 * time.Second); !tr.worked() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	work.Wait()
	return &tr.seen
}

func (tr *trial) renew(i int) {
	tr.keys[i].Store(&trialKey{name: fmt.Sprint("k", tr.fresh.Add(1))})
}

// owner is the node that writes a key.
func (tr *trial) owner(i int) int { return i % len(tr.nodes) }

func (tr *trial) write(i int, n int64) {
	k, by := tr.keys[i].Load(), tr.nodes[tr.owner(i)]
	var err error
	if rand.IntN(3) == 0 {
		err = by.Delete(context.Background(), k.name)
	} else {
		err = by.Set(context.Background(), k.name, strconv.AppendInt(nil, n, 10), time.Minute)
	}
	tr.mu.Lock()
	tr.seen.Deletes++
	if err != nil {
		tr.seen.Failed++
	}
	tr.mu.Unlock()
	if err != nil {
		tr.renew(i)
		return
	}
	k.written(n)
}

func (tr *trial) read(id, i int) {
	k := tr.keys[i].Load()
	before, at := k.newest[id].Load(), time.Now().UnixNano()
	value, err := tr.nodes[id].Get(context.Background(), k.name)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.seen.Reads++
	if err == store.ErrNotFound {
		return
	}
	v, bad := strconv.ParseInt(string(value), 10, 64)
	if err != nil || bad != nil {
		tr.seen.ReadErrors++
		return
	}
	storeMax(&k.newest[id], v)
	since, newest := k.outdated(v, at)
	if v < before {
		tr.seen.Back++
		tr.seen.note("G3: node %d answers %d for %s after %d", id, v, k.name, before)
	}
	if newest > 0 && tr.owner(i) == id {
		tr.seen.Own++
		tr.seen.note("G1: node %d answers %d for %s, %v after it has written %d", id, v, k.name, since, newest)
	}
	tr.seen.Worst = max(tr.seen.Worst, since)
	if since > testDelta+slack {
		tr.seen.Stale++
		tr.seen.note("G2: node %d answers %d for %s, outdated since %v", id, v, k.name, since)
	}
}
