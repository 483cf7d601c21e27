package testservers

import "testing"

// Process is a server that one test has for itself. Its addresses stay the
// same over a restart, but what it held in memory is gone.
//
// A call that fails is reported to the test with t.Errorf, so it may be made
// from any goroutine until the test ends.
type Process struct {
	Server
	instance *instance
	t        testing.TB
}

func startProcess(t testing.TB, name string, s spec) *Process {
	t.Helper()
	i, err := s.start(name, freePort)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, i)
}

// adopt makes a server one that the test has for itself.
func adopt(t testing.TB, i *instance) *Process {
	p := &Process{instance: i, t: t, Server: Server{Addr: i.addr()}}
	t.Cleanup(i.guard())
	t.Cleanup(p.Kill)
	return p
}

// Stop ends the server in an orderly way (SIGTERM), also when it is paused, and
// returns when it has ended, which takes memcached a second. It does nothing if
// the server does not run.
func (p *Process) Stop() {
	p.t.Helper()
	p.check(p.instance.stop("TERM", "CONT"))
}

// Kill ends the server at once (SIGKILL) and returns when it has ended. It does
// nothing if the server does not run.
func (p *Process) Kill() {
	p.t.Helper()
	p.check(p.instance.stop("KILL"))
}

// Pause stops the server from running (SIGSTOP) but keeps its connections: the
// system accepts new ones and takes what is sent, nobody answers. When it
// returns, no thread of the server runs; other systems than Linux may take a
// moment longer.
func (p *Process) Pause() {
	p.t.Helper()
	p.check(p.instance.with((*process).pause))
}

// Resume lets a paused server go on (SIGCONT). It then serves what was sent to
// it meanwhile, for clients that have given up too.
func (p *Process) Resume() {
	p.t.Helper()
	p.check(p.instance.with((*process).resume))
}

// Restart stops the server if it still runs, starts it again with the same
// arguments, addresses and directory, and returns when it is ready.
func (p *Process) Restart() {
	p.t.Helper()
	p.Stop()
	p.check(poll(patience, p.instance.start)) // again, should another program hold the port for a moment
}

func (p *Process) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
	}
}
