package memo_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// counting is a function that takes a second, and returns how many times it was
// called; or the error, if one is set.
type counting struct {
	n       atomic.Int64
	failure atomic.Pointer[error]
}

func (c *counting) load(context.Context, int) (int, error) {
	n := c.n.Add(1)
	err := c.failure.Load()
	time.Sleep(time.Second)
	if err != nil {
		return 0, *err
	}
	return int(n), nil
}

func (c *counting) fail(err error) { c.failure.Store(&err) }

func TestGetManyStale(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, Retry: 10 * time.Second}}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		get(t, f, 1)
		get(t, f, 2)
		time.Sleep(time.Minute)
		batches := l.batches.Load()
		b := <-askMany(t.Context(), f, []int{1, 3, 2})
		if b.err != nil || b.at != time.Second || b.results[0].Source != memo.SourceStale || b.results[1].Source != memo.SourceLoaded || b.results[2].Value != 2 {
			t.Errorf("stale and missing: %+v", b)
		}
		if n := l.batches.Load() - batches; l.together && n != 2 {
			t.Errorf("FillMany was called %d times, want once in the background and once for who waits", n)
		}
		synctest.Wait()
		time.Sleep(time.Minute - time.Second)
		if r, err := f.GetMany(t.Context(), []int{1, 2, 3}); err != nil || r[0].Value+r[1].Value+r[2].Value != 3+4+5 {
			t.Errorf("after the refresh: %v, %v", r, err)
		}

		c.fail(io.ErrUnexpectedEOF)
		time.Sleep(time.Minute)
		calls := c.n.Load()
		for range 3 {
			<-askMany(t.Context(), f, []int{1, 2})
		}
		time.Sleep(2 * time.Second)
		for range 3 {
			b := <-askMany(t.Context(), f, []int{1, 2})
			for _, r := range b.results {
				if r.Source != memo.SourceStale || !errors.Is(r.Err, io.ErrUnexpectedEOF) || b.err != nil || b.at != 0 {
					t.Errorf("in the pause: %+v, %v after %v", r, b.err, b.at)
				}
			}
		}
		if n := c.n.Load() - calls; n != 2 {
			t.Errorf("%d calls, want one for each before the pause", n)
		}
		time.Sleep(9 * time.Second)
		<-askMany(t.Context(), f, []int{1, 2})
		if n := c.n.Load() - calls; n != 4 {
			t.Errorf("%d calls, want one more for each after the pause", n)
		}
	})
}

func TestGetManyRefreshAhead(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: 10 * time.Second, RefreshAhead: 0.5}}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		get(t, f, 1)
		time.Sleep(5 * time.Second)
		get2 := func(want string) {
			t.Helper()
			wantMany(t, "1", askMany(t.Context(), f, []int{1}), 0, want)
		}
		get2("1 store")
		get2("1 store")
		time.Sleep(time.Second)
		synctest.Wait()
		get2("2 store")
		if c.n.Load() != 2 {
			t.Errorf("%d loads", c.n.Load())
		}
	})
}

func TestGetManySoftTimeout(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: time.Second / 2}}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		get(t, f, 1)
		time.Sleep(time.Minute)
		wantMany(t, "slow", askMany(t.Context(), f, []int{1}), time.Second/2, "1 stale")
		time.Sleep(time.Second)
		wantMany(t, "the load went on", askMany(t.Context(), f, []int{1}), 0, "2 store")
		time.Sleep(time.Minute)
		refreshed := askMany(t.Context(), f, []int{1}, memo.Call{Refresh: true})
		wantMany(t, "who wants a new one waits", refreshed, time.Second, "3 loaded")
		time.Sleep(time.Minute)
		if v, err := f.Refresh(t.Context(), 1); v != 4 || err != nil {
			t.Errorf("Refresh: %d, %v", v, err)
		}
		time.Sleep(time.Minute)
		c.fail(io.ErrUnexpectedEOF)
		b := <-askMany(t.Context(), f, []int{1, 2})
		if r := b.results[0]; r.Value != 4 || r.Source != memo.SourceStale {
			t.Errorf("failed: %+v", r)
		}
		if r := b.results[1]; !errors.Is(r.Err, io.ErrUnexpectedEOF) || !errors.Is(b.err, io.ErrUnexpectedEOF) {
			t.Errorf("failed: %+v, %v", r, b.err)
		}
	})
}

func TestGetManyTimeouts(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		ended := make(chan error, 10)
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{WaitTimeout: time.Second, LoadTimeout: time.Minute}}, func(ctx context.Context, k int) (int, error) {
			d := 30 * time.Second
			if k > 10 {
				d = time.Hour
			}
			select {
			case <-time.After(d):
				return k, nil
			case <-ctx.Done():
				ended <- context.Cause(ctx)
				return 0, ctx.Err()
			}
		})
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		wantMany(t, "WaitTimeout", askMany(t.Context(), f, []int{1, 2}), time.Second, memo.ErrTimeout, memo.ErrTimeout)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		wantMany(t, "the load went on", askMany(t.Context(), f, []int{1, 2}), 0, "1 store", "2 store")
		patient := memo.Call{Policy: memo.Policy{WaitTimeout: memo.Off}}
		wantMany(t, "LoadTimeout", askMany(t.Context(), f, []int{11, 12}, patient), time.Minute, memo.ErrTimeout, memo.ErrTimeout)
		for range 2 {
			if err := <-ended; !errors.Is(err, memo.ErrTimeout) {
				t.Errorf("the load was cancelled with %v", err)
			}
		}
	})
}

func TestGetManyCall(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute}}, c.load)
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", fn, o)
		one, etag := []int{1}, "v2"
		ask := func(call memo.Call) <-chan batch { return askMany(t.Context(), f, one, call) }
		wantMany(t, "NoStore", ask(memo.Call{NoStore: true}), time.Second, "1 loaded")
		wantMany(t, "was not stored", ask(memo.Call{}), time.Second, "2 loaded")
		time.Sleep(time.Second)
		wantMany(t, "MaxAge of a laxer one", ask(memo.Call{MaxAge: time.Second}), 0, "2 store")
		wantMany(t, "MaxAge of a stricter one", ask(memo.Call{MaxAge: time.Second - 1}), time.Second, "3 loaded")
		wantMany(t, "Refresh", ask(memo.Call{Refresh: true}), time.Second, "4 loaded")
		wantMany(t, "ETag", ask(memo.Call{ETag: &etag}), time.Second, "5 loaded")
		wantMany(t, "the same ETag", ask(memo.Call{ETag: &etag}), 0, "5 store")
		wantMany(t, "no ETag", ask(memo.Call{}), 0, "5 store")
		time.Sleep(time.Second)
		wantMany(t, "StaleOK", ask(memo.Call{MaxAge: time.Second - 1, StaleOK: true}), 0, "5 stale")
		time.Sleep(time.Second)
		synctest.Wait()
		wantMany(t, "was refreshed", ask(memo.Call{}), 0, "6 store")
		wantMany(t, "Tags", ask(memo.Call{Refresh: true, Tags: []string{"t"}}), time.Second, "7 loaded")
		wantMany(t, "tagged", ask(memo.Call{}), 0, "7 store")
		mustInvalidate(t, m, "t")
		wantMany(t, "invalidated", ask(memo.Call{Policy: memo.Policy{TTL: time.Hour}}), time.Second, "8 loaded")
		time.Sleep(time.Minute)
		wantMany(t, "TTL of the call", ask(memo.Call{}), 0, "8 store")
	})
}

// A Refresh while another load is under way begins one after it, together with
// others who do so.
func TestGetManyRefreshDuringLoad(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		single := ask(t.Context(), f, 1)
		time.Sleep(time.Second / 2)
		a := askMany(t.Context(), f, []int{1}, memo.Call{Refresh: true})
		b := askMany(t.Context(), f, []int{1}, memo.Call{Refresh: true})
		wantAnswer(t, "single", single, 1, time.Second)
		ra, rb := <-a, <-b
		if ra.at != 3*time.Second/2 || rb.at != ra.at || ra.results[0].Value != 2 || rb.results[0].Value != 2 {
			t.Errorf("got %+v and %+v", ra, rb)
		}
	})
}

func TestGetManyETags(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		var asked atomic.Int64
		etags := map[int]string{1: "a", 2: "b"}
		fn, o := l.options(memo.FuncOptions[int, int]{ETag: func(_ context.Context, k int) (string, error) {
			asked.Add(1)
			if k == 3 {
				return "", io.ErrUnexpectedEOF
			}
			return etags[k], nil
		}}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		first := <-askMany(t.Context(), f, []int{1, 2, 3, 1})
		if first.err != nil || asked.Load() != 3 || first.results[1].ETag != "b" || first.results[2].ETag != "" {
			t.Errorf("%d calls of ETag, %+v", asked.Load(), first)
		}
		etags[2] = "B"
		second := <-askMany(t.Context(), f, []int{1, 2, 3})
		for i, want := range []bool{false, true, false} {
			if loaded := second.results[i].Source == memo.SourceLoaded; loaded != want {
				t.Errorf("argument %d was loaded: %v", i+1, loaded)
			}
		}
		if etag := second.results[1].ETag; etag != "B" {
			t.Errorf("stored with etag %q", etag)
		}
	})
}

func TestGetManyAbsent(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour, Absent: time.Minute}}, func(ctx context.Context, k int) (int, error) {
			if time.Sleep(time.Second); k == 0 {
				return 0, store.ErrNotFound
			}
			return k, nil
		})
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		wantMany(t, "loaded", askMany(t.Context(), f, []int{0, 1}), time.Second, store.ErrNotFound, "1 loaded")
		b := <-askMany(t.Context(), f, []int{0, 1})
		if b.at != 0 || b.err != nil || b.results[0].Source != memo.SourceNegative || !errors.Is(b.results[0].Err, store.ErrNotFound) {
			t.Errorf("remembered: %+v", b)
		}
		if err := f.Set(t.Context(), 0, 7); err != nil {
			t.Error(err)
		}
		wantMany(t, "set", askMany(t.Context(), f, []int{0}), 0, "7 store")
		if _, err := f.Refresh(t.Context(), 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Refresh: %v", err)
		}
		time.Sleep(time.Minute)
		wantMany(t, "forgotten", askMany(t.Context(), f, []int{0}), time.Second, store.ErrNotFound)
	})
}

// What is found to be absent does not stay where it was.
func TestGetManyRemovesAbsent(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		gone := false
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour, Stale: time.Hour}}, func(_ context.Context, k int) (int, error) {
			if gone {
				return 0, store.ErrNotFound
			}
			return k, nil
		})
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		<-askMany(t.Context(), f, []int{1, 2})
		gone = true
		wantMany(t, "refreshed", askMany(t.Context(), f, []int{1, 2}, memo.Call{Refresh: true}), 0, store.ErrNotFound, store.ErrNotFound)
		for k := 1; k <= 2; k++ {
			if has, err := f.Has(t.Context(), k); has || err != nil {
				t.Errorf("Has(%d): %v, %v", k, has, err)
			}
		}
	})
}

func TestGetManyVerify(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{}, c.load)
		var mismatches atomic.Int64
		f := wrap(t, newMemo(t, s, &memo.Options{Verify: true, Trace: &memo.Trace{
			Mismatch: func(context.Context, memo.MismatchInfo) { mismatches.Add(1) },
		}}), "f", fn, o)
		<-askMany(t.Context(), f, []int{1, 2})
		b := <-askMany(t.Context(), f, []int{1, 2, 1})
		if b.err != nil || mismatches.Load() != 2 || c.n.Load() != 4 || b.results[0].Value+b.results[1].Value != 3 {
			t.Errorf("%d mismatches and %d calls, %+v", mismatches.Load(), c.n.Load(), b)
		}
	})
}
