package redis

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
)

// watchStacks returns the stacks of the goroutines that belong to a watch.
func watchStacks() (found []string) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "redis.(*line)") || strings.Contains(stack, "keepWatching") || strings.Contains(stack, "watchOnce") {
			found = append(found, stack)
		}
	}
	return found
}

func noStacks(t *testing.T) {
	t.Helper()
	if stacks := watchStacks(); len(stacks) > 0 {
		t.Errorf("%d goroutines are left, such as %s", len(stacks), stacks[0])
	}
}

// One connection serves all Watchers, and ends with the last one.
func TestWatchersShare(t *testing.T) {
	server := testservers.StartRedis(t)
	client := newClient(t, server.Addr)
	s := newStore(t, client, &Options{Prefix: "p:", Timeout: patience, WatchDelta: 4 * time.Second}) // it should not connect twice
	firstCtx, endFirst := context.WithCancel(t.Context())
	secondCtx, endSecond := context.WithCancel(t.Context())
	first := watchUnproven(t, firstCtx, s)
	first.prove()
	second := watchUnproven(t, secondCtx, s)
	second.prove()
	first.tells(s, "both")
	second.prove()
	if second.count("both") == 0 {
		t.Error("the second Watcher was not told")
	}
	if n := first.flushCount(); n != 1 {
		t.Errorf("the first Watcher got %d Flushes for the second one", n)
	}
	if addrs := lines(t, client); len(addrs) != 1 {
		t.Errorf("%v watch, want one connection", addrs)
	}

	endFirst()
	second.tells(s, "one")
	second.prove()
	if first.count("one") != 0 {
		t.Error("the first Watcher was told after its end")
	}

	endSecond()
	eventually(t, "the end of the connection", func() bool { return len(lines(t, client)) == 0 })
	eventually(t, "the end of the goroutines", func() bool { return len(watchStacks()) == 0 })
	if err := s.WatchErr(); err != nil {
		t.Errorf("nobody watches: %v", err)
	}

	third := watchUnproven(t, t.Context(), s)
	third.prove()
	third.tells(s, "anew")
	s.Close()
	noStacks(t)
	s.Close()
	if n := second.count("anew"); n != 0 {
		t.Error("the second Watcher was told after its end")
	}
}

// Close returns soon in whatever state the watch is, and leaves nothing behind.
func TestWatchClose(t *testing.T) {
	server := testservers.Redis(t)
	for name, client := range watchClients(t) {
		s := newStore(t, client, quick(unique(t)))
		watchStore(t, s)
		soon(t, name, s)
	}
	proxy := faultproxy.New(t, server.Addr)
	for name, test := range map[string]struct{ before, after func() }{
		"at once":          {proxy.Pass, func() {}},
		"connecting":       {proxy.BlackHole, func() { time.Sleep(50 * time.Millisecond) }},
		"refused":          {proxy.Cut, func() { time.Sleep(50 * time.Millisecond) }},
		"silent afterward": {proxy.Pass, func() { time.Sleep(50 * time.Millisecond); proxy.BlackHole() }},
	} {
		test.before()
		opts := quick(unique(t))
		opts.Timeout = time.Second
		s := newStore(t, goredis.NewClient(advised(&goredis.Options{Addr: proxy.Addr, ReadTimeout: time.Second})), opts)
		s.own = true
		watchUnproven(t, t.Context(), s)
		test.after()
		soon(t, name, s)
	}
}

func soon(t *testing.T, name string, s *Store) {
	t.Helper()
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Errorf("%s: Close: %v", name, err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("%s: Close took %v", name, d)
	}
	noStacks(t)
}

// Watchers come and go at once.
func TestWatchersComeAndGo(t *testing.T) {
	s := newStore(t, newClient(t, testservers.Redis(t).Addr), quick(unique(t)))
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		watchUnproven(t, ctx, s)
		go cancel()
	}
	watchStore(t, s).tells(s, "k")
	s.Close()
	noStacks(t)
}
