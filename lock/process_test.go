package lock

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// processVar is the environment variable that makes this test binary another
// process that takes locks: the JSON of its processConfig.
const processVar = "CAIRN_LOCK_PROCESS"

type processConfig struct {
	URL string
	TTL time.Duration
}

// answer is what a process answers to the command that has its name.
type answer struct {
	Done  string
	Error string // "" if there was none
	Lost  bool   // the error is ErrLost
	Fence uint64

	Sections int      // that were counted
	Faults   []string // that were seen in them
}

// worker is such a process, seen from within.
type worker struct {
	s          store.Store
	k          *Locker
	lease      *Lease
	goroutines int // before any lock was taken
}

// runProcess does what the parent asks for on standard input, and answers on
// standard output. It ends with the input, so it does not outlive the parent.
func runProcess(text string) (code int) {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, err); return 1 }
	var config processConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return fail(err)
	}
	w := &worker{goroutines: runtime.NumGoroutine()}
	var err error
	if w.s, err = store.Open(context.Background(), config.URL); err != nil {
		return fail(err)
	}
	if w.k, err = New(w.s, &Options{TTL: config.TTL}); err != nil {
		return fail(err)
	}
	if err = store.Ping(context.Background(), w.s); err != nil {
		return fail(err)
	}
	answers := json.NewEncoder(os.Stdout)
	answers.Encode(answer{Done: "open"})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answers.Encode(w.do(lines.Text()))
	}
	return 0
}

func (w *worker) do(command string) answer {
	a := answer{Done: command}
	ctx := context.Background()
	var err error
	switch command {
	case "lock":
		if w.lease, err = w.k.Lock(ctx, "a"); err == nil {
			a.Fence = w.lease.Fence()
		}
	case "write": // whatever has become of the lease: it is too late to look
		err = row{w.s}.write(ctx, w.lease.Fence())
	case "wait": // for the end of the lease
		select {
		case <-w.lease.Context().Done():
			err = context.Cause(w.lease.Context())
		case <-time.After(patience):
			err = errors.New("the Context does not end")
		}
	case "unlock":
		err = w.lease.Unlock(ctx)
	case "sections":
		w.sections(&a)
	case "close":
		err = w.close()
	}
	if err != nil {
		a.Error, a.Lost = err.Error(), errors.Is(err, ErrLost)
	}
	return a
}

// close reports what is left.
func (w *worker) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.k.Close(ctx); err != nil {
		return err
	}
	if s := w.k.Stats(); s.Held != 0 || s.Waiting != 0 || len(w.k.lines) != 0 {
		return fmt.Errorf("left: %+v, %d lines", s, len(w.k.lines))
	}
	if err := store.Close(w.s); err != nil {
		return err
	}
	for runtime.NumGoroutine() > w.goroutines {
		if ctx.Err() != nil {
			stacks := make([]byte, 1<<16)
			return fmt.Errorf("%d goroutines, and %d before:\n%s", runtime.NumGoroutine(), w.goroutines, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// child is such a process, seen from the parent.
type child struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan answer // closed when the process has ended
}

// startProcess starts this test binary again, and returns when it is connected.
// It ends with the test.
func startProcess(t *testing.T, s *site, ttl time.Duration) *child {
	t.Helper()
	text, err := json.Marshal(processConfig{s.url(), ttl})
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0], "-test.run=^$"), answers: make(chan answer, 10)}
	// A data race ends the process, and so fails the test. Without, it ends at once.
	c.cmd.Env = append(os.Environ(), processVar+"="+string(text), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
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
		defer close(c.answers)
		for d := json.NewDecoder(out); ; {
			var a answer
			if d.Decode(&a) != nil {
				return
			}
			c.answers <- a
		}
	}()
	t.Cleanup(func() {
		c.in.Close()
		kill := time.AfterFunc(patience, func() { c.cmd.Process.Kill() })
		defer kill.Stop()
		c.cmd.Process.Signal(syscall.SIGCONT)
		for range c.answers { // until the end
		}
		c.cmd.Wait()
	})
	c.answer("open")
	return c
}

func (c *child) send(command string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		c.t.Fatal(command, ": ", err)
	}
}

// answer waits for the answer to a command.
func (c *child) answer(command string) answer {
	c.t.Helper()
	select {
	case a, ok := <-c.answers:
		if !ok || a.Done != command {
			c.t.Fatalf("%s: got %+v, %v", command, a, ok)
		}
		return a
	case <-time.After(3 * patience):
		c.t.Fatalf("%s: no answer", command)
	}
	panic("unreachable")
}

func (c *child) ask(command string) answer {
	c.t.Helper()
	c.send(command)
	return c.answer(command)
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// row is what the lock protects, which remembers the fence of its last writer.
// Each write of it is atomic.
type row struct{ s store.Store }

const rowKey = "row"

var errFenced = errors.New("a larger fence has written")

func (r row) write(ctx context.Context, fence uint64) error {
	for {
		old, err := r.s.Get(ctx, rowKey)
		var written bool
		if errors.Is(err, store.ErrNotFound) {
			written, err = store.Add(ctx, r.s, rowKey, fmt.Append(nil, fence), store.Forever)
		} else if err == nil {
			var last uint64
			if _, err = fmt.Sscan(string(old), &last); err == nil && last > fence {
				return errFenced
			}
			written, err = store.CompareAndSwap(ctx, r.s, rowKey, old, fmt.Append(nil, fence), store.Forever)
		}
		if written || err != nil {
			return err
		}
	}
}
