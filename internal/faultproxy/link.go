package faultproxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// link is a connection from a client and the one to the server that belongs to
// it.
type link struct {
	p      *Proxy
	client net.Conn
	ctx    context.Context // done when the link is closed
	cancel context.CancelFunc

	// Guarded by p.mu.
	server   net.Conn // nil until connected
	lost     bool     // something was lost, the rest is lost too
	held     bool     // nothing goes on until this changes
	dropping bool     // the next packet to the client is the reply to drop
}

// close requires p.mu.
func (l *link) close() {
	delete(l.p.links, l)
	l.cancel()
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
}

func (l *link) serve() {
	if l.connect() {
		var streams sync.WaitGroup
		streams.Go(func() { l.forward(l.client, l.server, true) })
		streams.Go(func() { l.forward(l.server, l.client, false) })
		streams.Wait()
	}
	if lose, _ := l.fault(packet{}, true); lose {
		<-l.ctx.Done() // the client must not see that this is the end
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.close()
}

func (l *link) connect() bool {
	server, err := new(net.Dialer).DialContext(l.ctx, "tcp", l.p.target)
	if err != nil {
		return false
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.server = server
	if l.ctx.Err() != nil { // closed meanwhile
		l.close()
	}
	return true
}

// packet is what was read in one piece.
type packet struct {
	data []byte
	err  error // what reading ended with, after data
	read time.Time
}

// forward moves one direction of the link until its end. Reading goes on while
// packets wait, so that a delay does not slow the stream down.
func (l *link) forward(from, to net.Conn, toServer bool) {
	packets := make(chan packet, 1024)
	l.p.tasks.Go(func() { l.read(from, packets) })
	for {
		var pk packet
		select {
		case pk = <-packets:
		case <-l.ctx.Done():
			return
		}
		l.hold(pk, toServer)
		lose, end := l.fault(pk, toServer)
		switch {
		case lose || end:
		case len(pk.data) > 0:
			_, err := to.Write(l.p.altered(pk.data, toServer))
			end = err != nil
		case pk.err == io.EOF:
			to.(*net.TCPConn).CloseWrite() // the other direction goes on
		default:
			end = true
		}
		if end {
			l.p.mu.Lock()
			l.close()
			l.p.mu.Unlock()
		}
		if end || pk.err != nil {
			return
		}
	}
}

// read sends data and the error in packets of their own.
func (l *link) read(from net.Conn, packets chan<- packet) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		pk := packet{read: time.Now(), err: err}
		if n > 0 {
			pk.data, pk.err = bytes.Clone(buf[:n]), nil
		}
		select {
		case packets <- pk:
		case <-l.ctx.Done():
			return
		}
		if pk.err != nil {
			return
		}
	}
}

// hold waits until a packet is due, or the link is closed.
func (l *link) hold(pk packet, toServer bool) {
	for l.ctx.Err() == nil {
		l.p.mu.Lock()
		delay, changed := l.p.mode.toClient, l.p.changed
		if toServer {
			delay = l.p.mode.toServer
		}
		if l.held {
			delay = time.Hour
		}
		l.p.mu.Unlock()
		wait := time.Until(pk.read.Add(delay))
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-changed:
		case <-l.ctx.Done():
		}
	}
}

// fault says whether a packet is lost, or the link ends in place of it.
func (l *link) fault(pk packet, toServer bool) (lose, end bool) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.lost = l.lost || l.p.mode.lose
	switch {
	case l.lost || len(pk.data) == 0:
	case toServer && l.p.drop:
		l.p.drop, l.dropping = false, true
	case !toServer:
		end = l.dropping
	}
	return l.lost, end
}
