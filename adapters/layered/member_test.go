package layered_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/memo"
)

// config is what a process is told at its start.
type config struct {
	ID         int
	Store      string   // address of the Redis that is L2, or of a proxy to it
	Sentinels  []string // addresses; who knows the Redis instead
	Master     string   // its name there
	Database   string   // address
	Prefix     string   // of all keys of the fleet
	Delta      time.Duration
	WatchDelta time.Duration // of the redis store; 0 is Delta
	Window     time.Duration // random delays are up to this
	LoadTime   time.Duration // of each load, besides
	Keys       int
	Readers    int
	Writers    int
	Update     bool     // writers use Update, as they may die between their write and the Delete
	Naive      bool     // two layers as one would write them at first
	Off        []string // mechanisms that do nothing, see nodeOptions
}

// member is a process of a fleet: a memoized function over a layered store,
// with goroutines that read and write the same keys as those of the others.
// What the function reads is a version for each key, in a database (a Redis
// that nothing happens to). A write makes a newer version, then deletes the
// key from the store.
type member struct {
	config

	failed atomic.Bool // the store has, since "read" began

	f    *memo.Func[int, int64]
	db   *goredis.Client
	keys []keyState

	stop context.CancelFunc // ends readers and writers
	work sync.WaitGroup
	mu   sync.Mutex
	seen report
}

// keyState is what a process knows of a key.
type keyState struct {
	own  atomic.Int64 // newest version whose Delete has returned in this process
	read atomic.Int64 // newest version that was answered

	mu     sync.Mutex
	events []deletion // of all processes, in the order in which they were told
}

// deletion tells that the Delete of a version has returned.
type deletion struct {
	Key     int
	Version int64
	At      int64 // Unix time in ns: the processes share the clock of the machine
}

// report is what a process has seen. Worst is how long an answer had been
// outdated when it was asked for: since the Delete of a newer version returned.
type report struct {
	Reads, Loads, Deletes int64
	ReadErrors, Failed    int64 // calls that failed; to "read" also 1 if the store has
	Own, Stale, Back      int64 // violations of G1, G2, G3
	Worst                 time.Duration
	Versions              []int64 // the answers, to "read"
	Notes                 []string
}

func (r *report) note(format string, args ...any) {
	if len(r.Notes) < 5 {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

func (m *member) open() error {
	m.keys = make([]keyState, m.Keys)
	m.db = goredis.NewClient(&goredis.Options{Addr: m.Database, PoolSize: 50})
	s, err := m.openStore()
	if err != nil {
		return err
	}
	mem, err := memo.New(s, &memo.Options{
		Namespace: m.Prefix,
		Policy:    memo.Policy{TTL: time.Minute},
		Logger:    slog.New(slog.DiscardHandler),
		Trace: &memo.Trace{StoreError: func(context.Context, memo.StoreErrorInfo) {
			m.failed.Store(true)
		}},
	})
	if err != nil {
		return err
	}
	if m.f, err = memo.Wrap(mem, "version", m.load, nil); err != nil {
		return err
	}
	return m.listen()
}

func (m *member) do(c command) report {
	switch c.Do {
	case "start":
		m.start()
		return report{}
	case "stop":
		m.stop()
		m.work.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.seen
	case "write":
		for _, k := range c.Keys {
			m.write(k)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.seen
	case "read": // by all readers at once, the keys of a fleet or others
		return m.readAll(c.Keys)
	}
	return report{Notes: []string{"unknown command " + c.Do}}
}

// pause is a race window.
func (m *member) pause() {
	if m.Window > 0 {
		time.Sleep(rand.N(m.Window))
	}
}

func (m *config) name(what string, k int) string { return fmt.Sprint(m.Prefix, what, ":", k) }

// load is the function. The database counts how many of a key are under way.
func (m *member) load(ctx context.Context, k int) (int64, error) {
	m.pause()
	ctx = context.WithoutCancel(ctx)
	atomic.AddInt64(&m.seen.Loads, 1)
	p := m.db.Pipeline()
	p.Incr(ctx, m.name("loads", k))
	now := p.Incr(ctx, m.name("loading", k))
	version := p.Get(ctx, m.name("version", k))
	if _, err := p.Exec(ctx); err != nil && err != goredis.Nil {
		return 0, err
	}
	if now.Val() > 1 {
		m.db.Incr(ctx, m.name("overlaps", k))
	}
	m.pause()
	time.Sleep(m.LoadTime)
	m.db.Decr(ctx, m.name("loading", k))
	v, err := version.Int64()
	if err == goredis.Nil {
		return 0, nil
	}
	return v, err
}

// listen learns of the deletions of all processes.
func (m *member) listen() error {
	ctx := context.Background()
	told := m.db.Subscribe(ctx, m.Prefix+"deletions")
	if _, err := told.Receive(ctx); err != nil {
		return err
	}
	go func() {
		for message := range told.Channel(goredis.WithChannelSize(10000)) {
			var d deletion
			if json.Unmarshal([]byte(message.Payload), &d) != nil {
				continue
			}
			k := &m.keys[d.Key]
			k.mu.Lock()
			k.events = append(k.events, d)
			k.mu.Unlock()
		}
	}()
	return nil
}

// outdated returns for how long version had been outdated at a time.
func (k *keyState) outdated(version, at int64) (since time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.events {
		if d.Version > version && d.At < at {
			since = max(since, time.Duration(at-d.At))
		}
	}
	return since
}

func (m *member) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	for range m.Readers {
		m.work.Go(func() {
			for ctx.Err() == nil {
				m.read(rand.IntN(m.Keys))
				time.Sleep(rand.N(2 * time.Millisecond))
			}
		})
	}
	for range m.Writers {
		m.work.Go(func() {
			for ctx.Err() == nil {
				m.write(rand.IntN(m.Keys))
				time.Sleep(rand.N(20 * time.Millisecond))
			}
		})
	}
}

// slack is what the clock and the report of a deletion may add to delta.
const slack = 100 * time.Millisecond

// read checks one answer.
func (m *member) read(i int) {
	k := &m.keys[i]
	own, newest, at := k.own.Load(), k.read.Load(), time.Now().UnixNano()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := m.f.Lookup(ctx, i)
	v := answer.Value
	var since time.Duration
	if err == nil {
		since = k.outdated(v, at)
		// What is not stored may be a version whose Delete is still to come,
		// while the store has the one before.
		if answer.TTL > 0 {
			storeMax(&k.read, v)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen.Reads++
	if err != nil {
		m.seen.ReadErrors++
		m.seen.note("read: %v", err)
		return
	}
	m.seen.Worst = max(m.seen.Worst, since)
	if v < own {
		m.seen.Own++
		m.seen.note("key %d: version %d after its own process has deleted it for %d", i, v, own)
	}
	if v < newest {
		m.seen.Back++
		m.seen.note("key %d: version %d after %d was answered", i, v, newest)
	}
	if since > m.Delta+slack {
		m.seen.Stale++
		m.seen.note("key %d: version %d was outdated since %v", i, v, since)
	}
}

func (m *member) write(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var v int64
	commit := func(ctx context.Context) (err error) {
		v, err = m.db.Incr(ctx, m.name("version", i)).Result()
		m.pause()
		return err
	}
	var err error
	if m.Update {
		err = m.f.Update(ctx, i, commit)
	} else if err = commit(ctx); err == nil {
		err = m.f.Delete(ctx, i)
	}
	if err == nil {
		storeMax(&m.keys[i].own, v)
		d, _ := json.Marshal(deletion{i, v, time.Now().UnixNano()})
		m.db.Publish(ctx, m.Prefix+"deletions", d)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen.Deletes++
	if err != nil {
		m.seen.Failed++
		m.seen.note("delete: %v", err)
	}
}

// readAll lets each reader read each of the keys once.
func (m *member) readAll(keys []int) report {
	r := report{Versions: make([]int64, len(keys))}
	m.failed.Store(false)
	var readers sync.WaitGroup
	for reader := range m.Readers {
		readers.Go(func() {
			for n := range keys {
				i := (n + reader) % len(keys)
				v, err := m.f.Get(context.Background(), keys[i])
				m.mu.Lock()
				switch {
				case err != nil:
					r.ReadErrors++
					r.note("read: %v", err)
				case reader == 0:
					r.Versions[i] = v
				}
				m.mu.Unlock()
			}
		})
	}
	readers.Wait()
	if m.failed.Load() {
		r.Failed++
	}
	return r
}

func storeMax(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}
