package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairncache/cairn/internal/testservers"
)

// The test binary is the program itself where this variable is set: its
// arguments, one a line.
const argsVariable = "EXAMPLE_TEST_ARGS"

func TestMain(m *testing.M) {
	if args := os.Getenv(argsVariable); args != "" {
		if err := run(context.Background(), strings.Split(args, "\n"), os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testservers.Main(m)
}

// program runs the program in a process of its own, with env as its whole
// environment, and returns what it has written.
func program(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	const race = "GORACE=atexit_sleep_ms=0" // with the race detector a process ends a second late
	cmd.Env = append(slices.Clone(env), argsVariable+"="+strings.Join(args, "\n"), race)
	out, err := cmd.Output()
	if err != nil {
		stderr := ""
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			stderr = string(e.Stderr)
		}
		t.Fatalf("%q %q: %v\n%s", env, args, err, stderr)
	}
	return string(out)
}

func texts(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for name, text := range map[string]string{"a": "one two\nthree", "b": "", "c": " four\t"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

const cold = `3  a
0  b
1  c
4  first pass: 0 hits, 3 counted
4  second pass: 3 hits, 0 counted
`

var warm = strings.Replace(cold, "0 hits, 3 counted", "3 hits, 0 counted", 1)

// The unchanged program runs over six backends, by the file alone, by the
// environment alone and by a flag alone, and writes the same.
func TestSixBackends(t *testing.T) {
	for _, backend := range []string{"memory", "redis", "cluster", "memcache", "disk", "layered"} {
		t.Run(backend, func(t *testing.T) {
			paths := texts(t)
			for _, way := range []string{"file", "environment", "flag"} {
				env, args := configured(t, backend, way, "example-"+backend+"-"+way+":")
				wants := []string{cold, warm}
				if backend == "memory" { // which ends with the process
					wants[1] = cold
				}
				for i, want := range wants {
					got := program(t, env, append(args, paths...)...)
					if got = strings.ReplaceAll(got, filepath.Dir(paths[0])+"/", ""); got != want {
						t.Errorf("by %s, run %d:\n%s\nwant\n%s", way, i+1, got, want)
					}
				}
			}
		})
	}
}

// configured returns the variables and arguments that choose a backend in one of
// three ways.
func configured(t *testing.T, backend, way, prefix string) (env, args []string) {
	t.Helper()
	url, variable := "", ""
	switch backend {
	case "memory":
		url, variable = "memory:?max_entries=10000", "WORDS_ENTRIES=500"
	case "redis":
		url = "redis://" + testservers.Redis(t).Addr + "/0"
		variable = "REDIS_URL=" + url
	case "layered":
		url = "redis://" + testservers.Redis(t).Addr
		variable = "REDIS_URL=" + url
	case "cluster":
		url = "redis+cluster://" + strings.Join(testservers.RedisCluster(t).Addrs, ",")
		variable = "CLUSTER_URL=" + url
	case "memcache":
		url = "memcache://" + testservers.Memcached(t).Addr
		variable = "MEMCACHE_URL=" + url
	case "disk":
		dir := filepath.Join(t.TempDir(), "cache")
		url, variable = "disk:"+dir, "WORDS_DIR="+dir
		prefix = ""
	}
	switch way {
	case "file":
		return []string{variable, "WORDS_PREFIX=" + prefix}, []string{"-config", backend + ".yaml"}
	case "flag":
		if prefix != "" {
			url += map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + "prefix=" + prefix
		}
		if backend == "layered" {
			url = "memory:?ttl=30s | " + url
		}
		return nil, []string{"-store", url}
	}
	if backend == "layered" {
		return []string{
			"CACHE_STORES_LOCAL_URL=memory:", "CACHE_STORES_LOCAL_TTL=30s",
			"CACHE_STORES_SHARED_URL=" + url, "CACHE_STORES_SHARED_PREFIX=" + prefix,
			"CACHE_STORES_PAGES_LAYERS=local,shared",
			"CACHE_REGIONS_WORDS_TTL=1h",
		}, nil
	}
	env = []string{"CACHE_URL=" + url}
	if prefix != "" {
		env = append(env, "CACHE_STORES_DEFAULT_PREFIX="+prefix)
	}
	return env, nil
}

// It says which stores it uses, without their passwords.
func TestSaysWhichStores(t *testing.T) {
	var out, told strings.Builder
	t.Setenv("CACHE_STORES_LOCAL_URL", "memory:")
	t.Setenv("CACHE_STORES_FAR_URL", "redis://:secret@"+testservers.Redis(t).Addr)
	t.Setenv("CACHE_STORES_ALL_LAYERS", "local,far")
	err := run(t.Context(), nil, &out, &told) // that server has no password
	for _, want := range []string{"store all: local | far\n", "store local: memory:\n", "store far: redis://xxxxx@"} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("no %q in\n%s", want, &told)
		}
	}
	if text := fmt.Sprint(out.String(), told.String(), err); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

func TestErrors(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("stores:\n  local: { url: \"memory:\" }\n  shared: { url: \"memory:\" }\n  pages: { layers: [local, shard] }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-config", broken}, broken + ":4:28: stores.pages.layers[1]: no store named \"shard\" (did you mean \"shared\"?"},
		{[]string{"-config", "none.yaml"}, "no such file"},
		{[]string{"-config", "memory.yaml", "-store", "memory:"}, "leave out one of them"},
		{[]string{"-store", "redsi://u:secret@h"}, `unknown scheme "redsi" (did you mean "redis"?`},
		{[]string{"-store", "redis://127.0.0.1:1"}, "connection refused"},
		{[]string{"-store", "memory:", "none.txt"}, "no such file"},
		{nil, "CACHE_URL=memory:"},
		{[]string{"-nope"}, "flag provided but not defined"},
	} {
		var out strings.Builder
		err := run(t.Context(), test.args, &out, &out)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error()+out.String(), "secret") {
			t.Errorf("%q: %v; want %q", test.args, err, test.want)
		}
	}
}

// The regions of the file stay, and -h is no error.
func TestConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("stores: { main: { url: \"memory:\" } }\nregions: { other: { ttl: 5m } }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := configuration(path, "")
	if err != nil || len(c.Regions) != 2 || c.Regions["words"].TTL == 0 || c.Regions["other"].TTL == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := configuration("", "memory:"); err != nil || c.Regions["words"].TTL == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-h"}, &out, &out); err != nil || !strings.Contains(out.String(), "-store URL") {
		t.Errorf("%v, %s", err, &out)
	}
}

// Each file names the schema, for editors.
func TestFilesNameTheSchema(t *testing.T) {
	files, _ := filepath.Glob("*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(text), "# yaml-language-server: $schema=https://raw.githubusercontent.com/cairncache/cairn/main/config/schema.json\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if len(files) != 6 {
		t.Errorf("there are %d files", len(files))
	}
}
