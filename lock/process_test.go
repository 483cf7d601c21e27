package lock

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/store"
)

// processConfig is of another process that takes locks.
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

// run does what the test asks for.
func (c processConfig) run() error {
	w := &worker{goroutines: runtime.NumGoroutine()}
	var err error
	if w.s, err = store.Open(context.Background(), c.URL); err != nil {
		return err
	}
	if w.k, err = New(w.s, &Options{TTL: c.TTL}); err != nil {
		return err
	}
	if err = store.Ping(context.Background(), w.s); err != nil {
		return err
	}
	return testprocess.Serve(w.do)
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

// child is such a process, seen from the test.
type child struct {
	*testprocess.Process
	t *testing.T
}

func startProcess(t *testing.T, s *site, ttl time.Duration) *child {
	t.Helper()
	return &child{testprocess.Start(t, processConfig{s.url(), ttl}), t}
}

// answer waits for the answer to a command.
func (c *child) answer(command string) (a answer) {
	c.t.Helper()
	if c.Receive(&a); a.Done != command {
		c.t.Fatalf("%s: got %+v", command, a)
	}
	return a
}

func (c *child) ask(command string) answer {
	c.t.Helper()
	c.Send(command)
	return c.answer(command)
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
