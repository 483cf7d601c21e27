package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/faultproxy"
)

const (
	patience = 30 * time.Second      // for what must happen
	silence  = 50 * time.Millisecond // for what must not
)

// server answers every line with that line.
type server struct {
	addr  string
	lines atomic.Int64 // received
	ended atomic.Int64 // connections that the client has closed
}

func startServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	var tasks sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		tasks.Wait()
	})
	tasks.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { s.serve(conn) })
		}
	})
	return s
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			s.ended.Add(1)
			io.WriteString(conn, "bye\n") // only a client that has closed one direction reads it
			return
		}
		s.lines.Add(1)
		io.WriteString(conn, line)
	}
}

type client struct {
	t *testing.T
	*net.TCPConn
	lines *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn.(*net.TCPConn), bufio.NewReader(conn)}
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// wants reads a line.
func (c *client) wants(line string) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if got, err := c.lines.ReadString('\n'); got != line+"\n" || err != nil {
		c.t.Fatalf("got %q, %v; want %q", got, err, line)
	}
}

func (c *client) wantsEcho(line string) {
	c.t.Helper()
	c.send(line)
	c.wants(line)
}

func (c *client) wantsSilence() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(silence))
	if got, err := c.lines.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %q, %v; want silence", got, err)
	}
}

func (c *client) wantsEnd() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if got, err := c.lines.ReadString('\n'); got != "" || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %q, %v; want the end of the connection", got, err)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("does not happen: %s", what)
		}
	}
}

func TestPass(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	for range 3 {
		c := dial(t, p.Addr)
		c.wantsEcho("hello")
		c.wantsEcho(strings.Repeat("long", 100_000))
	}
	if got := p.Accepted(); got != 3 {
		t.Errorf("accepted %d connections, want 3", got)
	}
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := dial(t, faultproxy.New(t, s.addr).Addr)
	c.wantsEcho("hello")
	c.CloseWrite()
	c.wants("bye")
	c.wantsEnd()
}

func TestNoTarget(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := faultproxy.New(t, l.Addr().String())
	dial(t, p.Addr).wantsEnd()

	p.BlackHole()
	c := dial(t, p.Addr)
	c.send("hello")
	c.wantsSilence()
}

func TestDelay(t *testing.T) {
	t.Parallel()
	const d = 40 * time.Millisecond
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	c := dial(t, p.Addr)
	tests := []struct{ toServer, toClient, want time.Duration }{
		{d, 0, d},
		{0, d, d},
		{d, d, 2 * d},
	}
	for _, test := range tests {
		p.Delay(test.toServer, test.toClient)
		start := time.Now()
		c.wantsEcho("hello")
		if got := time.Since(start); got < test.want {
			t.Errorf("%+v: the answer came after %v", test, got)
		}
	}
}

// Many messages in a row are each delayed, not one after the other.
func TestDelayKeepsThroughput(t *testing.T) {
	t.Parallel()
	const d, n = 100 * time.Millisecond, 100
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	p.Delay(d, d)
	c := dial(t, p.Addr)
	start := time.Now()
	for range n {
		c.send("hello")
		time.Sleep(time.Millisecond) // so that each is read by itself
	}
	for range n {
		c.wants("hello")
	}
	if got := time.Since(start); got < 2*d || got > n*d/2 {
		t.Errorf("%d messages took %v", n, got)
	}
}

func TestDelayHoldsUntilPass(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	c := dial(t, p.Addr)
	c.wantsEcho("hello")

	p.Delay(time.Hour, 0)
	c.send("request")
	c.wantsSilence()
	if got := s.lines.Load(); got != 1 {
		t.Errorf("the server has received %d lines, want 1", got)
	}
	p.Pass()
	c.wants("request")

	p.Delay(0, time.Hour)
	c.send("reply")
	eventually(t, "the request arrives", func() bool { return s.lines.Load() == 3 })
	c.wantsSilence()
	p.Pass()
	c.wants("reply")
}

func TestCut(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	c := dial(t, p.Addr)
	c.wantsEcho("hello")
	p.Cut()
	c.wantsEnd()
	eventually(t, "the server sees the end", func() bool { return s.ended.Load() == 1 })
	if conn, err := net.Dial("tcp", p.Addr); err == nil {
		conn.Close()
		t.Error("a new connection is accepted")
	}
	p.Cut()
	p.Pass()
	dial(t, p.Addr).wantsEcho("hello")
	p.Cut()
	p.BlackHole()
	dial(t, p.Addr).wantsSilence()
}

// TestCutWhileProcessesStart: between its fork and its program a process holds
// all files of the one that starts it, the proxy's listener among them.
func TestCutWhileProcessesStart(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := peerServer(t)
	p := faultproxy.New(t, addr)
	ended := make(chan bool)
	var starters sync.WaitGroup
	for range 4 {
		starters.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if err := exec.Command(self, "-test.run", "^$").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 500 {
		p.Cut()
		p.Pass()
	}
	close(ended)
	starters.Wait()
	dial(t, p.Addr).wantsEcho("still there")
}

func TestBlackHole(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	used, idle, closed := dial(t, p.Addr), dial(t, p.Addr), dial(t, p.Addr)
	for _, c := range []*client{used, idle, closed} {
		c.wantsEcho("hello")
	}
	p.BlackHole()
	fresh := dial(t, p.Addr)
	used.send("lost")
	fresh.send("lost")
	closed.Close()
	used.wantsSilence()
	fresh.wantsSilence()
	idle.wantsSilence()
	if lines, ended := s.lines.Load(), s.ended.Load(); lines != 3 || ended != 0 {
		t.Errorf("the server has received %d lines and %d ends, want 3 and 0", lines, ended)
	}

	p.Pass()
	used.wantsEnd()
	fresh.wantsEnd()
	idle.wantsEcho("hello")
	eventually(t, "the server sees the ends", func() bool { return s.ended.Load() >= 2 })
	if got := s.lines.Load(); got != 4 {
		t.Errorf("the server has received %d lines, want 4: what was lost came later", got)
	}
}

// What is on its way when the black hole opens is lost, and so is the end that
// the server makes.
func TestBlackHoleLosesReplies(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	c := dial(t, p.Addr)
	p.Delay(0, time.Hour)
	c.send("hello")
	c.CloseWrite() // the server says bye and closes
	eventually(t, "the request arrives", func() bool { return s.ended.Load() == 1 })
	p.BlackHole()
	c.wantsSilence()
	p.Pass()
	c.wantsEnd()
}

func TestDropReply(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	c, other := dial(t, p.Addr), dial(t, p.Addr)
	c.wantsEcho("hello")
	other.wantsEcho("hello")

	p.DropReply()
	c.send("executed")
	c.wantsEnd()
	if got := s.lines.Load(); got != 3 {
		t.Errorf("the server has received %d lines, want 3", got)
	}
	other.wantsEcho("hello") // one reply only
	dial(t, p.Addr).wantsEcho("hello")

	p.DropReply()
	p.Pass()
	other.wantsEcho("hello")
}

func TestClose(t *testing.T) {
	s := startServer(t)
	before := runtime.NumGoroutine()
	p := faultproxy.New(t, s.addr)
	for range 5 {
		dial(t, p.Addr).wantsEcho("hello")
	}
	p.Delay(time.Hour, time.Hour)
	for range 5 {
		dial(t, p.Addr).send("held")
	}
	p.BlackHole()
	c := dial(t, p.Addr)
	c.send("lost")
	p.Close()
	p.Close()
	c.wantsEnd()
	for _, change := range []func(){p.Pass, p.BlackHole, p.Cut, p.DropReply} {
		change()
		if conn, err := net.Dial("tcp", p.Addr); err == nil {
			conn.Close()
			t.Error("a closed proxy accepts a connection")
		}
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := faultproxy.New(t, s.addr)
	changes := []func(){
		p.Pass, p.BlackHole, p.Cut, p.DropReply,
		func() { p.Delay(time.Millisecond, 0) },
		func() { p.Accepted() },
	}
	var tasks sync.WaitGroup
	for i := range changes {
		tasks.Go(func() {
			for range 20 {
				changes[i]()
				if conn, err := net.Dial("tcp", p.Addr); err == nil {
					io.WriteString(conn, "hello\n")
					conn.SetReadDeadline(time.Now().Add(time.Millisecond))
					conn.Read(make([]byte, 1))
					conn.Close()
				}
			}
		})
	}
	tasks.Wait()
	p.Cut()
	p.Pass()
	dial(t, p.Addr).wantsEcho("hello")
}
