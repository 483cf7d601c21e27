package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cairncache/cairn/internal/testservers"
)

// The test binary is the program itself where this variable is set.
const programVariable = "CAIRN_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	testservers.Main(m)
}

// A result is what a run of the program gives.
type result struct {
	code           int
	stdout, stderr string
}

// cairn runs the program with $CACHE_URL and stdin.
func cairn(t *testing.T, url, stdin string, args ...string) (r result) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	getenv := func(name string) string {
		if name == urlVariable {
			return url
		}
		return ""
	}
	r.code = run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr, getenv)
	r.stdout, r.stderr = stdout.String(), stderr.String()
	if n := strings.Count(r.stderr, "\n"); r.code != exitOK && n != 1 && len(args) > 0 {
		t.Errorf("cairn %q: %d lines on stderr, want one: %q", args, n, r.stderr)
	}
	return r
}

// A step is one run and what it must give. The texts are compared as a whole.
type step struct {
	args   string // separated by spaces; _ is an empty one
	stdin  string
	code   int
	stdout string // a regular expression
	stderr string // likewise
}

// script runs the steps one after another.
func script(t *testing.T, url string, steps []step) {
	t.Helper()
	for _, s := range steps {
		args := strings.Fields(s.args)
		for i := range args {
			args[i] = strings.TrimPrefix(args[i], "_")
		}
		r := cairn(t, url, s.stdin, args...)
		if r.code != s.code {
			t.Errorf("cairn %s: exit code %d, want %d (%s)", s.args, r.code, s.code, r.stderr)
		}
		match(t, s.args, "stdout", r.stdout, s.stdout)
		match(t, s.args, "stderr", r.stderr, s.stderr)
	}
}

func match(t *testing.T, args, stream, got, want string) {
	t.Helper()
	if !regexp.MustCompile(`\A(?:` + want + `)\z`).MatchString(got) {
		t.Errorf("cairn %s: %s is\n%s\nwant\n%s", args, stream, got, want)
	}
}

// A backend is a store for a test: one that a second process finds as the
// first has left it.
type backend struct {
	name  string
	url   func(t *testing.T) string
	lists bool
}

// The time-outs are for machines that do much else.
var backends = []backend{
	{"disk", func(t *testing.T) string { return "disk:" + t.TempDir() }, true},
	{"redis", func(t *testing.T) string {
		return "redis://" + testservers.Redis(t).Addr + "/0?timeout=1m&prefix=" + rand.Text() + ":"
	}, true},
	{"memcache", func(t *testing.T) string {
		return "memcache://" + testservers.Memcached(t).Addr + "?timeout=1m&prefix=" + rand.Text() + ":"
	}, false},
	{"layers", func(t *testing.T) string {
		return "layered:?timeout=1m | memory: | redis://" + testservers.Redis(t).Addr + "/0?timeout=1m&prefix=" + rand.Text() + ":"
	}, true},
}

// onBackends runs a test against each.
func onBackends(t *testing.T, test func(t *testing.T, b backend, url string)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b, b.url(t))
		})
	}
}

func TestGetSetDelTTL(t *testing.T) {
	onBackends(t, func(t *testing.T, _ backend, url string) {
		script(t, url, []step{
			{args: "get k", code: exitNotFound, stderr: "cairn get: not found\n"},
			{args: "get k -json", code: exitNotFound, stdout: `\{\n  "key": "k",\n  "found": false\n\}\n`, stderr: "cairn get: not found\n"},
			{args: "ttl k -json", code: exitNotFound, stdout: `\{\n  "key": "k",\n  "found": false\n\}\n`, stderr: "cairn ttl: not found\n"},
			{args: "ttl k", code: exitNotFound, stderr: "cairn ttl: not found\n"},
			{args: "set k value"},
			{args: "get k", stdout: "value"},
			{args: "get -json k", stdout: `\{\n  "key": "k",\n  "found": true,\n  "value": "value",\n  "ttl": "forever"\n\}\n`},
			{args: "ttl k", stdout: "forever\n"},
			{args: "set k -ttl 1h", stdin: "a\x00\xff\nb\n"},
			{args: "get k", stdout: "a\x00.\nb\n"}, // any byte is one that is not UTF-8
			{args: "get k -json", stdout: `\{\n  "key": "k",\n  "found": true,\n  "value": \{\n    "base64": "YQD/CmIK"\n  \},\n  "ttl": "59m5\S+s"\n\}\n`},
			{args: "ttl k -json", stdout: `\{\n  "key": "k",\n  "found": true,\n  "ttl": "59m5\S+s"\n\}\n`},
			{args: "set k -ttl forever <&>"},
			{args: "get k -json", stdout: `\{\n  "key": "k",\n  "found": true,\n  "value": "<&>",\n  "ttl": "forever"\n\}\n`},
			{args: "set empty", stdin: ""},
			{args: "get empty"},
			{args: "set -- -dash -5"},
			{args: "get -- -dash", stdout: "-5"},
			{args: "del k empty absent"},
			{args: "get k", code: exitNotFound, stderr: "cairn get: not found\n"},
			{args: "get empty", code: exitNotFound, stderr: "cairn get: not found\n"},
			{args: "ping", stdout: `up: \S+s with the connection, \S+s without\n`},
			{args: "ping -json", stdout: `\{\n  "first_ms": [\d.]+,\n  "next_ms": [\d.]+\n\}\n`},
		})
	})
}

// What is in memory ends with the command.
func TestMemory(t *testing.T) {
	script(t, "memory:?ttl=5m", []step{
		{args: "set k value"},
		{args: "get k", code: exitNotFound, stderr: "cairn get: not found\n"},
		{args: "ttl k", code: exitNotFound, stderr: "cairn ttl: not found\n"},
		{args: "explain -locks k", code: exitNotFound, stdout: "store +no entry\nlease +none\nlock +none\n", stderr: "cairn explain: not found\n"},
		{args: "del k"},
		{args: "keys"},
		{args: "ping", stdout: "up: .*\n"},
	})
}

func TestKeys(t *testing.T) {
	onBackends(t, func(t *testing.T, b backend, url string) {
		if !b.lists {
			script(t, url, []step{{args: "keys", code: exitError, stderr: "cairn keys: this store cannot list its keys; .*\n"}})
			return
		}
		script(t, url, []step{
			{args: "keys"},
			{args: "set user:1 a"},
			{args: "set user:2 b"},
			{args: "set item:1 c"},
			{args: "keys", stdout: "((user:1|user:2|item:1)\n){3}"},
			{args: "keys -prefix user:", stdout: "(user:[12]\n){2}"},
			{args: "keys -glob *:1", stdout: "((user|item):1\n){2}"},
			{args: "keys -glob user:? -prefix u", stdout: "(user:[12]\n){2}"},
			{args: "keys -glob user:* -prefix user:2", stdout: "user:2\n"},
			{args: "keys -glob user:2* -prefix item"},
			{args: "keys -limit 2", stdout: "([a-z]+:[12]\n){2}"},
			{args: "keys -0 -prefix item", stdout: "item:1\x00"},
			{args: "keys -json -prefix item", stdout: `"item:1"` + "\n"},
			{args: "keys -glob [", code: exitUsage, stderr: `cairn keys: -glob "\[": .*; see cairn help keys\n`},
			{args: "keys -limit -1", code: exitUsage, stderr: `cairn keys: -limit: -1 is negative; see cairn help keys\n`},
			{args: "keys -0 -json", code: exitUsage, stderr: `cairn keys: -0 and -json .*\n`},
			{args: "keys -prefix -- -json"},
			{args: "del user:1 user:2 item:1"},
			{args: "keys"},
		})
	})
}
