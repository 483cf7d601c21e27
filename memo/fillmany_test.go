package memo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// wrapFill wraps a function with FillMany, and fails the test if the function
// itself is called.
func wrapFill(t *testing.T, s store.Store, o memo.FuncOptions[int, int], fill func(ctx context.Context, ks []int, put func(int, int)) error) *memo.Func[int, int] {
	t.Helper()
	o.FillMany = fill
	return wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) {
		t.Errorf("the function was called for %d", k)
		return 0, nil
	}, &o)
}

func TestFillManyIsAskedForTheMissing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var asked []int
		f := wrapFill(t, s, memo.FuncOptions[int, int]{}, func(_ context.Context, ks []int, put func(int, int)) error {
			asked = slices.Clone(ks)
			slices.Reverse(ks) // they are its own
			for _, k := range ks {
				put(k, 10*k)
			}
			return nil
		})
		if err := f.Set(t.Context(), 2, 22); err != nil {
			t.Error(err)
		}
		wantMany(t, "first", askMany(t.Context(), f, []int{3, 2, 1, 3}), 0, "30 loaded", "22 store", "10 loaded", "30 loaded")
		if !slices.Equal(asked, []int{3, 1}) {
			t.Errorf("asked for %v", asked)
		}
		asked = nil
		wantMany(t, "second", askMany(t.Context(), f, []int{3, 2, 1}), 0, "30 store", "22 store", "10 store")
		if asked != nil {
			t.Errorf("asked for %v", asked)
		}
	})
}

func TestFillManyPuts(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var late func()
		f := wrapFill(t, s, memo.FuncOptions[int, int]{}, func(_ context.Context, ks []int, put func(int, int)) error {
			late = func() { put(1, -1); put(0, -1) }
			put(1, -1)
			var wg sync.WaitGroup
			for _, k := range ks {
				if k != 0 {
					wg.Go(func() { put(k, 10*k) })
				}
			}
			wg.Wait()
			return nil
		})
		ks := upTo(100)
		b := <-askMany(t.Context(), f, ks)
		late()
		for k, r := range b.results[1:] {
			if k++; r.Value != 10*k || r.Err != nil {
				t.Errorf("got %+v for %d", r, k)
			}
		}
		if r := b.results[0]; !errors.Is(r.Err, store.ErrNotFound) || b.err != nil {
			t.Errorf("got %+v, %v for what was not put", r, b.err)
		}
		late()
		wantMany(t, "stored", askMany(t.Context(), f, []int{1, 2}), 0, "10 store", "20 store")
		wantHas(t, f, map[int]bool{0: false})
	})
}

func TestFillManyPutsWhatItWasNotAskedFor(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		f := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "f", func(_ context.Context, k float64) (float64, error) {
			return k, nil
		}, &memo.FuncOptions[float64, float64]{
			FillMany: func(_ context.Context, ks []float64, put func(float64, float64)) error {
				put(1, 1)
				if slices.Contains(ks, 3) {
					zero := 0.0
					put(zero/zero, 1)
				} else {
					put(99, 99)
				}
				return nil
			},
		})
		results, err := f.GetMany(t.Context(), []float64{1, 2})
		if results[0].Value != 1 || results[0].Err != nil {
			t.Errorf("what was put: %+v", results[0])
		}
		key, _ := f.Key(99)
		if e := results[1].Err; e == nil || errors.Is(e, store.ErrNotFound) || !strings.Contains(e.Error(), key) || !errors.Is(err, e) {
			t.Errorf("what was not put: %v, %v", e, err)
		}
		if info := seen.loads[0]; info.Err == nil {
			t.Error("Trace was not told")
		}
		if has, _ := f.Has(t.Context(), 99); has {
			t.Error("it was stored")
		}
		results, _ = f.GetMany(t.Context(), []float64{3})
		var noKey *memo.KeyError
		if !errors.As(results[0].Err, &noKey) {
			t.Errorf("no key: %+v", results[0])
		}
	})
}

func TestFillManyPutsSomeAndFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var remembered []error
		fails := true
		f := wrapFill(t, s, memo.FuncOptions[int, int]{
			Policy: memo.Policy{Absent: time.Hour},
			CacheError: func(err error) time.Duration {
				remembered = append(remembered, err)
				if errors.Is(err, io.ErrNoProgress) {
					return time.Minute
				}
				return 0
			},
		}, func(_ context.Context, ks []int, put func(int, int)) error {
			put(ks[0], 10*ks[0])
			if !fails {
				return store.ErrNotFound
			}
			if len(ks) == 1 {
				return io.ErrNoProgress
			}
			return io.ErrUnexpectedEOF
		})
		wantMany(t, "first", askMany(t.Context(), f, []int{1, 2, 3}), 0, "10 loaded", io.ErrUnexpectedEOF, io.ErrUnexpectedEOF)
		wantHas(t, f, map[int]bool{1: true, 2: false, 3: false})
		if fmt.Sprint(remembered) != "[unexpected EOF unexpected EOF]" {
			t.Errorf("CacheError was asked for %v", remembered)
		}
		// The error says that there is no such thing, of all that were not put.
		fails = false
		wantMany(t, "absent", askMany(t.Context(), f, []int{4, 5, 6}), 0, "40 loaded", store.ErrNotFound, store.ErrNotFound)
		b := <-askMany(t.Context(), f, []int{5, 6})
		for _, r := range b.results {
			if r.Source != memo.SourceNegative || b.err != nil {
				t.Errorf("got %+v, %v", r, b.err)
			}
		}
	})
}

func TestFillManyRemembersErrors(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		calls := 0
		f := wrapFill(t, s, memo.FuncOptions[int, int]{
			CacheError: func(error) time.Duration { return time.Minute },
		}, func(context.Context, []int, func(int, int)) error {
			calls++
			return io.ErrUnexpectedEOF
		})
		<-askMany(t.Context(), f, []int{1, 2})
		b := <-askMany(t.Context(), f, []int{1, 2})
		var remembered *memo.RememberedError
		for _, r := range b.results {
			if !errors.As(r.Err, &remembered) || remembered.Text != "unexpected EOF" || !errors.As(b.err, &remembered) {
				t.Errorf("got %+v, %v", r, b.err)
			}
		}
		time.Sleep(time.Minute)
		<-askMany(t.Context(), f, []int{1, 2})
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestFillManyPutsNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		calls := 0
		f := wrapFill(t, s, memo.FuncOptions[int, int]{Policy: memo.Policy{Absent: time.Minute}}, func(context.Context, []int, func(int, int)) error {
			calls++
			return nil
		})
		for range 2 {
			wantMany(t, "nothing", askMany(t.Context(), f, []int{1, 2}), 0, store.ErrNotFound, store.ErrNotFound)
		}
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
		if _, err := f.Get(t.Context(), 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		if err := f.Set(t.Context(), 1, 7); err != nil {
			t.Error(err)
		}
		wantMany(t, "set", askMany(t.Context(), f, []int{1, 2}), 0, "7 store", store.ErrNotFound)
	})
}

// A FillMany that goes on after its time holds up nobody, and what it brings is
// not stored once a newer load has begun.
func TestFillManyIgnoresItsContext(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		n := 0
		f := wrapFill(t, s, memo.FuncOptions[int, int]{Policy: memo.Policy{LoadTimeout: time.Second}}, func(_ context.Context, ks []int, put func(int, int)) error {
			n++
			v := n
			if n == 1 {
				time.Sleep(time.Hour)
			}
			for _, k := range ks {
				put(k, v)
			}
			return nil
		})
		wantMany(t, "first", askMany(t.Context(), f, []int{1, 2}), time.Second, memo.ErrTimeout, memo.ErrTimeout)
		wantMany(t, "second", askMany(t.Context(), f, []int{1}), 0, "2 loaded")
		time.Sleep(time.Hour)
		synctest.Wait()
		wantMany(t, "afterwards", askMany(t.Context(), f, []int{1}), 0, "2 store")
	})
}

func TestFillManyCycles(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var f *memo.Func[int, int]
		cycle := func(err error) bool {
			var e *memo.CycleError
			return errors.As(err, &e)
		}
		f = wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) { return 10 * k, nil },
			&memo.FuncOptions[int, int]{FillMany: func(ctx context.Context, ks []int, put func(int, int)) error {
				if slices.Contains(ks, 3) { // of the inner GetMany
					put(3, 30)
					return nil
				}
				if _, err := f.Get(ctx, 2); !cycle(err) {
					t.Errorf("Get of one of its own: %v", err)
				}
				results, err := f.GetMany(ctx, []int{1, 3})
				if !cycle(err) || !cycle(results[0].Err) || results[1].Value != 30 || results[1].Err != nil {
					t.Errorf("GetMany of one of its own and another: %+v, %v", results, err)
				}
				if v, err := f.Get(ctx, 4); v != 40 || err != nil {
					t.Errorf("Get of another: %v, %v", v, err)
				}
				for _, k := range ks {
					put(k, 10*k)
				}
				return nil
			}})
		wantMany(t, "outside", askMany(t.Context(), f, []int{1, 2}), 0, "10 loaded", "20 loaded")
		wantMany(t, "inside", askMany(t.Context(), f, []int{3, 4}), 0, "30 store", "40 store")
	})
}

func TestFillManySays(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var say func(ctx context.Context)
		load := func(ctx context.Context, ks []int, put func(int, int)) error {
			if _, _, ok := memo.Previous[int](ctx); ok {
				t.Error("there is a previous value")
			}
			say(ctx)
			for _, k := range ks {
				put(k, k)
			}
			return nil
		}
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) { return 0, io.EOF }, &memo.FuncOptions[int, int]{FillMany: load})
		again := func(what string, said func(ctx context.Context)) []memo.Result[int] {
			t.Helper()
			say = said
			results, err := f.GetMany(t.Context(), []int{1, 2}, memo.Call{Refresh: true})
			if err != nil || results[0].Source != memo.SourceLoaded {
				t.Errorf("%s: %v, %v", what, results, err)
			}
			return results
		}
		for _, r := range again("SetTTL and SetETag", func(ctx context.Context) {
			memo.SetTTL(ctx, time.Minute)
			memo.SetStale(ctx, time.Minute)
			memo.SetETag(ctx, "etag")
		}) {
			if r.TTL != time.Minute || r.ETag != "etag" {
				t.Errorf("got %+v", r)
			}
		}
		time.Sleep(time.Minute)
		say = func(context.Context) {}
		if b := <-askMany(t.Context(), f, []int{1, 2}); b.results[1].Source != memo.SourceStale || b.results[1].ETag != "etag" {
			t.Errorf("after the ttl: %+v", b)
		}
		synctest.Wait()
		again("Tag", func(ctx context.Context) { memo.Tag(ctx, "t") })
		wantHas(t, f, map[int]bool{1: true, 2: true})
		mustInvalidate(t, m, "t")
		wantHas(t, f, map[int]bool{1: false, 2: false})
		again("NoStore", memo.NoStore)
		wantHas(t, f, map[int]bool{1: false, 2: false})
		again("SetTTL of the past", func(ctx context.Context) { memo.SetTTL(ctx, 0) })
		wantHas(t, f, map[int]bool{1: false, 2: false})
		again("nothing", func(context.Context) {})
		wantHas(t, f, map[int]bool{1: true, 2: true})
	})
}

// ErrNotModified has no meaning for a batch.
func TestFillManyNotModified(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrapFill(t, s, memo.FuncOptions[int, int]{}, func(_ context.Context, ks []int, put func(int, int)) error {
			put(1, 10)
			return memo.ErrNotModified
		})
		wantMany(t, "first", askMany(t.Context(), f, []int{1}), 0, "10 loaded")
		wantMany(t, "second", askMany(t.Context(), f, []int{1, 2}, memo.Call{Refresh: true}), 0, "10 loaded", memo.ErrNotModified)
	})
}

func TestFillManyShouldStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrapFill(t, s, memo.FuncOptions[int, int]{ShouldStore: func(k, _ int) bool { return k != 2 }}, func(_ context.Context, ks []int, put func(int, int)) error {
			for _, k := range ks {
				put(k, k)
			}
			return nil
		})
		wantMany(t, "loaded", askMany(t.Context(), f, []int{1, 2, 3}), 0, "1 loaded", "2 loaded", "3 loaded")
		wantHas(t, f, map[int]bool{1: true, 2: false, 3: true})
	})
}
