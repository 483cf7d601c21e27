package layered_test

import (
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/internal/testservers"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis reports every dial that fails
	testprocess.Main(config.run)
	testservers.Main(m)
}

// run does what the test asks for.
func (c config) run() error {
	m := &member{config: c}
	if err := m.open(); err != nil {
		return err
	}
	return testprocess.Serve(m.do)
}

// command is what the test asks of a process.
type command struct {
	Do   string
	Keys []int
}

// child is a process of a fleet, seen from the test.
type child struct {
	*testprocess.Process
	t      *testing.T
	config config
}

func startProcess(t *testing.T, c config) *child {
	t.Helper()
	return &child{testprocess.Start(t, c), t, c}
}

// send asks for something, and answer waits until it is done.
func (c *child) send(do string, keys ...int) {
	c.t.Helper()
	c.Send(command{do, keys})
}

func (c *child) answer() (r report) {
	c.t.Helper()
	c.Receive(&r)
	return r
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
