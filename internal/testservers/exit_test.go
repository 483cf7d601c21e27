package testservers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// childWay is the environment variable that makes this test binary start
// servers, print them, and end in the way that it names.
const childWay = "TESTSERVERS_CHILD"

// children is what such a test binary has started.
type children struct {
	PIDs []int
	Dir  string
}

func TestMain(m *testing.M) {
	switch way := os.Getenv(childWay); way {
	case "":
	case "without Main":
		startForParent(false)
		os.Exit(m.Run())
	default:
		startForParent(way == "SIGKILL")
	}
	Main(m)
}

func startForParent(all bool) {
	var c children
	start := func(s spec) *instance {
		i, err := s.start("child", freePort)
		if err != nil {
			panic(err)
		}
		c.PIDs = append(c.PIDs, i.process.pid)
		return i
	}
	start(redisSpec())
	start(memcachedSpec())
	if all {
		_, err1 := redisCluster()
		_, err2 := redisSentinel()
		_, err3 := secureRedis()
		if err1 != nil || err2 != nil || err3 != nil {
			panic(fmt.Sprint(err1, err2, err3))
		}
		start(memcachedSocketSpec)
		start(redisSpec("--appendonly", "yes")).with((*process).pause)
		start(redisSpec()).stop("KILL")
	}
	c.Dir, _ = root()
	json.NewEncoder(os.Stdout).Encode(c)
	io.Copy(io.Discard, os.Stdin) // until the parent has looked at them
}

// TestChild is where a test binary that was started by TestNothingIsLeft ends.
func TestChild(*testing.T) {
	switch os.Getenv(childWay) {
	case "os.Exit":
		os.Exit(1)
	case "panic":
		go panic("on purpose")
		select {}
	case "time-out":
		select {}
	}
}

func TestNothingIsLeft(t *testing.T) {
	need(t, "redis-server", "redis-cli", "memcached")
	for _, way := range []string{"the end", "without Main", "os.Exit", "panic", "time-out", "SIGKILL"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c, end := startChild(t, way)
			end()
			if err := c.left(); err != nil && way == "the end" {
				t.Errorf("after Main: %v", err)
			}
			if err := poll(patience, c.left); err != nil {
				t.Error(err)
			}
		})
	}
}

// startChild starts this test binary again. The end function returns when it
// has ended.
func startChild(t *testing.T, way string) (c children, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.timeout=1m")
	if way == "time-out" {
		cmd.Args[2] = "-test.timeout=100ms" // counted from when the parent has looked
	}
	cmd.Env = append(os.Environ(), childWay+"="+way)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err1 := cmd.StdoutPipe()
	in, err2 := cmd.StdinPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	if err := json.NewDecoder(out).Decode(&c); err != nil {
		in.Close()
		t.Fatal("the child did not start its servers: ", err, cmd.Wait(), stderr.String())
	}
	if err := c.left(); err == nil {
		t.Fatal("nothing was started")
	}
	return c, func() {
		if way == "SIGKILL" {
			cmd.Process.Kill()
		}
		in.Close()
		cmd.Wait()
	}
}

// left returns an error that says what is left of what a child has started.
func (c children) left() error {
	for _, pid := range c.PIDs {
		if p, err := os.FindProcess(pid); err == nil && p.Signal(syscall.Signal(0)) == nil {
			return fmt.Errorf("process %d is left", pid)
		}
	}
	if _, err := os.Stat(c.Dir); err == nil {
		return fmt.Errorf("directory %s is left", c.Dir)
	}
	return nil
}

// A test that counts goroutines is not disturbed by a server.
func TestNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	StartRedis(t)
	if err := poll(patience, func() error {
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
