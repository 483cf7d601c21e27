package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// A metrics page shows how much the cache helps.
func ExampleStats_HitRate() {
	ctx := context.Background()
	m := newExampleMemo()
	users := memo.Must(memo.Wrap(m, "user", fetchUser, nil))
	for range 4 {
		users.Get(ctx, 42)
	}
	s := users.Stats()
	fmt.Println(s.Hits(), "of", s.Requests(), "calls:", s.HitRate())
	fmt.Println(s.Misses, "miss,", s.Loaded, "load,", s.LoadErrors, "errors")
	fmt.Println(m.FuncStats()["user"] == s) // those of all functions by name
	// Output:
	// fetching 42
	// 3 of 4 calls: 0.75
	// 1 miss, 1 load, 0 errors
	// true
}

// A function should not be memoized if it does not only depend on its argument.
// In a test, Verify finds it.
func ExampleOptions_verify() {
	ctx := context.Background()
	m := memo.Must(memo.New(newLiveStore(), &memo.Options{
		Verify: true,
		Logger: slog.New(slog.DiscardHandler),
		Trace: &memo.Trace{Mismatch: func(_ context.Context, info memo.MismatchInfo) {
			fmt.Println("should not be memoized:", info.Func)
		}},
	}))
	visits := 0
	visit := func(context.Context, string) (int, error) { visits++; return visits, nil }
	length := func(_ context.Context, path string) (int, error) { return len(path), nil }
	for name, fn := range map[string]func(context.Context, string) (int, error){"visit": visit, "length": length} {
		f := memo.Must(memo.Wrap(m, name, fn, nil))
		f.Get(ctx, "/index")
		f.Get(ctx, "/index")
	}
	// Output: should not be memoized: visit
}

// One process at a time makes the report. The lock may be any that the
// processes share; here it is a mutex.
func ExampleOptions_lock() {
	ctx := context.Background()
	var mu sync.Mutex
	m := memo.Must(memo.New(newLiveStore(), &memo.Options{
		Namespace: "app",
		Lock: func(_ context.Context, key string) (release func(), err error) {
			mu.Lock()
			fmt.Println("locking", key)
			return func() { fmt.Println("unlocking"); mu.Unlock() }, nil
		},
	}))
	write := func(_ context.Context, year int) (string, error) {
		fmt.Println("writing")
		return fmt.Sprint("All about ", year), nil
	}
	reports := memo.Must(memo.Wrap(m, "report", write, nil))
	for range 2 {
		fmt.Println(reports.Get(ctx, 1843))
	}
	// Output:
	// locking app:report:1843
	// writing
	// unlocking
	// All about 1843 <nil>
	// All about 1843 <nil>
}

// What an operator must act on goes to a log, once in ten seconds; the callers
// have their values.
func ExampleOptions_logger() {
	ctx := context.Background()
	onlyMessage := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}
	m := memo.Must(memo.New(brokenStore{}, &memo.Options{
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: onlyMessage})),
	}))
	length := func(_ context.Context, s string) (int, error) { return len(s), nil }
	lengths := memo.Must(memo.Wrap(m, "length", length, nil))
	for range 3 {
		fmt.Println(lengths.Get(ctx, "tea"))
	}
	// Output:
	// msg="memo: the store has failed"
	// 3 <nil>
	// 3 <nil>
	// 3 <nil>
}

// A function that panics makes the Get panic that has called it. Those who had
// waited for it get the same as an error.
func ExamplePanicError() {
	ctx := context.Background()
	broken := func(context.Context, string) (int, error) { panic("out of tea") }
	f := memo.Must(memo.Wrap(newExampleMemo(), "broken", broken, nil))
	defer func() {
		p := recover().(*memo.PanicError)
		fmt.Println(p.Value, "with a stack:", len(p.Stack) > 0)
	}()
	f.Get(ctx, "pot")
	// Output: out of tea with a stack: true
}

// A job would rather fail than go on without its cache.
func ExampleOptions_strict() {
	m := memo.Must(memo.New(brokenStore{}, &memo.Options{
		Strict: true,
		Logger: slog.New(slog.DiscardHandler),
	}))
	users := memo.Must(memo.Wrap(m, "user", fetchUser, nil))
	_, err := users.Get(context.Background(), 42)
	fmt.Println(errors.Is(err, store.ErrUnavailable))
	// Output: true
}
