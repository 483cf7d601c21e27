package testservers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// spec says how to run a kind of server.
type spec struct {
	command  func(dir string, port int) []string
	identify func(s *instance) (pid int, err error) // asks who answers; nil error only when ready
}

// instance is a server at a fixed address, which may run or not.
type instance struct {
	spec
	dir  string
	port int

	mu      sync.Mutex
	process *process // nil when stopped
}

// portTries is how many ports start tries. One is enough unless another
// program takes the port between the choice and the start.
const portTries = 5

var errEnded = errors.New("it ended")

// start starts a server on a free port and waits until it is ready.
func (s spec) start(name string, choosePort func() int) (*instance, error) {
	dir, err := newDir(name)
	if err != nil {
		return nil, err
	}
	i := &instance{spec: s, dir: dir}
	for range portTries {
		i.port = choosePort()
		if err = i.start(); !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	atExit(func() error { return i.stop("KILL") })
	return i, nil
}

// guardDistance is how far above the port of a server lies one that belongs to
// it: the bus of a Redis Cluster node, or the port that keeps others off while
// the server is down.
const guardDistance = 10000

// freePort returns a port that is free together with its guard. Both lie below
// the range from which systems take the local port of an outgoing connection
// (32768 and up), so that none can take the port of a server that is down.
func freePort() int {
	for {
		port := 12000 + rand.IntN(10000)
		if isFree(port+guardDistance) && isFree(port) {
			return port
		}
	}
}

// guard keeps other users of freePort from choosing the port of the server
// while it is down, until the returned function is called.
func (i *instance) guard() (release func()) {
	l, err := net.Listen("tcp", loopback(i.port+guardDistance))
	if err != nil { // the bus of the server itself
		return func() {}
	}
	return func() { l.Close() }
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (i *instance) addr() string { return loopback(i.port) }

// start starts the server on its port and waits until the one that answers
// there is this one, and no other that has taken the port.
func (i *instance) start() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	p, err := run(i.dir, i.command(i.dir, i.port)...)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if p.ended(5 * time.Millisecond) {
			err = errEnded
			break
		}
		var pid int
		if pid, err = i.identify(i); err == nil && pid == p.pid {
			i.process = p
			return nil
		}
		if err == nil {
			err = fmt.Errorf("process %d answers there", pid)
		}
	}
	p.close()
	return fmt.Errorf("testservers: %v is not ready on port %d: %w\n%s", i.command(i.dir, i.port), i.port, err, logEnd(i.dir))
}

// stop sends the signals, which should end the server, and kills it if they do
// not.
func (i *instance) stop(signals ...string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.process
	if p == nil {
		return nil
	}
	i.process = nil
	if p.signal(signals...) == nil {
		p.ended(patience)
	}
	return p.close()
}

// with calls f with the process of a server that runs.
func (i *instance) with(f func(*process) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil {
		return errors.New("testservers: the server does not run")
	}
	return f(i.process)
}
