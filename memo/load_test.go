package memo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// answer is what a Get returned, and when.
type answer[V any] struct {
	value V
	err   error
	at    time.Duration
}

// ask calls Get in a goroutine of its own and waits until it waits.
func ask[K, V any](ctx context.Context, f *memo.Func[K, V], k K) <-chan answer[V] {
	c := make(chan answer[V], 1)
	start := time.Now()
	go func() {
		v, err := f.Get(ctx, k)
		c <- answer[V]{v, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

func wantAnswer[V comparable](t *testing.T, what string, c <-chan answer[V], value V, at time.Duration) {
	t.Helper()
	if a := <-c; a.value != value || a.err != nil || a.at != at {
		t.Errorf("%s: got %+v, want %v after %v", what, a, value, at)
	}
}

func wantFailure[V any](t *testing.T, what string, c <-chan answer[V], err error, at time.Duration) {
	t.Helper()
	if a := <-c; !errors.Is(a.err, err) || a.at != at {
		t.Errorf("%s: got %+v, want error %v after %v", what, a, err, at)
	}
}

func TestOneLoad(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var calls atomic.Int64
		f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return k, nil
		}, nil)
		var wg sync.WaitGroup
		start := time.Now()
		for i := range 100 {
			wg.Go(func() {
				if v := get(t, f, i%10); v != i%10 {
					t.Errorf("got %d for %d", v, i%10)
				}
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 10 || time.Since(start) != time.Second {
			t.Errorf("%d calls in %v, want one for each of 10 keys, at the same time", n, time.Since(start))
		}
	})
}

// Callers whose look into the store was under way when the load that they
// missed ended do not load again.
func TestOneLoadThoughTheStoreIsSlow(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var calls, reads atomic.Int64
		recorder := storetest.NewRecorder(s)
		slow := storetest.Intercept(recorder, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			err := next(ctx)
			if c.Op == "get" || (c.Op == "getlive" || c.Op == "getliveat") { // the answer is on its way for longer and longer
				time.Sleep(time.Duration(reads.Add(1)) * 100 * time.Millisecond)
			}
			return err
		})
		f := wrap(t, newMemo(t, slow, nil), "f", func(_ context.Context, k int) (int, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return k, nil
		}, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { get(t, f, 1) })
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		if n := recorder.Count("setlive"); n != 1 {
			t.Errorf("stored %d times, want once: what was found is not stored again, as that would prolong it", n)
		}
	})
}

func TestStoreIsAskedOncePerLoad(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		recorder := storetest.NewRecorder(s)
		f := wrap(t, newMemo(t, recorder, nil), "f", echo, nil)
		for k := range 100 {
			get(t, f, k)
		}
		if n := recorder.Count("getliveat"); n != 100 {
			t.Errorf("%d reads for 100 loads", n)
		}
	})
}

func TestContextsOfCallers(t *testing.T) {
	type name struct{}
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, _ int) (string, error) {
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("the load has the deadline %v", deadline)
			}
			select {
			case <-time.After(time.Hour):
				return ctx.Value(name{}).(string), nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}, nil)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "first"), time.Second)
		defer cancel()
		first := ask(ctx, f, 1)
		joined := ask(t.Context(), f, 1)
		ctx2, cancel2 := context.WithTimeout(t.Context(), time.Minute)
		defer cancel2()
		wantFailure(t, "who has a deadline", ask(ctx2, f, 1), context.DeadlineExceeded, time.Minute)
		wantFailure(t, "the first", first, context.DeadlineExceeded, time.Second)
		wantAnswer(t, "who has none", joined, "first", time.Hour)
	})
}

func TestLoadNobodyWaitsFor(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		f := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "f", func(ctx context.Context, k int) (int, error) {
			if k == 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(time.Minute)
			return k, nil
		}, nil)
		for k := range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wantFailure(t, "Get", ask(ctx, f, k), context.DeadlineExceeded, time.Second)
		}
		time.Sleep(time.Hour)
		seen.want(t, 2, 0, 0, 0)
		for k, want := range []bool{true, false} { // the one that went on to a good end is not lost
			if has, err := f.Has(t.Context(), k); has != want || err != nil {
				t.Errorf("Has(%d): %v, %v; want %v", k, has, err, want)
			}
		}
	})
}

func TestLoaderSlowerThanTTL(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Minute)
			return k, nil
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Second}})
		first, joined := ask(t.Context(), f, 1), ask(t.Context(), f, 1)
		wantAnswer(t, "first", first, 1, time.Minute)
		wantAnswer(t, "joined", joined, 1, time.Minute)
		if ttl, err := f.TTL(t.Context(), 1); ttl != time.Second || err != nil {
			t.Errorf("TTL %v, %v; want a second from the end of the load", ttl, err)
		}
	})
}

func TestSlowLoadBlocksNoOtherKey(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			if k == 0 {
				time.Sleep(time.Hour) // whatever the context says
			}
			return k, nil
		}, nil)
		slow := ask(t.Context(), f, 0)
		start := time.Now()
		for k := range 500 {
			get(t, f, k+1)
			if err := f.Delete(t.Context(), k+1); err != nil {
				t.Error(err)
			}
		}
		if since := time.Since(start); since != 0 {
			t.Errorf("other keys took %v", since)
		}
		wantAnswer(t, "slow", slow, 0, time.Hour)
	})
}

func TestErrorIsShared(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		f := wrap(t, m, "f", func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			return 0, io.ErrUnexpectedEOF
		}, nil)
		first, joined := ask(t.Context(), f, 1), ask(t.Context(), f, 1)
		wantFailure(t, "first", first, io.ErrUnexpectedEOF, time.Second)
		wantFailure(t, "joined", joined, io.ErrUnexpectedEOF, time.Second)
		seen.want(t, 1, 0, 0, 0)
		wantFailure(t, "next", ask(t.Context(), f, 1), io.ErrUnexpectedEOF, time.Second)
		seen.want(t, 2, 0, 0, 0)
	})
}

func TestPanic(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		calls := 0
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			if calls++; calls == 1 {
				panic("boom")
			}
			return k, nil
		}, nil)
		led := make(chan any, 1)
		go func() {
			defer func() { led <- recover() }()
			_, _ = f.Get(t.Context(), 1)
		}()
		synctest.Wait()
		joined := ask(t.Context(), f, 1)
		if err, ok := (<-led).(*memo.PanicError); !ok || err.Value != "boom" || !strings.Contains(err.Error(), "TestPanic") {
			t.Error("the panic did not go on, with the stack in its text, in the caller that led")
		}
		var err *memo.PanicError
		a := <-joined
		if !errors.As(a.err, &err) || err.Value != "boom" || !strings.Contains(string(err.Stack), "TestPanic") {
			t.Errorf("the other got %v, want a *PanicError with the stack", a.err)
		}
		// The text may reach the clients of a server.
		if key, want := theKeyOf(t, f, 1), "boom"; a.err.Error() != fmt.Sprintf("memo: load %q: panic: %s", key, want) {
			t.Errorf("the other got the text %q", a.err)
		}
		if err = nil; !errors.As(seen.loads[0].Err, &err) || !strings.Contains(string(err.Stack), "TestPanic") || seen.loads[0].Duration != time.Second {
			t.Errorf("reported %+v", seen.loads[0])
		}
		wantAnswer(t, "next", ask(t.Context(), f, 1), 1, time.Second)
	})
}

func TestGoexit(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return 0, nil
		}, nil)
		exited := make(chan bool)
		go func() {
			returned := false
			defer func() { exited <- !returned }()
			_, _ = f.Get(t.Context(), 1)
			returned = true
		}()
		synctest.Wait()
		joined := ask(t.Context(), f, 1)
		if !<-exited {
			t.Error("the caller that led did not exit")
		}
		var err *memo.GoexitError
		a := <-joined
		if !errors.As(a.err, &err) || a.err.Error() != fmt.Sprintf("memo: load %q: runtime.Goexit was called", theKeyOf(t, f, 1)) {
			t.Errorf("the other got %v, want a *GoexitError", a.err)
		}
	})
}

func TestCycles(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		one := newMemo(t, s, &memo.Options{Namespace: "one"})
		two := newMemo(t, newLiveStore(), &memo.Options{Namespace: "two"})
		var self, a, b *memo.Func[int, int]
		self = wrap(t, one, "self", func(ctx context.Context, k int) (int, error) { return self.Get(ctx, k) }, nil)
		a = wrap(t, one, "a", func(ctx context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			return b.Get(ctx, k)
		}, nil)
		b = wrap(t, two, "b", func(ctx context.Context, k int) (int, error) {
			time.Sleep(2 * time.Second)
			return a.Get(ctx, k)
		}, nil)
		want := func(err error, keys string) {
			t.Helper()
			var cycle *memo.CycleError
			if !errors.As(err, &cycle) || strings.Join(cycle.Keys, " ") != keys {
				t.Errorf("got %v, want a *CycleError along %s", err, keys)
			}
		}
		_, err := self.Get(t.Context(), 1)
		want(err, "one:self:1 one:self:1")
		_, err = a.Get(t.Context(), 1)
		want(err, "one:a:1 two:b:1 one:a:1")
		// Two callers, each of which waits for the load that the other began.
		fromA, fromB := ask(t.Context(), a, 2), ask(t.Context(), b, 2)
		want((<-fromA).err, "two:b:2 one:a:2 two:b:2")
		want((<-fromB).err, "two:b:2 one:a:2 two:b:2")
	})
}

// Recursion to other keys is no cycle.
func TestRecursion(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		var fib *memo.Func[int, int]
		fib = wrap(t, m, "fib", func(ctx context.Context, n int) (int, error) {
			if n < 2 {
				return n, nil
			}
			a, err1 := fib.Get(ctx, n-1)
			b, err2 := fib.Get(ctx, n-2)
			return a + b, errors.Join(err1, err2)
		}, nil)
		if v := get(t, fib, 40); v != 102334155 {
			t.Errorf("got %d", v)
		}
		seen.want(t, 41, 0, 0, 0)
	})
}

func theKeyOf[K, V any](t *testing.T, f *memo.Func[K, V], k K) string {
	t.Helper()
	key, err := f.Key(k)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
