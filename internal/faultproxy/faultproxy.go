// Package faultproxy is a TCP proxy between a client and a server, for tests
// of what the client does when the network fails.
//
// A proxy is in one mode at a time: [Proxy.Pass] to begin with, until
// [Proxy.Delay], [Proxy.BlackHole] or [Proxy.Cut] is called. A mode holds for
// the connections that there are, for what is on its way in them, and for new
// connections. [Proxy.DropReply] adds one single fault to the mode,
// [Proxy.Hold] and [Proxy.Lose] choose connections, and [Proxy.Alter] changes
// what is said.
package faultproxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Proxy forwards connections to a target. Its methods may be called
// concurrently.
type Proxy struct {
	Addr string // host:port that clients connect to; the same for the whole life of the proxy

	t      testing.TB
	target string
	guard  net.Listener // at another port: keeps other proxies from taking Addr in Cut
	tasks  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	listener net.Listener // nil while connections are refused
	links    map[*link]bool
	accepted int
	mode     mode
	changed  chan struct{} // closed when the mode changes
	drop     bool          // the reply to the next request
	alter    func(data []byte, toServer bool) []byte
}

// mode is what happens to the packets of all connections.
type mode struct {
	toServer, toClient time.Duration // delays
	lose               bool
}

// New starts a proxy to the TCP address target, which need not answer yet: a
// client is accepted, then closed if the target cannot be reached. The proxy is
// closed when the test ends.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, links: make(map[*link]bool), changed: make(chan struct{})}
	// Systems give ports as low as these to nobody unasked, so that an outgoing
	// connection does not take the port in Cut either.
	var err error
	for range 100 {
		port := 10000 + rand.IntN(1000)
		if p.guard, err = net.Listen("tcp", loopback(port+1000)); err != nil {
			continue
		}
		p.Addr = loopback(port)
		if err = p.listen(); err == nil {
			t.Cleanup(p.Close)
			return p
		}
		p.guard.Close()
	}
	t.Fatal("faultproxy: no free port: ", err)
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Pass forwards everything at once, also what Delay and Hold still hold back.
// The connections that have lost something in BlackHole or Lose, or were
// accepted in BlackHole, are closed; the others go on. A DropReply that has not
// happened yet is revoked.
func (p *Proxy) Pass() {
	p.t.Helper()
	p.set(mode{})
}

// Delay makes everything arrive this much after it was sent. The throughput
// stays what it was. An hour holds back everything until the next Pass.
func (p *Proxy) Delay(toServer, toClient time.Duration) {
	p.t.Helper()
	p.set(mode{toServer: toServer, toClient: toClient})
}

// BlackHole loses everything without a sign: connections stay open, new ones
// are accepted, nothing arrives any more, and neither side learns that the
// other has closed. What was lost does not arrive later; for that, use Delay.
func (p *Proxy) BlackHole() {
	p.t.Helper()
	p.set(mode{lose: true})
}

// Cut closes all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// DropReply lets the next request through, on whichever connection it comes,
// swallows the first part of the reply and closes that connection. The request
// is thus carried out, and the client does not know it. The greeting of a new
// connection is a request too: let the client connect before. On a connection
// where replies to earlier requests are under way, the first of them is taken
// for the reply.
func (p *Proxy) DropReply() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = true
}

// Hold holds back everything on some connections, in both directions, until the
// mode is set again. It reports how many it has found. The peers are their
// addresses as the server sees them: what Redis shows in CLIENT LIST as addr.
func (p *Proxy) Hold(peers ...string) (found int) {
	return p.choose(peers, func(l *link) { l.held = true })
}

// Lose is BlackHole for some connections. See Hold.
func (p *Proxy) Lose(peers ...string) (found int) {
	return p.choose(peers, func(l *link) { l.lost = true })
}

func (p *Proxy) choose(peers []string, fault func(*link)) (found int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.server != nil && slices.Contains(peers, l.server.LocalAddr().String()) {
			fault(l)
			found++
		}
	}
	return found
}

// Alter makes the proxy forward what alter returns in place of what was read,
// in whatever mode, for a server that is reached but does not do as it is told.
// The data are what was read in one piece, and so not always one message. alter
// is called concurrently, for several connections and both directions; nil
// forwards things as they are again.
func (p *Proxy) Alter(alter func(data []byte, toServer bool) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alter = alter
}

// altered is what is forwarded in place of data.
func (p *Proxy) altered(data []byte, toServer bool) []byte {
	p.mu.Lock()
	alter := p.alter
	p.mu.Unlock()
	if alter == nil {
		return data
	}
	return alter(data, toServer)
}

// Accepted returns how many connections were accepted so far. A connection may
// be counted a moment after the client has it, but before anything is
// forwarded.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Close closes all connections and returns when nothing of the proxy runs any
// more. The other methods then do nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.cut()
		p.guard.Close()
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

// cut requires p.mu.
func (p *Proxy) cut() {
	p.change(mode{})
	for l := range p.links {
		l.close()
	}
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// change requires p.mu.
func (p *Proxy) change(m mode) {
	p.mode, p.drop = m, false
	close(p.changed)
	p.changed = make(chan struct{})
}

// set changes the mode to one in which connections are accepted.
func (p *Proxy) set(m mode) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.change(m)
	for l := range p.links {
		l.held = false
		if l.lost && !m.lose {
			l.close()
		}
	}
	if p.listener == nil {
		if err := p.listenAgain(); err != nil {
			p.t.Error("faultproxy: ", err)
		}
	}
}

// listenAgain listens at the port that cut has given up. A process that is
// started at this moment still holds the old listener until its program takes
// over, and the port with it. listenAgain requires p.mu.
func (p *Proxy) listenAgain() (err error) {
	for range 1000 {
		if err = p.listen(); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

// listen requires p.mu.
func (p *Proxy) listen() error {
	listener, err := net.Listen("tcp", p.Addr)
	if err != nil {
		return err
	}
	p.listener = listener
	p.tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.accept(listener, conn)
		}
	})
	return nil
}

func (p *Proxy) accept(listener net.Listener, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		conn.Close() // cut meanwhile
		return
	}
	p.accepted++
	l := &link{p: p, client: conn, lost: p.mode.lose}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	p.links[l] = true
	p.tasks.Go(l.serve)
}
