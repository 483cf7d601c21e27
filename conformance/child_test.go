package conformance

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// Runs that fail are made in another process, as they would fail this one.

const childVariable = "CAIRN_CONFORMANCE_CHILD"

var children = map[string]struct {
	open func(t *testing.T) store.Store
	opts Options
	want []string // in the output
	not  []string

	hangs bool // a case of it reaches the limits, which are shortened
}{
	"faulty": {
		open: func(*testing.T) store.Store {
			f := newFaulty(newReference(), nil)
			f.mapTTL(finite(func(time.Duration) time.Duration { return store.Forever }))
			return f
		},
		opts: Options{Bubble: true},
		want: []string{
			"--- FAIL: TestChild/Expiry/LivesItsTTL ", "--- FAIL: TestChild/Add/TTL/method", "--- PASS: TestChild/Value/Empty ",
			"rule:   An entry is readable until its ttl has passed", "where:  conformance/expiry.go:", "conformance of *conformance.faulty: ",
		},
		not: []string{"goroutine "},
	},
	"unwanted": {
		open: func(*testing.T) store.Store { return newReference() },
		opts: Options{Bubble: true, Want: []string{"GetMany"}},
		want: []string{"--- FAIL: TestChild/Abilities/Want ", "offered but not in Options.Want: [SetMany DeleteMany"},
	},
	"mutex": {
		open: func(*testing.T) store.Store {
			f := newFaulty(newReference(), nil)
			var mu sync.Mutex
			f.ping = func(ctx context.Context) error {
				mu.Lock() // and never unlocks
				return store.Check(ctx, "ping")
			}
			return f
		},
		opts: Options{Bubble: true},
		want: []string{"--- FAIL: TestChild/Ping/Answers", "blocks on a mutex", "--- PASS: TestChild/Value/Empty "},

		hangs: true,
	},
	"leak": {
		open: func(*testing.T) store.Store {
			go func() { select {} }()
			return newReference()
		},
		opts: Options{Bubble: true},
		want: []string{"--- FAIL: TestChild", "does Close stop the store's goroutines?"},
	},
	"panic": {
		open: func(*testing.T) store.Store {
			f := newFaulty(newReference(), nil)
			f.delete = func(context.Context, string) error { panic("not implemented") }
			return f
		},
		want: []string{"--- FAIL: TestChild/Basics/DeleteRemoves ", "panic: not implemented", "--- PASS: TestChild/Value/Empty "},
	},
	"hang": {
		open: func(*testing.T) store.Store {
			f := newFaulty(newReference(), nil)
			f.delete = func(ctx context.Context, key string) error {
				if key == "absent" {
					select {}
				}
				return f.ref.Delete(ctx, key)
			}
			return f
		},
		want: []string{"--- FAIL: TestChild/Basics/DeleteAbsent ", `call:   Delete("absent")`, "no end after", "--- PASS: TestChild/Value/Empty "},

		hangs: true,
	},
	"fatal": {
		open: func(t *testing.T) store.Store { t.Fatal("no such directory"); return nil },
		opts: Options{Bubble: true},
		want: []string{"--- FAIL: TestChild", "no such directory"},
	},
	"fatal in real time": {
		open: func(t *testing.T) store.Store { t.Fatal("no such directory"); return nil },
		want: []string{"--- FAIL: TestChild", "no such directory"},
		not:  []string{"--- PASS", "cases passed"},
	},
	"fatal in one case": {
		open: func(t *testing.T) store.Store {
			if strings.Contains(t.Name(), "Ping/Answers") {
				t.Fatal("no such directory")
			}
			return newReference()
		},
		opts: Options{Bubble: true},
		want: []string{"--- FAIL: TestChild/Ping/Answers", "no such directory", " 1 failed"},
	},
	"skip": {
		open: func(t *testing.T) store.Store { t.Skip("no server"); return nil },
		want: []string{"--- SKIP: TestChild", "no server"},
		not:  []string{"FAIL"},
	},
	"skip in a bubble": {
		open: func(t *testing.T) store.Store { t.Skip("no server"); return nil },
		opts: Options{Bubble: true},
		want: []string{"--- SKIP: TestChild", "no server"},
		not:  []string{"FAIL"},
	},
	"options": {
		open: func(*testing.T) store.Store { return newReference() },
		opts: Options{Skip: map[string]string{"No/Such": "because"}},
		want: []string{"--- FAIL: TestChild", `no case has the id "No/Such"`},
	},
}

func TestChild(t *testing.T) {
	x, ok := children[os.Getenv(childVariable)]
	if !ok {
		t.Skip("run by TestRunFails alone")
	}
	if x.hangs {
		bubbleLimit = 5 * time.Second
		caseLimit = 5 * time.Second
	}
	Run(t, x.open, &x.opts)
}

func TestRunFails(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for name, x := range children {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v", "-test.parallel=16", "-test.timeout=180s")
			cmd.Env = append(os.Environ(), childVariable+"="+name)
			b, err := cmd.CombinedOutput()
			output := string(b)
			if skips := strings.HasPrefix(name, "skip"); skips != (err == nil) {
				t.Errorf("the process ended with %v", err)
			}
			for _, want := range x.want {
				if !strings.Contains(output, want) {
					t.Errorf("the output lacks %q", want)
				}
			}
			for _, not := range append(x.not, "panic: test timed out", "DATA RACE") {
				if strings.Contains(output, not) {
					t.Errorf("the output has %q", not)
				}
			}
			if t.Failed() {
				t.Logf("the output is\n%s", output)
			}
		})
	}
}
