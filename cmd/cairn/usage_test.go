package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairncache/cairn/internal/testservers"
)

func TestUsage(t *testing.T) {
	const see = "; see cairn help"
	script(t, "memory:", []step{
		{args: "gte k", code: exitUsage, stderr: `cairn: unknown command "gte" \(did you mean "get"\?\)` + see + "\n"},
		{args: "frobnicate", code: exitUsage, stderr: `cairn: unknown command "frobnicate"` + see + "\n"},
		{args: "-store memory: get k", code: exitUsage, stderr: `cairn: the command comes first, and -store after it` + see + "\n"},
		{args: "get", code: exitUsage, stderr: `cairn get: KEY is missing` + see + " get\n"},
		{args: "get a b", code: exitUsage, stderr: `cairn get: takes one KEY, not 2 arguments` + see + " get\n"},
		{args: "get -jsno a", code: exitUsage, stderr: `cairn get: unknown flag -jsno \(did you mean "-json"\?\)` + see + " get\n"},
		{args: "get a --sotre x", code: exitUsage, stderr: `cairn get: unknown flag -sotre \(did you mean "-store"\?\)` + see + " get\n"},
		{args: "get a -store", code: exitUsage, stderr: `cairn get: flag needs an argument: -store` + see + " get\n"},
		{args: "set", code: exitUsage, stderr: `cairn set: takes KEY and VALUE, or .*\n`},
		{args: "set a b c", code: exitUsage, stderr: `cairn set: takes KEY and VALUE, or .*\n`},
		{args: "set a b -ttl 300", code: exitUsage, stderr: `cairn set: invalid value "300" for flag -ttl: "300" has no unit; write 300s or 5m` + see + " set\n"},
		{args: "set a b -ttl 0s", code: exitUsage, stderr: `cairn set: .*nothing lives for no time.*\n`},
		{args: "set a b -ttl -5s", code: exitUsage, stderr: `cairn set: .*negative.*\n`},
		{args: "set _ b", code: exitError, stderr: `cairn set: .*key.*\n`},
		{args: "del", code: exitUsage, stderr: `cairn del: KEY is missing` + see + " del\n"},
		{args: "keys a", code: exitUsage, stderr: `cairn keys: takes no arguments` + see + " keys\n"},
		{args: "ping a", code: exitUsage, stderr: `cairn ping: takes no arguments` + see + " ping\n"},
		{args: "stats a", code: exitUsage, stderr: `cairn stats: takes no arguments` + see + " stats\n"},
		{args: "completion", code: exitUsage, stderr: `cairn completion: bash or zsh is missing` + see + " completion\n"},
		{args: "completion bsh", code: exitUsage, stderr: `cairn completion: unknown shell "bsh" \(did you mean "bash"\?\)` + see + " completion\n"},
		{args: "help gte", code: exitUsage, stderr: `cairn help: unknown command "gte" \(did you mean "get"\?\)` + see + " help\n"},
		{args: "get k -store memory: -config f", code: exitUsage, stderr: `cairn get: -store and -config name two stores; .*\n`},
		{args: "get k -name n", code: exitUsage, stderr: `cairn get: -name is that of a store in a file; give -config too.*\n`},
		{args: "get k -store redsi://h", code: exitUsage, stderr: `cairn get: open "redsi://h": unknown scheme "redsi" \(did you mean "redis"\?.*\n`},
		{args: "get k -store memory:?ttl=300", code: exitUsage, stderr: `cairn get: open "memory:\?ttl=300": ttl: "300" has no unit; write 300s or 5m` + see + " get\n"},
		{args: "get k -config /absent/file.yaml", code: exitError, stderr: `cairn get: .*/absent/file.yaml.*\n`},
	})
	script(t, "", []step{
		{args: "get k", code: exitUsage, stderr: `cairn get: which store\? give -store URL, or -config FILE, or set \$CACHE_URL` + see + " get\n"},
		{args: "get k -store memory:", code: exitNotFound, stderr: "cairn get: not found\n"},
	})
}

func TestHelp(t *testing.T) {
	if r := cairn(t, "", ""); r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, "Usage: cairn COMMAND") {
		t.Errorf("cairn alone: %+v", r)
	}
	for _, args := range []string{"help", "-h", "-help", "--help", "help -h"} {
		r := cairn(t, "", "", strings.Fields(args)...)
		if r.code != exitOK || r.stderr != "" || !strings.Contains(r.stdout, "Usage: cairn ") {
			t.Errorf("cairn %s: %+v", args, r)
		}
	}
	for _, cmd := range commands {
		want := cairn(t, "", "", "help", cmd.name)
		if want.code != exitOK || !strings.Contains(want.stdout, cmd.summary) {
			t.Errorf("cairn help %s: %+v", cmd.name, want)
		}
		for _, flag := range []string{"-h", "-help", "--help"} {
			if r := cairn(t, "", "", cmd.name, flag); r != want {
				t.Errorf("cairn %s %s: %+v, want %+v", cmd.name, flag, r, want)
			}
		}
		for _, line := range strings.Split(cmd.details, "\n") {
			if len(line) > 80 {
				t.Errorf("help of %s is wider than 80 columns: %s", cmd.name, line)
			}
		}
		if cmd.summary == "" || strings.HasSuffix(cmd.summary, ".") || len(cmd.name+cmd.summary) > 66 {
			t.Errorf("summary of %s: %q", cmd.name, cmd.summary)
		}
	}
}

// A default is shown as somebody would write it.
func TestSizeText(t *testing.T) {
	for size, want := range map[sizeValue]string{0: "0B", 1000: "1000B", 1 << 10: "1KiB", 1536: "1536B", 64 << 20: "64MiB", 3 << 30: "3GiB", 1 << 40: "1024GiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(size), got, want)
		}
	}
	if r := cairn(t, "", "", "help", "decode"); !strings.Contains(r.stdout, "(default 64MiB)") {
		t.Errorf("cairn help decode: %s", r.stdout)
	}
}

// reading are the command lines that ask a store.
var reading = []string{"get k", "get k -json", "set k v", "del k", "del k l", "ttl k", "keys", "ping", "explain k", "explain -locks k"}

func TestServerIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	addr := l.Addr().String()
	for _, url := range []string{"redis://:secret@" + addr, "memcache://" + addr, "memory: | redis://:secret@" + addr} {
		for _, args := range reading {
			if args == "keys" && strings.HasPrefix(url, "memcache") {
				continue
			}
			r := cairn(t, url, "", strings.Fields(args)...)
			if r.code != exitError || !strings.Contains(r.stderr, "refused") {
				t.Errorf("cairn %s of %s: %+v", args, url, r)
			}
			noSecret(t, r, "secret")
		}
	}
}

func TestWrongPassword(t *testing.T) {
	server := testservers.RedisTLS(t)
	url := "rediss://" + server.Username + ":hunter2@" + server.Addr + "?timeout=1m&ca_file=" + server.CAFile
	for _, args := range reading {
		r := cairn(t, url, "", strings.Fields(args)...)
		if r.code != exitError || !strings.Contains(r.stderr, "WRONGPASS") {
			t.Errorf("cairn %s: %+v", args, r)
		}
		noSecret(t, r, "hunter2")
	}
	for _, url := range []string{`redis://u:"hunter2@h`, `redis://u:\hunter2@h`, "redis://u:\x1bhunter2@h?x=1", "u:hunter2@h:1"} {
		for _, args := range [][]string{{url}, {"help", url}, {"set", "-ttl", url, "k", "v"}, {"keys", "-limit=" + url}, {"get", "-" + url, "k"}, {"get", "-store", url, "k"}} {
			noSecret(t, cairn(t, "", "", args...), "hunter2")
		}
	}
}

// Wherever a URL stands, also where it must not, its password is not shown.
func TestNoPassword(t *testing.T) {
	const url = "redis://user:hunter2@localhost:1/0"
	for _, args := range [][]string{
		{url},
		{"-store=" + url},
		{"-store", url},
		{"get", "-stor=" + url, "k"},
		{"get", "-" + url, "k"},
		{"get", "-json=" + url, "k"},
		{"keys", "-limit", url},
		{"keys", "-limit=" + url},
		{"get", "-store", url + "?password=hunter2", "k"},
		{"get", "-store", url + "x", "k"},
		{"get", "-store", "memory: | " + url + "x", "k"},
		{"get", "-store", "rdis://user:hunter2@localhost", "k"},
		{"get", "-config", url, "k"},
		{"get", "-name", url, "k"},
		{"set", "k", "v", "-ttl", url},
		{"decode", url},
		{"help", url},
		{"completion", url},
	} {
		r := cairn(t, "", "", args...)
		if r.code == exitOK {
			t.Errorf("cairn %q: no error", args)
		}
		noSecret(t, r, "hunter2")
	}
	for _, bad := range []string{url + "x", "rdis://user:hunter2@localhost", "hunter2@"} {
		noSecret(t, cairn(t, bad, "", "get", "k"), "hunter2")
	}
}

// A mistyped folder is not made by who only looks into it.
func TestMissingFolder(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "cache")
	file := filepath.Join(dir, "cache.yaml")
	yaml := "default: both\nstores:\n  near: { url: \"memory:\" }\n  far: { url: \"disk:" + folder + "\" }\n  both: { layers: [near, far], coherence: \"bounded:1s\" }\n"
	if err := os.WriteFile(file, []byte(yaml), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{" -store disk:" + folder, " -config " + file, " -store layered:?bounded=1s|memory:|disk:" + folder} {
		for _, args := range append(reading, "stats") {
			if !strings.HasPrefix(args, "set") {
				script(t, "", []step{{args: args + store, code: exitError, stderr: `cairn \w+: open "disk:\S+": there is no folder \S+/cache; cairn set would make it\n`}})
			}
		}
		if _, err := os.Stat(folder); err == nil {
			t.Fatalf("with%s the folder was made", store)
		}
	}
	script(t, "disk:"+folder, []step{{args: "set k v"}, {args: "get k", stdout: "v"}})
}

func noSecret(t *testing.T, r result, secret string) {
	t.Helper()
	if strings.Contains(r.stdout+r.stderr, secret) {
		t.Errorf("the output has the password: %s%s", r.stdout, r.stderr)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cache.yaml")
	yaml := "default: a\nstores:\n  a: { url: \"disk:" + dir + "/a\" }\n  b: { url: \"disk:" + dir + "/b\" }\n"
	if err := os.WriteFile(file, []byte(yaml), 0o666); err != nil {
		t.Fatal(err)
	}
	script(t, "null:", []step{
		{args: "set k 1 -config " + file},
		{args: "set k 2 -name b -config " + file},
		{args: "get k -config " + file, stdout: "1"},
		{args: "get k -name a -config " + file, stdout: "1"},
		{args: "get k -name b -config " + file, stdout: "2"},
		{args: "get k -name bb -config " + file, code: exitError, stderr: `cairn get: .*"bb".*\n`},
	})
}
