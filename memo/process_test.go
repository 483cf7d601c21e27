package memo_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// processVar is the environment variable that makes this test binary a process
// of a fleet: the JSON of its processConfig.
const processVar = "CAIRN_MEMO_PROCESS"

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
	What        string  // "ready", "loading" and "answered"
	Loaded      int64   // when the load here has ended, 0 if there was none
	Times       []int64 // when each caller was answered
	Values      []int64 // the different answers: the ID of who has loaded
	Errors      []string
	StoreErrors uint64 // of all the time
}

// runProcess lets callers get each key that the parent names on standard
// input, from the time on that is given with it, and tells on standard output
// what happens. It ends with the input, so it does not outlive the parent.
func runProcess(text string) (code int) {
	var p process
	p.out = json.NewEncoder(os.Stdout)
	if err := json.Unmarshal([]byte(text), &p.processConfig); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := p.open(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var key int
		var at int64
		if _, err := fmt.Sscan(lines.Text(), &key, &at); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		p.tell(p.getAll(key, at))
	}
	return 0
}

type process struct {
	processConfig
	f   *memo.Func[int, int64]
	mu  sync.Mutex
	out *json.Encoder

	loaded atomic.Int64 // as in happening
}

func (p *process) tell(h happening) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(h) // if nobody reads it, the parent has ended
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
		p.tell(happening{What: "loading"})
		time.Sleep(p.LoadTime)
		p.loaded.Store(time.Now().UnixNano()) // told later, as it takes time
		return int64(p.ID), nil
	}, nil)
	if err != nil {
		return err
	}
	_, err = p.f.Get(context.Background(), 0) // there are connections
	p.tell(happening{What: "ready"})
	return err
}

// getAll lets all callers get a key.
func (p *process) getAll(key int, at int64) happening {
	time.Sleep(time.Until(time.Unix(0, at)))
	h := happening{What: "answered"}
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range p.Callers {
		callers.Go(func() {
			v, err := p.f.Get(context.Background(), key)
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

// child is a process of a fleet, seen from the parent.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	told   chan happening // closed when the process has ended
	killed bool
}

// startProcesses starts this test binary again, n times, and returns when all
// are ready. They end with the test.
func startProcesses(t *testing.T, n int, c processConfig) []*child {
	t.Helper()
	children := make([]*child, n)
	for i := range children {
		c.ID = i + 1
		children[i] = startProcess(t, c)
	}
	for _, c := range children {
		if h := c.next(t); h.What != "ready" {
			t.Fatalf("got %+v", h)
		}
	}
	return children
}

func startProcess(t *testing.T, config processConfig) *child {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0], "-test.run=^$"), told: make(chan happening, 100)}
	c.cmd.Env = append(os.Environ(), processVar+"="+string(text))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.told)
		answers := json.NewDecoder(out)
		for {
			var h happening
			if answers.Decode(&h) != nil {
				return
			}
			c.told <- h
		}
	}()
	t.Cleanup(func() {
		c.in.Close()
		kill := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
		defer kill.Stop()
		for range c.told { // until the end
		}
		if err := c.cmd.Wait(); err != nil && !c.killed {
			t.Errorf("process %d: %v", config.ID, err)
		}
	})
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
		if _, err := fmt.Fprintln(c.in, key, at.UnixNano()); err != nil {
			t.Fatal(err)
		}
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
