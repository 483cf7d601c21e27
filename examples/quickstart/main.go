// Command quickstart reports on every package of a Go source tree: files,
// lines, functions and the longest function. The analysis of one package is a
// memoized function. It runs over the tree twice and prints both times: the
// second pass is answered by the cache. With a backend that outlives the
// process, a second run is answered by it as well:
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -store disk:./cache
//	go run ./examples/quickstart -store redis://localhost:6379/0
//	go run ./examples/quickstart -store memcache://localhost:11211 -dir .
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	_ "github.com/cairncache/cairn/adapters/disk"
	_ "github.com/cairncache/cairn/adapters/memcache"
	_ "github.com/cairncache/cairn/adapters/memory"
	_ "github.com/cairncache/cairn/adapters/null"
	_ "github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("store", "memory:", "`URL` of the backend")
	dir := flags.String("dir", "", "source `tree` (default: that of the Go toolchain)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = toolchainSource(ctx); err != nil {
			return err
		}
	}
	root, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	packages, err := findPackages(root)
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return fmt.Errorf("there are no Go files below %s", root)
	}

	s, err := store.Open(ctx, *url)
	if err != nil {
		return err
	}
	defer store.Close(s)
	if err := store.Ping(ctx, s); err != nil {
		return err
	}
	var failures storeFailures
	m, err := memo.New(s, &memo.Options{Namespace: "quickstart", Trace: &memo.Trace{StoreError: failures.add}})
	if err != nil {
		return err
	}
	defer m.Close(context.WithoutCancel(ctx))
	var loads atomic.Int64
	reports, err := memo.Wrap(m, "analyze", func(ctx context.Context, p Package) (Report, error) {
		loads.Add(1)
		return analyze(ctx, p)
	}, &memo.FuncOptions[Package, Report]{Policy: memo.Policy{TTL: 24 * time.Hour}})
	if err != nil {
		return err
	}

	var passes [2]pass
	for i := range passes {
		before := loads.Load()
		start := time.Now()
		passes[i].total, err = analyzeAll(ctx, reports.Get, packages, progress(stderr, i+1, len(packages)))
		if err != nil {
			return err
		}
		passes[i].time = time.Since(start)
		passes[i].loads = int(loads.Load() - before)
	}
	if err := failures.print(stderr); err != nil {
		return err
	}
	return print(stdout, root, len(packages), passes)
}

// storeFailures counts what the backend did not do. The program goes on
// without it, as the functions can be called.
type storeFailures struct {
	mu    sync.Mutex
	n     int
	first error
}

func (f *storeFailures) add(_ context.Context, info memo.StoreErrorInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n == 1 {
		f.first = info.Err
	}
}

func (f *storeFailures) print(w io.Writer) error {
	if f.n == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "the store failed %d times; the first: %v\n", f.n, f.first)
	return err
}

// A pass is one run over the whole tree.
type pass struct {
	total total
	time  time.Duration
	loads int
}

// total sums up the reports of all packages.
type total struct {
	Report
	longestIn string // the package with the longest function
}

// analyzeAll asks for the report of every package, several at a time. get is
// the memoized function, which has the type of the function itself.
func analyzeAll(ctx context.Context, get func(context.Context, Package) (Report, error), packages []Package, done func()) (total, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu  sync.Mutex
		sum total
		wg  sync.WaitGroup
	)
	next := make(chan Package)
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range next {
				r, err := get(ctx, p)
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				sum.add(p, r)
				done()
				mu.Unlock()
			}
		})
	}
	for _, p := range packages {
		next <- p
	}
	close(next)
	wg.Wait()
	return sum, context.Cause(ctx)
}

func (t *total) add(p Package, r Report) {
	t.Files += r.Files
	t.Lines += r.Lines
	t.Functions += r.Functions
	if r.Longest.Lines > t.Longest.Lines {
		t.Longest, t.longestIn = r.Longest, p.Dir
	}
}

func print(w io.Writer, root string, packages int, passes [2]pass) error {
	t := passes[1].total
	longestIn, err := filepath.Rel(root, t.longestIn)
	if err != nil {
		longestIn = t.longestIn
	}
	fmt.Fprintf(w, "%s: %d packages, %d files, %d lines, %d functions\n", root, packages, t.Files, t.Lines, t.Functions)
	fmt.Fprintf(w, "longest function: %s in %s, %d lines\n\n", t.Longest.Name, longestIn, t.Longest.Lines)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "pass\ttime\thits\tloads\t")
	for i, p := range passes {
		fmt.Fprintf(table, "%d\t%v\t%d\t%d\t\n", i+1, p.time.Round(10*time.Microsecond), packages-p.loads, p.loads)
	}
	return table.Flush()
}

// progress returns a function that counts packages on a line of w, if w is a
// terminal.
func progress(w io.Writer, pass, packages int) func() {
	f, ok := w.(*os.File)
	if !ok {
		return func() {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	n := 0
	return func() {
		n++
		if n%10 == 0 || n == packages {
			fmt.Fprintf(w, "\rpass %d: %d of %d packages", pass, n, packages)
		}
		if n == packages {
			fmt.Fprint(w, "\r\x1b[K")
		}
	}
}

func toolchainSource(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w; name a source tree with -dir", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}
