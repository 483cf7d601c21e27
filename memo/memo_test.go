package memo_test

import (
	"context"
	"errors"
	"io"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestClose(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Minute)
			return k, nil
		}, nil)
		loading := ask(t.Context(), f, 1)
		closed := make(chan error)
		go func() { closed <- m.Close(t.Context()) }()
		synctest.Wait()
		_, getErr := f.Get(t.Context(), 1)
		_, hasErr := f.Has(t.Context(), 1)
		_, ttlErr := f.TTL(t.Context(), 1)
		for _, err := range []error{getErr, hasErr, ttlErr, f.Delete(t.Context(), 1)} {
			if !errors.Is(err, memo.ErrClosed) {
				t.Errorf("after Close: %v, want ErrClosed", err)
			}
		}
		wantAnswer(t, "loading", loading, 1, time.Minute)
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
		key, _ := f.Key(1)
		if _, err := s.Get(t.Context(), key); err != nil {
			t.Errorf("what was loading is not in the store: %v", err)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		recorder := storetest.NewRecorder(s)
		m := newMemo(t, recorder, nil)
		var ended atomic.Int64
		f := wrap(t, m, "f", func(ctx context.Context, x float64) (int, error) {
			defer ended.Add(1)
			if x == 1 {
				time.Sleep(time.Hour)
				return 1, nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}, nil)
		heeds, stubborn, direct := ask(t.Context(), f, 0), ask(t.Context(), f, 1), ask(t.Context(), f, math.NaN())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		wantFailure(t, "a load that heeds its context", heeds, memo.ErrClosed, time.Second)
		wantFailure(t, "one that does not", stubborn, memo.ErrClosed, time.Second)
		wantFailure(t, "one without a key", direct, memo.ErrClosed, time.Second)
		if err := m.Close(t.Context()); err != nil { // waits again
			t.Errorf("second Close: %v", err)
		}
		synctest.Wait()
		if n := ended.Load(); n != 3 || recorder.Count("setlive") != 0 {
			t.Errorf("%d loads ended, %d stored", n, recorder.Count("setlive"))
		}
	})
}

// The store was given, and stays open.
func TestCloseLeavesTheStore(t *testing.T) {
	s := &closer{liveStore: newLiveStore()}
	m := newMemo(t, s, nil)
	if err := m.Close(t.Context()); err != nil || s.closed {
		t.Errorf("Close: %v, closed the store: %v", err, s.closed)
	}
}

type closer struct {
	*liveStore
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

var _ io.Closer = (*closer)(nil)

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		failed := errors.New("failed")
		f := wrap(t, newMemo(t, newLiveStore(), &memo.Options{Trace: seen.trace()}), "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			if k == 0 {
				return 0, failed
			}
			return k, nil
		}, nil)
		get(t, f, 1)
		get(t, f, 1)
		_, _ = f.Get(t.Context(), 0)
		seen.want(t, 2, 0, 0, 0)
		for i, want := range []memo.LoadDoneInfo{{"f", time.Second, nil}, {"f", time.Second, failed}} {
			if seen.loads[i] != want || seen.starts[i].Func != "f" {
				t.Errorf("reported %+v, want %+v", seen.loads[i], want)
			}
		}
	})
}

func TestTraceThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := storetest.Faulty(newLiveStore(), func(storetest.Call) error { return io.EOF }, nil)
		m := newMemo(t, faulty, &memo.Options{Trace: &memo.Trace{
			LoadStart:   func(context.Context, memo.LoadStartInfo) { panic("start") },
			LoadDone:    func(context.Context, memo.LoadDoneInfo) { panic("done") },
			StoreError:  func(context.Context, memo.StoreErrorInfo) { panic("store") },
			EncodeError: func(context.Context, memo.EncodeErrorInfo) { panic("encode") },
		}})
		f := wrap(t, m, "f", func(_ context.Context, x float64) (float64, error) { return 7, nil }, nil)
		for _, x := range []float64{1, math.NaN()} {
			if v := get(t, f, x); v != 7 {
				t.Errorf("got %v", v)
			}
		}
	})
}

// A hook may call back: no lock is held.
func TestTraceCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *memo.Func[int, int]
		back := func(ctx context.Context) {
			if err := f.Delete(ctx, 1); !errors.Is(err, io.EOF) {
				t.Errorf("Delete: %v", err)
			}
		}
		faulty := storetest.Faulty(newLiveStore(), func(c storetest.Call) error {
			if c.Op == "setlive" || c.Op == "delete" {
				return io.EOF
			}
			return nil
		}, nil)
		f = wrap(t, newMemo(t, faulty, &memo.Options{Trace: &memo.Trace{
			LoadStart: func(ctx context.Context, _ memo.LoadStartInfo) { back(ctx) },
			LoadDone:  func(ctx context.Context, _ memo.LoadDoneInfo) { back(ctx) },
		}}), "f", echo, nil)
		get(t, f, 1)
	})
}
