package memo_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

func TestGetManyIsBounded(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var now, most, calls atomic.Int64
		f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			calls.Add(1)
			time.Sleep(time.Second)
			now.Add(-1)
			return k, nil
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour}})
		ks := upTo(100)
		if b := <-askMany(t.Context(), f, ks); b.err != nil || b.at != 7*time.Second || most.Load() != 16 {
			t.Errorf("%v after %v, %d at a time; want 16", b.err, b.at, most.Load())
		}
		time.Sleep(time.Minute)
		most.Store(0)
		if b := <-askMany(t.Context(), f, ks); b.err != nil || b.at != 0 || b.results[99].Source != memo.SourceStale {
			t.Errorf("%v after %v, with %+v", b.err, b.at, b.results[99])
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if calls.Load() != 200 || now.Load() != 0 || most.Load() != 16 {
			t.Errorf("%d calls and %d under way, %d at a time; want all in the background, 16 at a time", calls.Load(), now.Load(), most.Load())
		}
		if b := <-askMany(t.Context(), f, ks); b.results[99].Source == memo.SourceStale || b.results[99].Age > 7*time.Second {
			t.Errorf("not refreshed: %+v", b.results[99])
		}
	})
}

// What is refreshed in the background, and waits for its turn, holds up nobody
// and keeps Close no longer than what is under way.
func TestGetManyRefreshAndClose(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		first := true
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			if !first && k == 0 {
				panic("boom")
			}
			time.Sleep(time.Minute)
			return k, nil
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour, Stale: store.Forever}})
		ks := upTo(40)
		<-askMany(t.Context(), f, ks)
		first = false
		time.Sleep(time.Hour)
		wantMany(t, "stale", askMany(t.Context(), f, ks[:1]), 0, "0 stale")
		<-askMany(t.Context(), f, ks)
		start := time.Now()
		if err := m.Close(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
	})
}

func TestGetManyPanic(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		bad := true
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		if l.together {
			o.FillMany = func(ctx context.Context, ks []int, put func(int, int)) error {
				put(1, 10)
				if time.Sleep(time.Second); bad {
					panic("boom")
				}
				for _, k := range ks {
					put(k, 10*k)
				}
				return nil
			}
		} else {
			fn = func(ctx context.Context, k int) (int, error) {
				if v, err := slow(ctx, k); !bad || k%2 == 1 {
					return v, err
				}
				panic("boom")
			}
		}
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = f.GetMany(t.Context(), []int{1, 2, 3, 4})
		}()
		synctest.Wait()
		joined := ask(t.Context(), f, 2)
		joinedMany := askMany(t.Context(), f, []int{2, 4})
		if err, ok := (<-panicked).(*memo.PanicError); !ok || err.Value != "boom" || !strings.Contains(err.Error(), "TestGetManyPanic") {
			t.Errorf("the panic did not go on with the stack in its text: %v", err)
		}
		var err *memo.PanicError
		if a := <-joined; !errors.As(a.err, &err) || err.Value != "boom" || a.at != time.Second {
			t.Errorf("who joined got %+v", a)
		}
		b := <-joinedMany
		for _, r := range b.results {
			if err = nil; !errors.As(r.Err, &err) || !errors.As(b.err, &err) {
				t.Errorf("who joined got %+v", r)
			}
		}
		bad = false
		wantMany(t, "next", askMany(t.Context(), f, []int{2, 4}), time.Second, "20 loaded", "40 loaded")
	})
}

// After a panic no more calls are begun, and those under way end first.
func TestGetManyPanicOfMany(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var calls, ended atomic.Int64
		f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) {
			calls.Add(1)
			time.Sleep(time.Duration(k+1) * time.Second)
			ended.Add(1)
			if k < 4 {
				panic(k)
			}
			return k, nil
		}, nil)
		defer func() {
			err, ok := recover().(*memo.PanicError)
			if !ok || err.Value.(int) > 3 || calls.Load() != 16 || ended.Load() != 16 {
				t.Errorf("panic with %v after %d calls of which %d have ended, want 16", err, calls.Load(), ended.Load())
			}
		}()
		_, _ = f.GetMany(t.Context(), upTo(100))
	})
}

func TestGetManyGoexit(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		if l.together {
			o.FillMany = func(context.Context, []int, func(int, int)) error {
				time.Sleep(time.Second)
				runtime.Goexit()
				return nil
			}
		} else {
			fn = func(ctx context.Context, k int) (int, error) {
				if v, err := slow(ctx, k); k == 1 {
					return v, err
				}
				runtime.Goexit()
				return 0, nil
			}
		}
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		exited := make(chan bool, 1)
		go func() {
			returned := false
			defer func() { exited <- !returned }()
			_, _ = f.GetMany(t.Context(), []int{1, 2, 3})
			returned = true
		}()
		synctest.Wait()
		joined := ask(t.Context(), f, 2)
		if !<-exited {
			t.Error("the caller that led did not exit")
		}
		var err *memo.GoexitError
		if a := <-joined; !errors.As(a.err, &err) {
			t.Errorf("who joined got %+v", a)
		}
	})
}

func TestGetManyJoins(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		single := ask(t.Context(), f, 2)
		time.Sleep(time.Second / 2)
		many := askMany(t.Context(), f, []int{1, 2})
		wantAnswer(t, "joins the batch", ask(t.Context(), f, 1), 10, time.Second)
		wantAnswer(t, "single", single, 20, time.Second)
		wantMany(t, "batch", many, time.Second, "10 loaded", "20 shared")
		overlapping := askMany(t.Context(), f, []int{3, 4})
		wantMany(t, "other batch", askMany(t.Context(), f, []int{5, 4, 3}), time.Second, "50 loaded", "40 shared", "30 shared")
		wantMany(t, "first batch", overlapping, time.Second, "30 loaded", "40 loaded")
		if n := l.calls.Load(); n != 5 {
			t.Errorf("%d loads, want 5", n)
		}
	})
}

func TestGetManyContexts(t *testing.T) {
	type name struct{}
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var ended atomic.Int64
		fn, o := l.options(memo.FuncOptions[int, int]{}, func(ctx context.Context, k int) (int, error) {
			if _, ok := ctx.Deadline(); ok || ctx.Value(name{}) != "first" {
				t.Error("the load has not the context that it should")
			}
			select {
			case <-ctx.Done():
				ended.Add(1)
				return 0, ctx.Err()
			case <-time.After(time.Minute):
				return k, nil
			}
		})
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "first"), time.Second)
		defer cancel()
		first := askMany(ctx, f, []int{1, 2})
		joined := ask(t.Context(), f, 2)
		wantMany(t, "first", first, time.Second, context.DeadlineExceeded, context.DeadlineExceeded)
		synctest.Wait()
		if n, want := ended.Load(), int64(1); !l.together && n != want || l.together && n != 0 {
			t.Errorf("%d loads were cancelled; nobody waits for that of 1 any more, unless it is one with that of 2", n)
		}
		wantAnswer(t, "joined", joined, 2, time.Minute)
		ended.Store(0)
		ctx2, cancel2 := context.WithTimeout(context.WithValue(t.Context(), name{}, "first"), time.Second)
		defer cancel2()
		wantMany(t, "alone", askMany(ctx2, f, []int{3, 4}), time.Second, context.DeadlineExceeded, context.DeadlineExceeded)
		synctest.Wait()
		if ended.Load() != 2 {
			t.Errorf("%d loads were cancelled, want 2", ended.Load())
		}
	})
}

// One whose context ends while others are still to begin does not begin them.
func TestGetManyBeginsNoMore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var calls atomic.Int64
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int, error) {
			calls.Add(1)
			<-ctx.Done()
			return 0, ctx.Err()
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := <-askMany(ctx, f, upTo(40))
		if b.at != time.Second || !errors.Is(b.err, context.DeadlineExceeded) || calls.Load() != 16 {
			t.Errorf("%v after %v and %d calls", b.err, b.at, calls.Load())
		}
		for _, r := range b.results {
			if !errors.Is(r.Err, context.DeadlineExceeded) {
				t.Errorf("got %+v", r)
			}
		}
	})
}
