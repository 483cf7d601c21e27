package memo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// manyStore keeps bytes, and reads and writes many at once.
type manyStore struct{ store.Store }

func (s manyStore) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	return store.GetMany(ctx, s.Store, keys)
}

func (s manyStore) SetMany(ctx context.Context, items []store.Item) error {
	return store.SetMany(ctx, s.Store, items)
}

func (s manyStore) DeleteMany(ctx context.Context, keys []string) error {
	return store.DeleteMany(ctx, s.Store, keys)
}

func newManyStore() store.Store { return manyStore{storetest.Bare(newLiveStore())} }

// loader makes functions whose FillMany, if they have one, loads what they do.
type loader struct {
	together bool
	batches  atomic.Int64 // calls of FillMany
	calls    atomic.Int64 // of the function or, by FillMany, for each argument
}

// options returns a function that loads with load, and o with a FillMany that
// does so for all its arguments at a time.
func (l *loader) options(o memo.FuncOptions[int, int], load func(context.Context, int) (int, error)) (func(context.Context, int) (int, error), *memo.FuncOptions[int, int]) {
	fn := func(ctx context.Context, k int) (int, error) {
		l.calls.Add(1)
		return load(ctx, k)
	}
	if l.together {
		o.FillMany = func(ctx context.Context, ks []int, put func(int, int)) error {
			l.batches.Add(1)
			type loaded struct {
				k, v int
				err  error
			}
			c := make(chan loaded)
			for _, k := range ks {
				go func() {
					v, err := fn(ctx, k)
					c <- loaded{k, v, err}
				}()
			}
			var errs []error
			for range ks {
				l := <-c
				if l.err == nil {
					put(l.k, l.v)
				} else if !errors.Is(l.err, store.ErrNotFound) {
					errs = append(errs, l.err)
				}
			}
			return errors.Join(errs...)
		}
	}
	return fn, &o
}

// bothWays runs a test over each store, with FillMany and without.
func bothWays(t *testing.T, test func(t *testing.T, s store.Store, l *loader)) {
	t.Helper()
	for _, together := range []bool{false, true} {
		name := map[bool]string{false: "function", true: "FillMany"}[together]
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) { test(t, s, &loader{together: together}) })
			t.Run("many", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, newManyStore(), &loader{together: together}) })
			})
		})
	}
}

// batch is what a GetMany returned, and when.
type batch struct {
	results []memo.Result[int]
	err     error
	at      time.Duration
}

// askMany calls GetMany in a goroutine of its own and waits until it waits.
func askMany(ctx context.Context, f *memo.Func[int, int], ks []int, call ...memo.Call) <-chan batch {
	c := make(chan batch, 1)
	start := time.Now()
	go func() {
		results, err := f.GetMany(ctx, ks, call...)
		c <- batch{results, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

// wantMany checks the results: for each its value and source, or its error.
func wantMany(t *testing.T, what string, c <-chan batch, at time.Duration, want ...any) {
	t.Helper()
	b := <-c
	ok := len(b.results) == len(want) && b.at == at
	failed := 0
	for i := 0; ok && i < len(want); i++ {
		r := b.results[i]
		if err, is := want[i].(error); is {
			ok = errors.Is(r.Err, err) && r.Value == 0 && (r.Source == memo.SourceNone || r.Source == memo.SourceNegative)
			if !errors.Is(err, store.ErrNotFound) {
				failed++
				ok = ok && errors.Is(b.err, err)
			}
			continue
		}
		source := r.Source
		if source == memo.SourceMemory {
			source = memo.SourceStore
		}
		ok = (r.Err == nil || source == memo.SourceStale) && fmt.Sprintf("%d %v", r.Value, source) == want[i]
	}
	if !ok || (b.err != nil) != (failed > 0) {
		t.Errorf("%s: got %+v, %v after %v; want %v after %v", what, b.results, b.err, b.at, want, at)
	}
}

// slow is a function that takes a second.
func slow(_ context.Context, k int) (int, error) {
	time.Sleep(time.Second)
	return 10 * k, nil
}

func TestGetMany(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{}, func(ctx context.Context, k int) (int, error) {
			if k == 0 {
				time.Sleep(time.Second)
				return 0, store.ErrNotFound
			}
			return slow(ctx, k)
		})
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		if results, err := f.GetMany(t.Context(), nil); len(results) != 0 || err != nil {
			t.Errorf("of nothing: %v, %v", results, err)
		}
		get(t, f, 3)
		wantMany(t, "first", askMany(t.Context(), f, []int{5, 3, 1, 5, 0, 5}), time.Second,
			"50 loaded", "30 store", "10 loaded", "50 loaded", store.ErrNotFound, "50 loaded")
		if n := l.calls.Load(); n != 4 {
			t.Errorf("%d loads, want those of 3, and of 5, 1 and 0 once each", n)
		}
		wantMany(t, "second", askMany(t.Context(), f, []int{1, 3, 5}), 0, "10 store", "30 store", "50 store")
		wantMany(t, "absent", askMany(t.Context(), f, []int{1, 0}), time.Second, "10 store", store.ErrNotFound)
		if n := l.batches.Load(); l.together && n != 2 {
			t.Errorf("FillMany was called %d times, want 2", n)
		}
	})
}

func TestGetManyBadCalls(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", fn, o)
		want := func(what string, kind error, ctx context.Context, f *memo.Func[int, int], call ...memo.Call) {
			t.Helper()
			results, err := f.GetMany(ctx, []int{1}, call...)
			var e *memo.Error
			if results != nil || !errors.Is(err, kind) || !errors.As(err, &e) || e.Op != "getmany" || e.Func == "" {
				t.Errorf("%s: got %v, %v; want no results and %v", what, results, err, kind)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		want("nil context", store.ErrInvalid, nil, f)
		want("ended context", context.Canceled, ended, f)
		want("two Calls", store.ErrInvalid, t.Context(), f, memo.Call{}, memo.Call{})
		want("bad Call", store.ErrInvalid, t.Context(), f, memo.Call{MaxAge: -1})
		want("no store", store.ErrInvalid, t.Context(), wrap(t, newMemo(t, memo.Later, nil), "later", fn, o))
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want("closed", memo.ErrClosed, t.Context(), f)
		if l.calls.Load() != 0 {
			t.Error("the function was called")
		}
	})
}

// Arguments without a key are loaded beside each other, and hold up none that
// has one.
func TestGetManyWithoutKey(t *testing.T) {
	for _, together := range []bool{false, true} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var seen events
			o := &memo.FuncOptions[float64, float64]{Policy: memo.Policy{TTL: 2 * time.Second}}
			if together {
				o.FillMany = func(ctx context.Context, ks []float64, put func(float64, float64)) error {
					if !slices.Equal(ks, []float64{2}) {
						t.Errorf("FillMany was asked for %v", ks)
					}
					put(2, 2)
					return nil
				}
			}
			f := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "f", func(_ context.Context, k float64) (float64, error) {
				if math.IsNaN(k) {
					time.Sleep(time.Second)
				}
				return k, nil
			}, o)
			get(t, f, 1)
			time.Sleep(2*time.Second - 1) // 1 is fresh as GetMany begins, and not when the others are loaded
			start := time.Now()
			nan := math.NaN()
			results, err := f.GetMany(t.Context(), []float64{nan, 1, nan, 2, nan})
			if since := time.Since(start); err != nil || since != time.Second {
				t.Errorf("%v after %v, want the three without a key to be loaded at a time", err, since)
			}
			for i, want := range []float64{nan, 1, nan, 2, nan} {
				if r := results[i]; r.Value != want && want == want || r.Err != nil {
					t.Errorf("got %+v for %v", r, want)
				}
			}
			if results[1].Source == memo.SourceLoaded || results[1].TTL != 1 {
				t.Errorf("got %+v for what was fresh", results[1])
			}
			seen.want(t, 5, 0, 3, 0)
		})
	}
}

// Each place has a value of its own, as each caller has.
func TestGetManyOwnValues(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, together := range []bool{false, true} {
			onEachStore(t, func(t *testing.T, s store.Store) {
				load := func(_ context.Context, k int) (*[]int, error) { return &[]int{k}, nil }
				o := &memo.FuncOptions[int, *[]int]{Shared: shared}
				if together {
					o.FillMany = func(_ context.Context, ks []int, put func(int, *[]int)) error {
						for _, k := range ks {
							put(k, &[]int{k})
						}
						return nil
					}
				}
				f := wrap(t, newMemo(t, s, nil), "f", load, o)
				for _, what := range []string{"loaded", "stored"} {
					results, err := f.GetMany(t.Context(), []int{7, 7, 7})
					if err != nil {
						t.Fatal(err)
					}
					for i, r := range results {
						if !slices.Equal(*r.Value, []int{7}) {
							t.Errorf("%s: got %v", what, *r.Value)
						}
						if i > 0 && (r.Value == results[0].Value) != shared {
							t.Errorf("%s: place %d has the value of place 0: %v, want %v", what, i, !shared, shared)
						}
						if !shared {
							(*r.Value)[0] = -1
						}
					}
				}
			})
		}
	}
}

// A value that cannot be copied is not withheld.
func TestGetManyWithoutCopies(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		fill := func(_ context.Context, ks []int, put func(int, chan int)) error {
			time.Sleep(time.Second)
			for _, k := range ks {
				put(k, make(chan int))
			}
			return nil
		}
		var calls atomic.Int64
		f := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (chan int, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return make(chan int), nil
		}, &memo.FuncOptions[int, chan int]{FillMany: fill})
		got := make(chan []memo.Result[chan int], 2)
		start := time.Now()
		for range 2 {
			go func() {
				results, err := f.GetMany(t.Context(), []int{1, 1, 2, 3})
				if err != nil {
					t.Error(err)
				}
				got <- results
			}()
			synctest.Wait()
		}
		a, b := <-got, <-got
		for i := range a {
			if a[i].Value == nil || b[i].Value == nil || a[i].Value == b[i].Value {
				t.Errorf("place %d: got %v and %v", i, a[i], b[i])
			}
		}
		if since := time.Since(start); since != 2*time.Second || calls.Load() != 3 {
			t.Errorf("%d calls of the function in %v, want those of the second caller at a time", calls.Load(), since)
		}
	})
}

func TestGetManyErrors(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		const n = 1000
		fn, o := l.options(memo.FuncOptions[int, int]{}, func(_ context.Context, k int) (int, error) {
			switch {
			case k == 0:
				return 0, store.ErrNotFound
			case k == n-1:
				return 0, io.ErrNoProgress
			case k%2 == 0:
				return 0, io.ErrUnexpectedEOF
			}
			return k, nil
		})
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		ks := upTo(n)
		results, err := f.GetMany(t.Context(), ks)
		for _, want := range []error{io.ErrUnexpectedEOF, io.ErrNoProgress} {
			if !errors.Is(err, want) {
				t.Errorf("the error does not match %v", want)
			}
		}
		if l.together {
			return // the text of FillMany's own error is as long as it likes
		}
		if errors.Is(err, store.ErrNotFound) {
			t.Error("that there is no such thing is an error")
		}
		if text := err.Error(); strings.Count(text, "\n") != 3 || !strings.HasSuffix(text, "\nand 497 more") || len(text) > 500 {
			t.Errorf("the error has the text %q", text)
		}
		for k, r := range results {
			var e *memo.Error
			if k%2 == 1 && k < n-1 {
				if r.Value != k || r.Err != nil {
					t.Errorf("got %+v for %d", r, k)
				}
			} else if !errors.As(r.Err, &e) || e.Op != "load" || e.Key != theKeyOf(t, f, k) || r.Value != 0 {
				t.Errorf("got %+v for %d", r, k)
			}
		}
	})
}

func upTo(n int) []int {
	ks := make([]int, n)
	for i := range ks {
		ks[i] = i
	}
	return ks
}
