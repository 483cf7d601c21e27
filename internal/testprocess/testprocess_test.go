package testprocess

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

type job struct{ Do, Text string }

func TestMain(m *testing.M) {
	Main(job.work)
	m.Run()
}

func (j job) work() error {
	switch j.Do {
	case "serve":
		return Serve(func(n int) string { return strings.Repeat(j.Text, n) })
	case "fail at once":
		return errors.New(j.Text)
	case "say":
		_, err := os.Stdout.WriteString(j.Text)
		return err
	case "fail":
		Ready()
		return errors.New(j.Text)
	case "write much":
		Ready()
		_, err := os.Stdout.Write(bytes.Repeat([]byte(j.Text), 1<<20))
		return err
	case "go on":
		Ready()
		<-time.After(time.Hour)
	}
	return nil
}

func TestServe(t *testing.T) {
	t.Parallel()
	p := Start(t, job{"serve", "ab"})
	for n, want := range []string{"", "ab", "abab"} {
		p.Send(n)
		var got string
		if p.Receive(&got); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What nobody reads does not keep a process from its end.
func TestEnd(t *testing.T) {
	t.Parallel()
	p := Start(t, job{"write much", "word"})
	p.End()
	p.End()
	if !p.cmd.ProcessState.Success() {
		t.Error(p.cmd.ProcessState)
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	if _, err := start(job{"fail at once", "on purpose"}); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("it failed with %v", err)
	}
	if _, err := start(job{"say", "PASS\n"}); err == nil || !strings.Contains(err.Error(), "PASS") {
		t.Errorf("it was not ready, and failed with %v", err)
	}
	p, err := start(job{"fail", "on purpose"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.wait(time.Minute); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("it ended with %v", err)
	}
}

// A process that does not end is killed, and has failed.
func TestEndless(t *testing.T) {
	t.Parallel()
	p, err := start(job{Do: "go on"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.wait(50 * time.Millisecond); err == nil {
		t.Error("it has not failed")
	}
}

// A process that the test kills has not failed.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := Start(t, job{Do: "go on"})
	p.Signal(os.Kill)
	p.End()
	if p.cmd.ProcessState.Success() {
		t.Error("it was not killed")
	}
}
