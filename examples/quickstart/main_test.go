package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cairncache/cairn/internal/testservers"
)

// The test binary is the program itself where this variable is set: its
// arguments, one a line.
const argsVariable = "QUICKSTART_TEST_ARGS"

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

// quickstart runs the program in a process of its own and returns the hits and
// loads of both passes.
func quickstart(t *testing.T, args ...string) [2][2]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), argsVariable+"="+strings.Join(args, "\n"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rows := regexp.MustCompile(`(?m)^ +[12] +\S+ +(\d+) +(\d+)$`).FindAllSubmatch(out, -1)
	if len(rows) != 2 {
		t.Fatalf("no table:\n%s", out)
	}
	return [2][2]string{{string(rows[0][1]), string(rows[0][2])}, {string(rows[1][1]), string(rows[1][2])}}
}

// tree makes a source tree of three packages.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, code := range map[string]string{
		"a/a.go":          "package a\n\nfunc A() {\n}\n",
		"a/b/b.go":        "package b\n\nfunc B() {\n\tprintln()\n}\n\nfunc short() {}\n",
		"c/c.go":          "package c\n",
		"c/c_test.go":     "package c\n",
		"c/testdata/x.go": "not Go",
		"d/README":        "no package",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(code), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestQuickstart(t *testing.T) {
	for name, test := range map[string]struct {
		url  func(*testing.T) string
		warm bool // a second process finds what the first has stored
	}{
		"memory": {func(*testing.T) string { return "memory:" }, false},
		"disk":   {func(t *testing.T) string { return "disk:" + filepath.Join(t.TempDir(), "cache") }, true},
		"redis":  {func(t *testing.T) string { return "redis://" + testservers.Redis(t).Addr + "/0?prefix=quickstart:" }, true},
		"memcache": {func(t *testing.T) string {
			return "memcache://" + testservers.Memcached(t).Addr + "?prefix=quickstart:"
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, url := tree(t), test.url(t)
			cold := [2][2]string{{"0", "3"}, {"3", "0"}}
			if got := quickstart(t, "-store", url, "-dir", dir); got != cold {
				t.Errorf("first process: hits and loads %v, want %v", got, cold)
			}
			second := cold
			if test.warm {
				second[0] = [2]string{"3", "0"}
			}
			if got := quickstart(t, "-store", url, "-dir", dir); got != second {
				t.Errorf("second process: hits and loads %v, want %v", got, second)
			}
			if !test.warm {
				return
			}
			if err := os.WriteFile(filepath.Join(dir, "c/c.go"), []byte("package c\n\nvar edited bool\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			edited := [2][2]string{{"2", "1"}, {"3", "0"}}
			if got := quickstart(t, "-store", url, "-dir", dir); got != edited {
				t.Errorf("after an edit: hits and loads %v, want %v", got, edited)
			}
		})
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-dir", tree(t)}, &out, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 packages, 4 files, 13 lines, 3 functions", "longest function: B in a/b, 3 lines"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestErrors(t *testing.T) {
	empty := t.TempDir()
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "x.go"), []byte("package"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-dir", empty}, "there are no Go files below " + empty},
		{[]string{"-dir", filepath.Join(empty, "none")}, "no such file"},
		{[]string{"-dir", broken}, "expected 'IDENT'"},
		{[]string{"-store", "rdis://u:secret@h"}, `unknown scheme "rdis" (did you mean "redis"?`},
		{[]string{"-store", "disk:" + broken}, `has other things in it, such as "x.go"; name another folder`},
		{[]string{"-store", "redis://127.0.0.1:1"}, "connection refused"},
		{[]string{"-store", "memcache://127.0.0.1:1"}, "connection refused"},
		{[]string{"-nope"}, "flag provided but not defined"},
	} {
		var out strings.Builder
		err := run(t.Context(), append([]string{"-dir", "."}, test.args...), &out, &out)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error()+out.String(), "secret") {
			t.Errorf("%q: %v; want %q", test.args, err, test.want)
		}
	}
}
