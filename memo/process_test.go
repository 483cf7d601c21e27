package memo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// processConfig is what a process is told at its start.
type processConfig struct {
	ID       int
	URL      string
	Callers  int           // goroutines that ask for a key at the same time
	LoadTime time.Duration // of each load
}

// happening is what a process tells. Times are in Unix ns: the processes share
// the clock of the machine.
type happening struct {
	What        string  // "loading" and "answered"
	Loaded      int64   // when the load here has ended, 0 if there was none
	Times       []int64 // when each caller was answered
	Values      []int64 // the different answers: the ID of who has loaded
	Errors      []string
	StoreErrors uint64 // of all the time
}

// turn is what a process is asked for: to get a key.
type turn struct {
	Key int
	At  int64 // when, in Unix ns
}

type process struct {
	processConfig
	f      *memo.Func[int, int64]
	loaded atomic.Int64 // as in happening
}

// run lets callers get each key that the test names, and tells what happens.
func (c processConfig) run() error {
	p := process{processConfig: c}
	if err := p.open(); err != nil {
		return err
	}
	return testprocess.Serve(p.getAll)
}

func (p *process) open() error {
	s, err := store.Open(context.Background(), p.URL)
	if err != nil {
		return err
	}
	m, err := memo.New(s, &memo.Options{Policy: memo.Policy{TTL: time.Minute}})
	if err != nil {
		return err
	}
	p.f, err = memo.Wrap(m, "f", func(_ context.Context, key int) (int64, error) {
		if key == 0 {
			return 0, nil
		}
		if err := json.NewEncoder(os.Stdout).Encode(happening{What: "loading"}); err != nil { // written in one piece
			return 0, err
		}
		time.Sleep(p.LoadTime)
		p.loaded.Store(time.Now().UnixNano()) // told later, as it takes time
		return int64(p.ID), nil
	}, nil)
	if err != nil {
		return err
	}
	_, err = p.f.Get(context.Background(), 0) // there are connections
	return err
}

// getAll lets all callers get a key.
func (p *process) getAll(its turn) happening {
	time.Sleep(time.Until(time.Unix(0, its.At)))
	h := happening{What: "answered"}
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range p.Callers {
		callers.Go(func() {
			v, err := p.f.Get(context.Background(), its.Key)
			now := time.Now().UnixNano()
			mu.Lock()
			defer mu.Unlock()
			h.Times = append(h.Times, now)
			if err != nil {
				h.Errors = append(h.Errors, err.Error())
			} else if !slices.Contains(h.Values, v) {
				h.Values = append(h.Values, v)
			}
		})
	}
	callers.Wait()
	h.Loaded = p.loaded.Swap(0)
	h.StoreErrors = p.f.Stats().StoreErrors
	return h
}

// child is a process of a fleet, seen from the test.
type child struct {
	*testprocess.Process
	told   chan happening // closed when the process has ended
	killed bool
}

// startProcesses starts n processes, which are ready.
func startProcesses(t *testing.T, n int, c processConfig) []*child {
	t.Helper()
	children := make([]*child, n)
	for i := range children {
		c.ID = i + 1
		children[i] = startProcess(t, c)
	}
	return children
}

func startProcess(t *testing.T, config processConfig) *child {
	t.Helper()
	c := &child{Process: testprocess.Start(t, config), told: make(chan happening, 100)}
	go func() {
		defer close(c.told)
		for d := json.NewDecoder(c.Out); ; {
			var h happening
			if d.Decode(&h) != nil {
				return
			}
			c.told <- h
		}
	}()
	return c
}

// next returns what the process tells next.
func (c *child) next(t *testing.T) happening {
	t.Helper()
	select {
	case h, ok := <-c.told:
		if !ok {
			t.Fatal("a process has ended")
		}
		return h
	case <-time.After(time.Minute):
		t.Fatal("a process tells nothing")
	}
	panic("unreachable")
}

// getAtOnce lets all callers of all processes ask for a key at the same time, and
// returns that.
func getAtOnce(t *testing.T, children []*child, key int) time.Time {
	t.Helper()
	at := time.Now().Add(20 * time.Millisecond)
	for _, c := range children {
		c.Send(turn{key, at.UnixNano()})
	}
	return at
}

// round is what the processes have told of one key.
type round struct {
	loads  int
	loaded time.Time       // the end of the last load
	late   []time.Duration // how long after it each caller was answered, ascending
	values []int64
}

// collectRound waits until all processes but a killed one have answered.
func collectRound(t *testing.T, children []*child) (r round) {
	t.Helper()
	var times []int64
	for i, c := range children {
		for !c.killed {
			h := c.next(t)
			if h.What == "loading" {
				r.loads++
				continue
			}
			if h.Loaded != 0 {
				r.loaded = latest(r.loaded, time.Unix(0, h.Loaded))
			}
			if len(h.Errors) > 0 {
				t.Errorf("process %d: %d callers failed: %v", i+1, len(h.Errors), h.Errors[0])
			}
			if h.StoreErrors > 0 {
				t.Logf("process %d: the store has failed %d times", i+1, h.StoreErrors)
			}
			times = append(times, h.Times...)
			r.values = append(r.values, h.Values...)
			break
		}
	}
	for _, at := range times {
		r.late = append(r.late, time.Unix(0, at).Sub(r.loaded))
	}
	slices.Sort(r.late)
	slices.Sort(r.values)
	r.values = slices.Compact(r.values)
	return r
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fleetURLs are what the processes of a fleet share. What a store does not
// answer in time is loaded without a lease, which is not what is tested here.
var fleetURLs = map[string]func(t *testing.T) string{
	"redis": func(t *testing.T) string {
		return fmt.Sprintf("redis://%s/0?timeout=10s&prefix=t%d:", testservers.Redis(t).Addr, prefixes.Add(1))
	},
	"layered": func(t *testing.T) string {
		return fmt.Sprintf("layered:?timeout=10s | memory: | redis://%s/0?timeout=10s&prefix=t%d:", testservers.Redis(t).Addr, prefixes.Add(1))
	},
	"memcached": func(t *testing.T) string {
		return fmt.Sprintf("memcache://%s?timeout=10s&prefix=t%d:", testservers.Memcached(t).Addr, prefixes.Add(1))
	},
}
