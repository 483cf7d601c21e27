// Package testprocess starts a test binary again, as other processes that do
// something together with a test, or are killed by it.
//
//	func TestMain(m *testing.M) {
//		testprocess.Main(job.work)
//		m.Run()
//	}
//
// What such a process has to do is its job, which it gets as JSON. It ends with
// its standard input, so it does not outlive the test binary, however that ends.
package testprocess

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// variable is the environment variable that holds the job of a process.
const variable = "CAIRN_TEST_JOB"

// These are only reached when something is wrong.
const (
	patience    = time.Minute      // for what a process says
	endPatience = 10 * time.Second // for its end
)

const ready = "ready\n"

// Main calls work and then ends the process, if [Start] has started it. In the
// test binary that go test has started it does nothing. Work calls [Ready] or
// [Serve], and must return when standard input ends; its error makes the process
// fail.
func Main[Job any](work func(Job) error) {
	text, started := os.LookupEnv(variable)
	if !started {
		return
	}
	var job Job
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = work(job)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Ready lets [Start] return.
func Ready() { fmt.Print(ready) }

// Serve calls Ready, and then answers each question that [Process.Send] sends
// with one for [Process.Receive], until standard input ends.
func Serve[Question, Answer any](answer func(Question) Answer) error {
	Ready()
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q Question
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(answer(q)); err != nil {
			return err
		}
	}
}

// Process is a process that a test has started. Its methods may be called
// concurrently, but for Send and Receive with themselves.
type Process struct {
	In  io.WriteCloser // standard input, where Send writes
	Out *bufio.Reader  // standard output, where Receive reads; for one of them alone

	t       testing.TB
	cmd     *exec.Cmd
	out     io.Reader // what Out reads
	answers *json.Decoder
	stderr  bytes.Buffer // to be read after the end
	killed  atomic.Bool
	end     sync.Once
}

// Start starts this test binary again, to do a job, and returns when the process
// is ready. It has ended when the test has, see [Process.End]. A data race in it
// makes it fail.
func Start(t testing.TB, job any) *Process {
	t.Helper()
	p, err := start(job)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	t.Cleanup(p.End)
	return p
}

func start(job any) (*Process, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(os.Args[0], "-test.run=^$")} // without Main, it runs no test again
	p.cmd.Env = append(os.Environ(), variable+"="+string(text), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	p.cmd.Stderr = &p.stderr
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		return nil, err
	}
	p.In, p.Out, p.out = in, bufio.NewReader(out), out
	p.answers = json.NewDecoder(p.Out)
	defer p.killAfter(patience).Stop()
	if line, err := p.Out.ReadString('\n'); line != ready {
		return nil, errors.Join(fmt.Errorf("a process is not ready, and says %q: %v", line, err), p.wait(endPatience))
	}
	return p, nil
}

func (p *Process) killAfter(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() { _ = p.cmd.Process.Kill() })
}

// Send sends a question to Serve, as JSON.
func (p *Process) Send(question any) {
	p.t.Helper()
	if err := json.NewEncoder(p.In).Encode(question); err != nil {
		p.t.Fatalf("sending %v to a process: %v", question, err)
	}
}

// Receive waits for the next answer of Serve, or other JSON. A process that says
// nothing for a minute is killed.
func (p *Process) Receive(answer any) {
	p.t.Helper()
	defer p.killAfter(patience).Stop()
	if err := p.answers.Decode(answer); err != nil {
		p.t.Fatal("a process does not answer: ", err)
	}
}

// Signal sends a signal. A process that gets [os.Kill] may end as it does.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if s == os.Kill {
		p.killed.Store(true)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("sending %v to a process: %v", s, err)
	}
}

// End closes standard input, and waits until the process has ended; so does the
// end of the test. A process that takes more than 10 s is killed. The test fails
// if the process has failed, and shows what that wrote to standard error.
func (p *Process) End() {
	p.t.Helper()
	p.end.Do(func() {
		if err := p.wait(endPatience); err != nil {
			p.t.Errorf("a process: %v", err)
		} else if p.stderr.Len() > 0 {
			p.t.Logf("a process: %.5000s", p.stderr.Bytes())
		}
	})
}

func (p *Process) wait(patience time.Duration) error {
	p.In.Close()
	defer p.killAfter(patience).Stop()
	_, _ = io.Copy(io.Discard, p.out) // or else it may wait for a reader
	if err := p.cmd.Wait(); err != nil && !p.killed.Load() {
		return fmt.Errorf("%w\n%.5000s", err, p.stderr.Bytes())
	}
	return nil
}
