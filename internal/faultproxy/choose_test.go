package faultproxy_test

import (
	"net"
	"testing"

	"github.com/cairncache/cairn/internal/faultproxy"
)

// peerServer is a server that tells for each connection under which address it
// knows the client.
func peerServer(t *testing.T) (addr string, peers <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	known := make(chan string, 10)
	s := new(server)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			known <- conn.RemoteAddr().String()
			go s.serve(conn)
		}
	}()
	return l.Addr().String(), known
}

func TestHold(t *testing.T) {
	t.Parallel()
	addr, peers := peerServer(t)
	p := faultproxy.New(t, addr)
	held := dial(t, p.Addr)
	peer := <-peers
	other := dial(t, p.Addr)
	held.wantsEcho("before")
	other.wantsEcho("before")
	if n := p.Hold(peer, "127.0.0.1:1"); n != 1 {
		t.Errorf("%d connections are held, want 1", n)
	}
	held.send("late")
	held.wantsSilence()
	other.wantsEcho("meanwhile")
	dial(t, p.Addr).wantsEcho("a new one")
	p.Pass()
	held.wants("late")
	held.wantsEcho("after")
	if n := p.Hold(); n != 0 {
		t.Errorf("%d connections are held, want none", n)
	}
}

func TestLose(t *testing.T) {
	t.Parallel()
	addr, peers := peerServer(t)
	p := faultproxy.New(t, addr)
	lost := dial(t, p.Addr)
	peer := <-peers
	other := dial(t, p.Addr)
	lost.wantsEcho("before")
	if n := p.Lose(peer); n != 1 {
		t.Errorf("%d connections lose, want 1", n)
	}
	lost.send("lost")
	lost.wantsSilence()
	other.wantsEcho("meanwhile")
	p.Pass()
	lost.wantsEnd()
	other.wantsEcho("after")
}
