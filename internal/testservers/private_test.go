package testservers

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestPauseResume(t *testing.T) {
	t.Parallel()
	for _, p := range []*Process{StartRedis(t), StartMemcached(t)} {
		const version = "info\r\nversion\r\n" // either is answered by something, be it an error
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p.Pause()
		p.Pause()
		if _, err := io.WriteString(conn, version); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a paused server answers: %v", err)
		}
		p.Resume()
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Errorf("a resumed server does not answer: %v", err)
		}
	}
}

func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*Process){
		"Stop": (*Process).Stop,
		"Kill": (*Process).Kill,
		"Stop when paused": func(p *Process) {
			p.Pause()
			p.Stop()
		},
		"Kill when paused": func(p *Process) {
			p.Pause()
			p.Kill()
		},
		"Kill twice": func(p *Process) {
			p.Kill()
			p.Kill()
		},
		"by itself": func(p *Process) {
			conn, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			askRedis(conn, patience, "SHUTDOWN NOSAVE")
		},
	}
	p := StartRedis(t)
	for name, end := range ways {
		ask(t, "tcp", p.Addr, "SET key value")
		end(p)
		if conn, err := net.Dial("tcp", p.Addr); err == nil {
			conn.Close()
			t.Errorf("%s: the server still accepts connections", name)
		}
		p.Restart()
		if got := ask(t, "tcp", p.Addr, "DBSIZE"); got != "0" {
			t.Errorf("%s: after the restart there are %s keys", name, got)
		}
		if got := ask(t, "unix", p.Socket, "DBSIZE"); got != "0" {
			t.Errorf("%s: after the restart there are %s keys at the socket", name, got)
		}
	}
	p.Restart() // of a running server
	ask(t, "tcp", p.Addr, "PING")
}

func TestRestartKeepsTheDirectory(t *testing.T) {
	t.Parallel()
	p := StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	ask(t, "tcp", p.Addr, "SET key value")
	p.Kill()
	p.Restart()
	if got := ask(t, "tcp", p.Addr, "GET key"); got != "value" {
		t.Errorf("got %q", got)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	p := StartRedis(t, "--maxmemory", "3mb")
	if got := ask(t, "tcp", p.Addr, "CONFIG GET maxmemory"); got != "maxmemory\n3145728\n" {
		t.Errorf("got %q", got)
	}
}

// errorTB collects what is reported.
type errorTB struct {
	testing.TB
	errors int
}

func (e *errorTB) Helper()      {}
func (e *errorTB) Error(...any) { e.errors++ }

func TestPauseWithoutServer(t *testing.T) {
	t.Parallel()
	p := StartRedis(t)
	p.Kill()
	var e errorTB
	p.t = &e
	p.Pause()
	p.Resume()
	if e.errors != 2 {
		t.Errorf("Pause and Resume of a killed server: %d errors reported, want 2", e.errors)
	}
}

// A test alone has its server only as long as it runs.
func TestPrivateServerEndsWithTheTest(t *testing.T) {
	t.Parallel()
	var addr string
	t.Run("private", func(t *testing.T) { addr = StartRedis(t).Addr })
	if addr == "" {
		t.Skip("no server")
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("the server still accepts connections")
	}
}
