package layered_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/cairncache/cairn/internal/testservers"
)

// processVar is the environment variable that makes this test binary a process
// of a fleet: the JSON of its config.
const processVar = "CAIRN_LAYERED_PROCESS"

func TestMain(m *testing.M) {
	logging.Disable() // go-redis reports every dial that fails
	if config := os.Getenv(processVar); config != "" {
		os.Exit(runProcess(config))
	}
	testservers.Main(m)
}

// runProcess does what the parent asks for on standard input, one command to a
// line, and answers each on standard output. It ends with the input, so it
// does not outlive the parent.
func runProcess(text string) (code int) {
	m := new(member)
	if err := json.Unmarshal([]byte(text), &m.config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := m.open(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	answers := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		answers.Encode(m.do(c))
	}
	return 0
}

// command is what the parent asks of a process.
type command struct {
	Do   string
	Keys []int
}

// child is a process of a fleet, seen from the parent.
type child struct {
	t       *testing.T
	config  config
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
	stderr  bytes.Buffer
}

// startProcess starts this test binary again and returns when the process is
// about to read commands. It is killed when the test ends.
func startProcess(t *testing.T, m config) *child {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, config: m, cmd: exec.Command(os.Args[0], "-test.run=^$")}
	c.cmd.Env = append(os.Environ(), processVar+"="+string(text))
	c.cmd.Stderr = &c.stderr
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
	c.answers = json.NewDecoder(out)
	t.Cleanup(func() {
		c.in.Close()
		kill := time.AfterFunc(10*time.Second, func() { c.cmd.Process.Kill() })
		c.cmd.Wait()
		kill.Stop()
		if c.stderr.Len() > 0 {
			t.Logf("process %d: %s", m.ID, c.stderr.Bytes()[:min(c.stderr.Len(), 5000)])
		}
	})
	return c
}

// send asks for something, and answer waits until it is done.
func (c *child) send(do string, keys ...int) {
	c.t.Helper()
	if err := json.NewEncoder(c.in).Encode(command{do, keys}); err != nil {
		c.t.Fatal(do, ": ", err)
	}
}

func (c *child) answer() (r report) {
	c.t.Helper()
	timeout := time.AfterFunc(time.Minute, func() { c.cmd.Process.Kill() })
	defer timeout.Stop()
	if err := c.answers.Decode(&r); err != nil {
		c.t.Fatal("a process does not answer: ", err)
	}
	return r
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Error(err)
	}
}

// fleet are the processes of a test.
type fleet []*child

// ask asks all processes at the same time and returns their answers.
func (f fleet) ask(do string, keys ...int) []report {
	for _, c := range f {
		c.t.Helper()
		c.send(do, keys...)
	}
	reports := make([]report, len(f))
	for i, c := range f {
		reports[i] = c.answer()
	}
	return reports
}
