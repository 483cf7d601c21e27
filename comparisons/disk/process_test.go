package disk_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
)

// BenchmarkTwoProcesses is BenchmarkMixed while another process does the same with
// the same entries. bbolt is not in it, as it locks its file.
func BenchmarkTwoProcesses(b *testing.B) {
	compare(b, experiment{do: mixed, writes: true, beside: true})
}

// A job is what the other process is told to do.
type job struct {
	Library, Folder, Size string
	Fsync                 bool
	Goroutines            int
}

// jobVar is the environment variable with the job, in JSON.
const jobVar = "CAIRN_COMPARE_JOB"

func TestMain(m *testing.M) {
	text := os.Getenv(jobVar)
	if text == "" {
		os.Exit(m.Run())
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.work()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// work says when it has begun, and ends with the standard input, so that it does
// not outlive who has started it.
func (j job) work() (err error) {
	l := libraries[slices.IndexFunc(libraries, func(l library) bool { return l.name == j.Library })]
	s := sizes[slices.IndexFunc(sizes, func(s size) bool { return s.name == j.Size })]
	t := newTask(s, settings{j.Fsync, j.Goroutines})
	if t.cache, err = l.open(j.Folder, t.settings); err != nil {
		return err
	}
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	fmt.Println("begun")
	if err := t.while(func() bool { return !ended.Load() }, mixed); err != nil {
		return err
	}
	return t.Close()
}

// A process is the other one.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startProcess(b *testing.B, j job) *process {
	text, err := json.Marshal(j)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobVar+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_, _ = bufio.NewReader(stdout).ReadString('\n') // if it has failed, stop says so
	return &process{cmd, stdin}
}

func (p *process) stop(b *testing.B) {
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		b.Errorf("the other process: %v", err)
	}
}
