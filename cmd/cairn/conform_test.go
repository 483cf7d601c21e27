package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// slow lets a server take its time, for a machine that has much else to do.
const slow = "timeout=30s"

// longSteps makes the suite's ttls long enough for such a machine.
const longSteps = "-ttl-step=100ms"

func TestConformPasses(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"memory": func(*testing.T) string { return "memory:?prefix=p:" },
		"cluster": func(t *testing.T) string {
			return "redis+cluster://" + strings.Join(testservers.RedisCluster(t).Addrs, ",") + "?" + slow
		},
		"memcache": func(t *testing.T) string { return "memcache://" + testservers.StartMemcached(t).Addr + "?" + slow },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passes(t, url(t))
		})
	}
}

func passes(t *testing.T, url string) {
	t.Helper()
	r := cairn(t, url, "", "conform", longSteps)
	if r.code != exitOK || !strings.Contains(r.stdout, " passed, 0 failed, ") || r.stderr != "" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// What others keep in the store stays, and nothing of ours does but the locks,
// which expire.
func TestConformLeavesNothing(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	others := []string{"app:k", "cairn-conform-:k", "k"}
	for _, key := range others {
		if err := client.Set(t.Context(), key, "theirs", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	passes(t, "redis://"+server.Addr+"/0?prefix=app:&"+slow)
	var left []string
	keys := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(t.Context()) {
		if key := keys.Val(); !strings.HasPrefix(key, "cairn:lock:") {
			left = append(left, key)
		} else if client.PTTL(t.Context(), key).Val() <= 0 {
			t.Errorf("%q never expires", key)
		}
	}
	slices.Sort(left)
	if !slices.Equal(left, others) {
		t.Errorf("in the server are now %q, want %q", left, others)
	}
}

// Each server does not do as it is told in one way.
func TestConformFails(t *testing.T) {
	for name, test := range map[string]struct {
		scheme         string
		start          func(t testing.TB) string
		alter          func(data []byte, toServer bool) []byte
		failed, passed []string // some of the cases
	}{
		"Redis tells seconds for milliseconds": {
			"redis", func(t testing.TB) string { return testservers.Redis(t).Addr },
			func(data []byte, _ bool) []byte {
				return bytes.ReplaceAll(data, []byte("$4\r\npttl\r\n"), []byte("$3\r\nttl\r\n"))
			},
			[]string{"TTL/CountsDown", "TTL/Exact", "GetWithTTL/Both"},
			[]string{"Basics/SetThenGet", "Key/SingleBytes", "Add/OneWinner"},
		},
		"Memcached adds to what is there": {
			"memcache", func(t testing.TB) string { return testservers.Memcached(t).Addr },
			func(data []byte, toServer bool) []byte {
				if toServer {
					return data
				}
				return bytes.ReplaceAll(data, []byte("NOT_STORED\r\n"), []byte("STORED\r\n"))
			},
			[]string{"Add/OnlyIfAbsent", "Add/OneWinner", "Reopen/AddExcludes"},
			[]string{"Key/SingleBytes", "Expiry/LivesItsTTL", "TTL/Exact"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, test.start(t))
			proxy.Alter(test.alter)
			r := cairn(t, fmt.Sprintf("%s://%s?%s", test.scheme, proxy.Addr, slow), "", "conform", longSteps, "-format", "json")
			var report conformance.Report
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitError {
				t.Fatalf("exit code %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
			}
			is := make(map[string]conformance.Status)
			for _, c := range report.Cases {
				is[c.ID] = c.Status
			}
			for _, id := range test.failed {
				if is[id] != conformance.Failed {
					t.Errorf("%s has %q, want %q", id, is[id], conformance.Failed)
				}
			}
			if !regexp.MustCompile(`^cairn conform: \d+ of \d+ cases failed: (\w+/\w+ ?){1,10}( and \d+ more)?\n$`).MatchString(r.stderr) {
				t.Errorf("stderr is %s", r.stderr)
			}
			for _, id := range test.passed {
				if is[id] != conformance.Passed {
					t.Errorf("%s has %q, want %q", id, is[id], conformance.Passed)
				}
			}
		})
	}
}

// A part of the suite is enough here.
func TestConformTimeout(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"disk": func(t *testing.T) string { return "disk:" + filepath.Join(t.TempDir(), "cache") },
		"layers": func(t *testing.T) string {
			return "layered:?timeout=30s | memory: | redis://" + testservers.Redis(t).Addr + "?" + slow
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := cairn(t, url(t), "", "conform", longSteps, "-timeout", "2s")
			if r.code != exitError || !strings.Contains(r.stdout, " passed, 0 failed, ") || !strings.Contains(r.stderr, "ended after 2s") {
				t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

func TestConformFormats(t *testing.T) {
	t.Parallel()
	const timeout = "-timeout=2s" // a part is enough, and takes a busy machine more than half a second
	for format, begin := range map[string]string{
		"text":     "conformance of *memory.Store: ",
		"markdown": "Conformance of `*memory.Store`: ",
		"json":     "{\n  \"store\": \"*memory.Store\",\n",
	} {
		r := cairn(t, "memory:", "", "conform", timeout, "-format", format)
		if !strings.HasPrefix(r.stdout, begin) || !strings.HasSuffix(r.stdout, "\n") {
			t.Errorf("-format %s gives\n%s%s", format, r.stdout, r.stderr)
		}
	}
}

func TestConformUsage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cache.yaml")
	const stores = "stores:\n  near: {url: \"memory:\"}\n  far: {url: \"redis://user:secret@localhost:1\", prefix: \"p:\", ttl: 5m}\n  both: {layers: [near, far]}\n"
	if err := os.WriteFile(file, []byte(stores), 0o666); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		code   int
		stderr string
	}{
		"-format xml -store memory:": {exitUsage, `-format "xml" is none of`},
		"-timeout 5 -store memory:":  {exitUsage, "no unit"},
		"-store memory: k":           {exitUsage, "takes no arguments"},
		"":                           {exitUsage, "which store?"},
		"-store memry:":              {exitUsage, `did you mean "memory"`},
		"-store redis://user:secret@localhost:1/0?x=1": {exitUsage, `unknown parameter "x"`},
		"-store redis://user:secret@localhost:1/0":     {exitError, "refused"},
		"-store disk:x?secret=secret":                  {exitUsage, "unknown parameter"},
		"-config " + file + " -name both":              {exitUsage, "layers are tried by their URL"},
		"-config " + file + " -name fra":               {exitError, `did you mean "far"`},
		"-config " + file + " -name far":               {exitError, "refused"},
		"-config " + file + " -name near -timeout=1s":  {exitError, "ended after 1s"},
	} {
		r := cairn(t, "", "", append([]string{"conform"}, strings.Fields(args)...)...)
		if r.code != want.code || !strings.Contains(r.stderr, want.stderr) || strings.Contains(r.stdout+r.stderr, "user:") || strings.Contains(r.stderr, "=secret") {
			t.Errorf("conform %s: exit code %d, want %d\n%s%s, want %s", args, r.code, want.code, r.stdout, r.stderr, want.stderr)
		}
	}
}

func TestConformInterrupt(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t)
	p := start(t, "conform", "-store", "redis://"+server.Addr+"?"+slow)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	eventually(t, func() bool { // the first cases have ended
		_, commands, _ := strings.Cut(client.Info(t.Context(), "stats").Val(), "total_commands_processed:")
		commands, _, _ = strings.Cut(commands, "\r")
		n, _ := strconv.Atoi(commands)
		return n > 3000
	})
	p.interrupt(t)
	report, err := io.ReadAll(p.out)
	if err != nil || !regexp.MustCompile(`^conformance of \*redis.Store: .*, \d+ of \d+ cases not tried\n(?s:.*)\nlocks:     .*\n$`).Match(report) {
		t.Errorf("the output is %q, %v", report, err)
	}
	p.ends(t, "conform")
	s, err := store.Open(t.Context(), "redis://"+server.Addr+"?"+slow)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(s)
	for key, err := range store.Keys(t.Context(), s, "") {
		t.Errorf("left: %q, %v", key, err)
	}
}
