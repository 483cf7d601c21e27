package memo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// skippers are all ways to let a call of f(7) skip the store.
var skippers = map[string]struct {
	o   memo.Options
	env string
	get func(ctx context.Context, f *memo.Func[int, int]) (int, error)
}{
	"Call": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOf(f.Lookup(ctx, 7, memo.Call{Skip: true, StaleOK: true}))
	}},
	"Call with GetMany": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOfMany(f.GetMany(ctx, []int{7}, memo.Call{Skip: true}))
	}},
	"WithSkip": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Get(memo.WithSkip(ctx), 7)
	}},
	"WithSkip and Lookup": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOf(f.Lookup(memo.WithSkip(ctx), 7, memo.Call{MaxAge: time.Hour}))
	}},
	"WithSkip and Refresh": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Refresh(memo.WithSkip(ctx), 7)
	}},
	"WithSkip and GetMany": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOfMany(f.GetMany(memo.WithSkip(ctx), []int{7}))
	}},
	"Call.Skip within WithRefresh": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOf(f.Lookup(memo.WithRefresh(ctx), 7, memo.Call{Skip: true}))
	}},
	"WithSkip within WithRefresh": {get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Get(memo.WithSkip(memo.WithRefresh(ctx)), 7)
	}},
	"Options": {o: memo.Options{Skip: true}, get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Get(ctx, 7)
	}},
	"Options and Verify": {o: memo.Options{Skip: true, Verify: true}, get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Get(ctx, 7)
	}},
	"Options and Lookup": {o: memo.Options{Skip: true}, get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOf(f.Lookup(ctx, 7))
	}},
	"Options and Refresh": {o: memo.Options{Skip: true}, get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Refresh(ctx, 7)
	}},
	"Options precede all": {o: memo.Options{Skip: true}, get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return valueOfMany(f.GetMany(memo.WithRefresh(ctx), []int{7}, memo.Call{Refresh: true}))
	}},
	"environment": {env: "1", get: func(ctx context.Context, f *memo.Func[int, int]) (int, error) {
		return f.Get(ctx, 7)
	}},
}

func valueOf(r memo.Result[int], err error) (int, error) {
	if err == nil && (r.Source != memo.SourceLoaded || r.TTL != 0 || r.ETag != "") {
		return 0, fmt.Errorf("got %+v", r)
	}
	return r.Value, err
}

func valueOfMany(results []memo.Result[int], err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return valueOf(results[0], nil)
}

// A call that skips asks neither the store nor for an etag, and leaves what is
// stored.
func TestSkip(t *testing.T) {
	for name, test := range skippers {
		t.Run(name, func(t *testing.T) {
			if test.env != "" {
				t.Setenv("CAIRN_MEMO_SKIP", test.env)
			}
			onEachStore(t, func(t *testing.T, s store.Store) {
				var o, usual origin
				etags := 0
				options := &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour}, ETag: func(context.Context, int) (string, error) {
					etags++
					return "a", nil
				}}
				recorder := storetest.NewRecorder(s)
				f := wrap(t, newMemo(t, recorder, &test.o), "f", o.load, options)
				t.Setenv("CAIRN_MEMO_SKIP", "0")
				other := wrap(t, newMemo(t, s, nil), "f", usual.load, options)
				get(t, other, 7)
				etags = 0
				for i := range 3 {
					if v, err := test.get(t.Context(), f); v != i+1 || err != nil {
						t.Errorf("got %d, %v, want %d", v, err, i+1)
					}
				}
				if n := len(recorder.Calls()); n != 0 || etags != 0 {
					t.Errorf("the store was asked: %v; and %d times for an etag", recorder.Calls(), etags)
				}
				if got, want := f.Stats(), (memo.Stats{Skipped: 3, Loaded: 3}); got != want || got.Requests() != 0 {
					t.Errorf("got %+v, want %+v", got, want)
				}
				o.fails(errOrigin)
				if _, err := test.get(t.Context(), f); !errors.Is(err, errOrigin) {
					t.Errorf("got %v", err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := test.get(ctx, f); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				o.want(t, 4)
				get(t, other, 7)
				usual.want(t, 1)
			})
		})
	}
}

// Neither joins the other: a call that skips, and one that does not.
func TestSkipSharesNoLoad(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		o.takes(time.Second)
		f := wrap(t, newMemo(t, s, nil), "f", o.load, nil)
		for _, call := range []memo.Call{{}, {Skip: true}, {}, {Skip: true}} {
			go func() { _, _ = f.Lookup(t.Context(), 7, call) }()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		o.want(t, 3)
		if got := f.Stats(); got.Skipped != 2 || got.Misses != 1 || got.Shared != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestSkipMany(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		recorder := storetest.NewRecorder(s)
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour, Absent: time.Hour}}, func(ctx context.Context, k int) (int, error) {
			if k == 4 {
				return 0, store.ErrNotFound
			}
			return slow(ctx, k)
		})
		f := wrap(t, newMemo(t, recorder, nil), "f", fn, o)
		skip := memo.Call{Skip: true}
		wantMany(t, "one skips", askMany(t.Context(), f, []int{1, 2, 1, 4}, skip), time.Second, "10 loaded", "20 loaded", "10 loaded", store.ErrNotFound)
		wantMany(t, "none", askMany(t.Context(), f, nil, skip), 0)
		if n := len(recorder.Calls()); n != 0 || l.calls.Load() != 3 || l.together && l.batches.Load() != 1 {
			t.Errorf("%d calls, %d batches, the store was asked: %v", l.calls.Load(), l.batches.Load(), recorder.Calls())
		}
		first, second := askMany(t.Context(), f, []int{1}, skip), askMany(t.Context(), f, []int{1})
		wantMany(t, "skips", first, time.Second, "10 loaded")
		wantMany(t, "usual", second, time.Second, "10 loaded")
		if got := f.Stats(); got.Skipped != 4 || got.Misses != 1 || l.calls.Load() != 5 {
			t.Errorf("%d calls, %+v", l.calls.Load(), got)
		}
	})
}

// What goes wrong is as it is in a call that does not skip.
func TestSkipManyFails(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{
			Policy:  memo.Policy{WaitTimeout: time.Second},
			KeyFunc: func(k int) (string, error) { return fmt.Sprint(k), failsBelowZero(k) },
		}, func(_ context.Context, k int) (int, error) {
			if k == 2 {
				return 0, errOrigin
			}
			time.Sleep(time.Duration(k) * time.Second / 2)
			return 10 * k, nil
		})
		var told events
		f := wrap(t, newMemo(t, s, &memo.Options{Skip: true, Trace: told.trace()}), "f", fn, o)
		wantMany(t, "error", askMany(t.Context(), f, []int{1, 2}), time.Second/2, "10 loaded", errOrigin)
		wantMany(t, "wait", askMany(t.Context(), f, []int{3}), time.Second, memo.ErrTimeout)
		wantMany(t, "no key", askMany(t.Context(), f, []int{-1}), 0, "-10 loaded")
		if len(told.encodeErrors) != 0 {
			t.Errorf("told of %v", told.encodeErrors)
		}
		time.Sleep(time.Minute) // for what still loads
	})
}

// A function that panics does so in the call that skips.
func TestSkipPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fillMany := func(context.Context, []int, func(int, int)) error { panic("FillMany") }
		o := origin{panics: true}
		f := wrap(t, newMemo(t, newLiveStore(), &memo.Options{Skip: true}), "f", o.load, &memo.FuncOptions[int, int]{FillMany: fillMany})
		for what, call := range map[string]func(){
			"Get":     func() { _, _ = f.Get(t.Context(), 7) },
			"GetMany": func() { _, _ = f.GetMany(t.Context(), []int{7}) },
		} {
			func() {
				defer func() {
					if _, ok := recover().(*memo.PanicError); !ok {
						t.Errorf("%s does not panic", what)
					}
				}()
				call()
			}()
		}
	})
}

// What a load asks for skips with it, and has no previous value.
func TestSkipReachesIntoLoads(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		m := newMemo(t, s, nil)
		inner := wrap(t, m, "inner", o.load, nil)
		outer := wrap(t, m, "outer", func(ctx context.Context, k int) (int, error) {
			if _, _, ok := memo.Previous[int](ctx); ok {
				t.Error("there is a previous value")
			}
			memo.SetTTL(ctx, time.Second) // to no effect
			return inner.Get(ctx, k)
		}, nil)
		if v := get(t, outer, 7); v != 1 {
			t.Errorf("got %d", v)
		}
		if v, err := outer.Get(memo.WithSkip(t.Context()), 7); v != 2 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		if v, err := outer.Lookup(t.Context(), 7, memo.Call{Skip: true}); v.Value != 1 || err != nil {
			t.Errorf("a Call reaches further than its function: got %+v, %v", v, err)
		}
		if v := get(t, outer, 7); v != 1 {
			t.Errorf("got %d", v)
		}
	})
}

// Whoever skips changes what others find in the store, but stores nothing.
func TestSkipAndChanges(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o, usual origin
		options := &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour, Stale: time.Hour}, Tags: func(int) []string { return []string{"t"} }}
		m := newMemo(t, s, &memo.Options{Skip: true})
		f := wrap(t, m, "f", o.load, options)
		other := wrap(t, newMemo(t, s, nil), "f", usual.load, options)
		ctx := t.Context()
		for i, change := range []func() error{
			func() error { return f.Set(ctx, 7, 100) },
			func() error { return other.Set(ctx, 7, 100, memo.Call{Skip: true}) },
			func() error { return other.Set(memo.WithSkip(ctx), 7, 100) },
			func() error { return f.Delete(ctx, 7) },
			func() error { return f.DeleteMany(ctx, []int{7}) },
			func() error { return f.Clear(ctx) },
			func() error { return m.Clear(ctx) },
			func() error { return m.InvalidateTags(ctx, "t") },
		} {
			wantLookup(t, other, seen{i + 1, memo.SourceLoaded, 0, time.Hour, nil})
			if ok, err := f.Has(ctx, 7); !ok || err != nil {
				t.Errorf("Has: %v, %v", ok, err)
			}
			must(t, change())
			time.Sleep(time.Second) // for what the other has read
			if ok, err := other.Has(ctx, 7); ok || err != nil {
				t.Errorf("after change %d: Has: %v, %v", i, ok, err)
			}
		}
		get(t, other, 7)
		must(t, f.Expire(ctx, 7))
		if m, err := f.Meta(ctx, 7); err != nil || m.FreshUntil.After(time.Now()) {
			t.Errorf("Meta: %+v, %v", m, err)
		}
		must(t, f.Touch(ctx, 7))
		wantTTL(t, f, 2*time.Hour)
		must(t, other.Set(memo.WithSkip(ctx), 7, 5, memo.Call{Refresh: true})) // which precedes
		if v := get(t, other, 7); v != 5 {
			t.Errorf("got %d", v)
		}
		o.want(t, 0)
	})
}

// A program that skips needs no store.
func TestSkipWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o origin
		f := wrap(t, newMemo(t, memo.Later, &memo.Options{Skip: true, Strict: true}), "f", o.load, nil)
		if v := get(t, f, 7); v != 1 {
			t.Errorf("got %d", v)
		}
		if results, err := f.GetMany(t.Context(), []int{7}); err != nil || results[0].Value != 2 {
			t.Errorf("got %+v, %v", results, err)
		}
	})
}

func TestSkipOfGet(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		mustGet(t, m, "k", 1, nil)
		if v := mustGet(t, m, "k", 2, &memo.GetOptions{Call: memo.Call{Skip: true}}); v != 2 {
			t.Errorf("Call: got %d", v)
		}
		v, err := memo.Get(memo.WithSkip(t.Context()), m, "k", func(context.Context) (int, error) { return 3, nil }, nil)
		if v != 3 || err != nil {
			t.Errorf("WithSkip: got %d, %v", v, err)
		}
		if v := mustGet(t, newMemo(t, s, &memo.Options{Skip: true}), "k", 4, nil); v != 4 {
			t.Errorf("Options: got %d", v)
		}
		if v := mustGet(t, m, "k", 5, nil); v != 1 {
			t.Errorf("got %d", v)
		}
	})
}

// What excludes each other is said, wherever it was set, and a context that is
// nil is an error of the call.
func TestBadSwitches(t *testing.T) {
	f := wrap(t, newMemo(t, newLiveStore(), nil), "f", echo, nil)
	both := memo.Call{Refresh: true, Skip: true}
	_, err := f.Lookup(t.Context(), 7, both)
	_, many := f.GetMany(t.Context(), []int{7}, both)
	for _, err := range []error{err, many, f.Set(t.Context(), 7, 7, both)} {
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
	for _, test := range []struct {
		o             memo.Options
		refresh, skip string
		ok            bool
	}{
		{memo.Options{Refresh: true, Skip: true}, "", "", false},
		{memo.Options{Refresh: true}, "", "1", false},
		{memo.Options{Skip: true}, "1", "", false},
		{memo.Options{}, "1", "1", false},
		{memo.Options{Refresh: true}, "1", "0", true},
		{memo.Options{Skip: true}, "0", "1", true},
	} {
		t.Setenv("CAIRN_MEMO_REFRESH", test.refresh)
		t.Setenv("CAIRN_MEMO_SKIP", test.skip)
		if _, err := memo.New(newLiveStore(), &test.o); (err == nil) != test.ok || err != nil && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: got %v", test, err)
		}
	}
	var none context.Context
	if memo.WithRefresh(none) != nil || memo.WithSkip(none) != nil {
		t.Error("a context was made of nil")
	}
	if _, err := f.Get(none, 7); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
