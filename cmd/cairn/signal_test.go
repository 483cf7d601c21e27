package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// patience is for how long a program may take to end.
const patience = time.Minute

// A process is the program in a process of its own.
type process struct {
	*exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	stderr bytes.Buffer
}

// start starts the program. One that does not end is made to: by a signal which
// has it print, to stderr, what each goroutine is at.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGQUIT) }
	p.WaitDelay = patience / 6
	p.Env = append(os.Environ(), programVariable+"=1")
	p.Stderr = &p.stderr
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.out, err = p.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// interrupt sends SIGINT, as Ctrl-C does.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the end of the program, which was interrupted.
func (p *process) ends(t *testing.T, name string) {
	t.Helper()
	begin := time.Now()
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != exitError {
		t.Errorf("exit code %d, want %d (%v)", code, exitError, p.ProcessState)
	}
	if want := "cairn " + name + ": interrupted\n"; p.stderr.String() != want {
		t.Errorf("stderr is %q, want %q", &p.stderr, want)
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("it took %v to end", took)
	}
}

func TestInterruptWhileReading(t *testing.T) {
	for _, args := range []string{"set k -store memory:", "decode"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			p := start(t, strings.Fields(args)...)
			// More than a pipe holds, so that the program is reading.
			if _, err := p.in.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			p.interrupt(t)
			p.ends(t, p.Args[1])
		})
	}
}

// many stores keys with more text than a pipe holds, and lists them.
func listMany(t *testing.T) (p *process, server *testservers.Process) {
	t.Helper()
	server = testservers.StartRedis(t)
	url := "redis://" + server.Addr + "?timeout=1m"
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(s)
	var items []store.Item
	for i := range 20000 {
		items = append(items, store.Item{Key: fmt.Sprint("a rather long key, number ", i), TTL: store.Forever})
	}
	if err := store.SetMany(t.Context(), s, items); err != nil {
		t.Fatal(err)
	}
	p = start(t, "keys", "-store", url)
	if _, err := io.ReadFull(p.out, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	return p, server
}

func TestInterruptWhileListing(t *testing.T) {
	t.Parallel()
	p, server := listMany(t)
	server.Pause() // so that it does not come to the end now
	p.interrupt(t)
	rest, err := io.ReadAll(p.out)
	if err != nil || !bytes.HasSuffix(rest, []byte("\n")) {
		t.Errorf("the output ends with %q, %v", rest[max(0, len(rest)-50):], err)
	}
	p.ends(t, "keys")
}

// As before | head: it ends at once, and there is nothing to say of it.
func TestUnread(t *testing.T) {
	t.Parallel()
	p, _ := listMany(t)
	p.out.Close()
	p.Wait()
	if p.ProcessState.ExitCode() != exitError || p.stderr.Len() > 0 {
		t.Errorf("%v: %s", p.ProcessState, &p.stderr)
	}
}

// After Ctrl-C all else that went wrong is told too.
func TestSaid(t *testing.T) {
	t.Parallel()
	unread := &fs.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	left := errors.New("entries are left")
	canceled := fmt.Errorf("get: %w", context.Canceled)
	for _, test := range []struct {
		err          error
		before, then string // without and with Ctrl-C
	}{
		{left, "entries are left", "entries are left"},
		{canceled, "get: context canceled", "interrupted"},
		{errors.Join(canceled, left), "get: context canceled; entries are left", "interrupted; entries are left"},
		{errors.Join(errors.Join(left, unread), canceled, canceled), "entries are left; get: context canceled; get: context canceled", "interrupted; entries are left"},
		{unread, "", ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, want := range []string{test.before, test.then} {
			got := ""
			if err := said(ctx, test.err); err != nil {
				got = oneLine(err, "cairn bench", nil)
			}
			if got != want {
				t.Errorf("of %q is said %q, want %q", test.err, got, want)
			}
			cancel()
		}
	}
}

// A lateReader is at its end only after ctx has ended.
type lateReader struct {
	ctx   context.Context
	ended chan struct{}
}

func (r lateReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	defer close(r.ended)
	return 0, io.EOF
}

func TestReadAllLate(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := lateReader{ctx, make(chan struct{})}
	readAll(ctx, r)
	<-r.ended
}

// A program whose output nobody reads ends by a second Ctrl-C.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	p, _ := listMany(t)
	ended := make(chan struct{})
	go func() {
		p.Wait()
		close(ended)
	}()
	for {
		p.Process.Signal(os.Interrupt) // fails once it has ended
		select {
		case <-ended:
			if code := p.ProcessState.ExitCode(); code != exitError {
				t.Errorf("exit code %d, want %d (%v)\n%s", code, exitError, p.ProcessState, &p.stderr)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
