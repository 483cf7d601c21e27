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
)

// onEachStoreAndLeases is onEachStore, and over one with leases.
func onEachStoreAndLeases(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	onEachStore(t, test)
	t.Run("leases", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newFleetStore(true)) })
	})
}

// Each argument is loaded once, at its first use, and is then a hit, for those
// too who had stored the first value.
func TestRefreshAll(t *testing.T) {
	hour := policy(memo.Policy{TTL: 24 * time.Hour})
	shared := policy(memo.Policy{TTL: 24 * time.Hour})
	shared.Shared = true
	for name, options := range map[string]*memo.FuncOptions[int, int]{"copies": hour, "shared": shared} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) {
				var o origin
				first := wrap(t, newMemo(t, s, nil), "f", o.load, options)
				get(t, first, 7)
				time.Sleep(time.Minute)
				f := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", o.load, options)
				time.Sleep(time.Minute)
				wantLookup(t, first, seen{1, sourceOf(s), 2 * time.Minute, 24*time.Hour - 2*time.Minute, nil})
				for range 3 {
					if v := get(t, f, 7); v != 2 {
						t.Errorf("got %d", v)
					}
				}
				if v, err := f.GetMany(t.Context(), []int{7}); err != nil || v[0].Value != 2 {
					t.Errorf("got %+v, %v", v, err)
				}
				time.Sleep(time.Minute)
				for _, f := range []*memo.Func[int, int]{f, first} {
					wantLookup(t, f, seen{2, sourceOf(s), time.Minute, 24*time.Hour - time.Minute, nil})
				}
				if got := f.Stats(); got.Misses != 1 || got.Hits() != 4 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestRefreshAllByEnvironment(t *testing.T) {
	for value, want := range map[string]int{"1": 2, "0": 1, "": 1} {
		t.Setenv("CAIRN_MEMO_REFRESH", value)
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			for range 2 {
				f := wrap(t, newMemo(t, s, nil), "f", o.load, nil)
				get(t, f, 7)
				get(t, f, 7)
				time.Sleep(time.Minute)
			}
			o.want(t, want)
		})
	}
}

// Many are loaded once, too, but for those that were stored since.
func TestRefreshAllOfMany(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour}}, slow)
		first := wrap(t, newMemo(t, s, nil), "f", fn, o)
		wantMany(t, "first", askMany(t.Context(), first, []int{1, 2, 3}), time.Second, "10 loaded", "20 loaded", "30 loaded")
		time.Sleep(time.Minute)
		f := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", fn, o)
		must(t, first.Set(t.Context(), 2, 21))
		wantMany(t, "refreshing", askMany(t.Context(), f, []int{1, 2, 3}), time.Second, "10 loaded", "21 store", "30 loaded")
		wantMany(t, "after it", askMany(t.Context(), f, []int{1, 2, 3}), 0, "10 store", "21 store", "30 store")
		if n := l.calls.Load(); n != 5 {
			t.Errorf("%d calls", n)
		}
	})
}

// What another process has stored since is a hit.
func TestRefreshAllOfAnother(t *testing.T) {
	onEachStoreAndLeases(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", o.load, nil)
		time.Sleep(time.Minute)
		get(t, wrap(t, newMemo(t, s, nil), "f", o.load, nil), 7)
		time.Sleep(time.Minute)
		if v := get(t, f, 7); v != 1 {
			t.Errorf("got %d", v)
		}
	})
}

// What was stored before is no substitute, and stays for those who may have it.
func TestRefreshAllFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		stale := policy(memo.Policy{TTL: time.Hour, Stale: time.Hour, SoftTimeout: time.Second})
		first := wrap(t, newMemo(t, s, nil), "f", o.load, stale)
		for _, age := range []time.Duration{time.Minute, 90 * time.Minute} {
			get(t, first, 7)
			must(t, first.Delete(t.Context(), 7))
			o.fails(nil)
			value := get(t, first, 7)
			time.Sleep(age)
			f := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", o.load, stale)
			o.fails(errOrigin)
			wantLookup(t, f, seen{err: errOrigin})
			wantLookup(t, f, seen{err: errOrigin}, memo.Call{StaleOK: true})
			if results, err := f.GetMany(t.Context(), []int{7}, memo.Call{StaleOK: true}); !errors.Is(err, errOrigin) {
				t.Errorf("got %+v, %v", results, err)
			}
			if v := get(t, first, 7); v != value {
				t.Errorf("got %d", v)
			}
			o.fails(nil)
			v := get(t, f, 7)
			if v == value {
				t.Errorf("got %d", v)
			}
			wantLookup(t, f, seen{v, sourceOf(s), 0, time.Hour, nil})
		}
	})
}

// Of what was stored before, Has, TTL and Touch know nothing; Meta does, and so
// does Previous, by which a function can keep it.
func TestRefreshAllAndPrevious(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		hour := policy(memo.Policy{TTL: time.Hour})
		get(t, wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (int, error) { return 10, nil }, hour), 7)
		time.Sleep(time.Minute)
		calls := 0
		f := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", func(ctx context.Context, _ int) (int, error) {
			calls++
			if v, m, ok := memo.Previous[int](ctx); !ok || v != 10 || time.Since(m.Created) != time.Minute {
				t.Errorf("previous: %d, %+v, %v", v, m, ok)
			}
			return 0, memo.ErrNotModified
		}, hour)
		wantGone := func(err error) {
			t.Helper()
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
		if ok, err := f.Has(t.Context(), 7); ok || err != nil {
			t.Errorf("Has: %v, %v", ok, err)
		}
		_, err := f.TTL(t.Context(), 7)
		wantGone(err)
		wantGone(f.Touch(t.Context(), 7))
		if m, err := f.Meta(t.Context(), 7); err != nil || time.Since(m.Created) != time.Minute {
			t.Errorf("Meta: %+v, %v", m, err)
		}
		wantLookup(t, f, seen{10, memo.SourceLoaded, 0, time.Hour, nil})
		wantLookup(t, f, seen{10, sourceOf(s), 0, time.Hour, nil})
		wantTTL(t, f, time.Hour)
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

// A remembered error is loaded anew as well; and what a load does not want
// stored removes what is older.
func TestRefreshAllOfErrors(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		absent := policy(memo.Policy{TTL: time.Hour, Absent: time.Hour})
		var o origin
		o.fails(store.ErrNotFound)
		first := wrap(t, newMemo(t, s, nil), "f", o.load, absent)
		_, _ = first.Get(t.Context(), 7)
		time.Sleep(time.Minute)
		m := newMemo(t, s, &memo.Options{Refresh: true})
		f := wrap(t, m, "f", o.load, absent)
		wantLookup(t, f, seen{err: store.ErrNotFound})
		wantLookup(t, f, seen{0, memo.SourceNegative, 0, time.Hour, store.ErrNotFound})
		o.want(t, 2)

		get(t, wrap(t, newMemo(t, s, nil), "g", echo, nil), 7)
		time.Sleep(time.Minute)
		g := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "g", func(ctx context.Context, k int) (int, error) {
			memo.NoStore(ctx)
			return k, nil
		}, nil)
		get(t, g, 7)
		if _, err := g.Meta(t.Context(), 7); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// With the context each call loads anew and stores, also those in loads.
func TestWithRefresh(t *testing.T) {
	onEachStoreAndLeases(t, func(t *testing.T, s store.Store) {
		var o origin
		m := newMemo(t, s, nil)
		inner := wrap(t, m, "inner", o.load, nil)
		outer := wrap(t, m, "outer", inner.Get, nil)
		ctx := memo.WithRefresh(memo.WithSkip(t.Context())) // the later counts
		want := 0
		for what, call := range map[string]func() (int, error){
			"Get":     func() (int, error) { return outer.Get(ctx, 7) },
			"Refresh": func() (int, error) { return outer.Refresh(ctx, 7) },
			"Lookup": func() (int, error) {
				r, err := outer.Lookup(ctx, 7, memo.Call{MaxAge: time.Hour})
				return r.Value, err
			},
			"GetMany": func() (int, error) {
				r, err := outer.GetMany(ctx, []int{7, 7})
				return r[0].Value, errors.Join(err, sameValue(r))
			},
			"memo.Get": func() (int, error) {
				return memo.Get(ctx, m, "k", func(ctx context.Context) (int, error) { return outer.Get(ctx, 7) }, nil)
			},
			"Call": func() (int, error) { // within a Call that is of the one function
				r, err := outer.Lookup(memo.WithSkip(t.Context()), 7, memo.Call{Refresh: true})
				return r.Value, errors.Join(err, inner.Set(ctx, 7, r.Value))
			},
		} {
			want++
			if v, err := call(); v != want || err != nil {
				t.Errorf("%s: got %d, %v, want %d", what, v, err, want)
			}
			if v := get(t, outer, 7); v != want {
				t.Errorf("%s: got %d afterwards, want %d", what, v, want)
			}
			if v := get(t, inner, 7); v != want {
				t.Errorf("%s: got %d afterwards from the inner, want %d", what, v, want)
			}
		}
		o.want(t, want)
		if ok, err := outer.Has(ctx, 7); !ok || err != nil {
			t.Errorf("Has: %v, %v", ok, err)
		}
		o.fails(errOrigin)
		if _, err := outer.Get(ctx, 7); !errors.Is(err, errOrigin) {
			t.Errorf("got %v", err)
		}
	})
}

func sameValue(r []memo.Result[int]) error {
	if r[0].Value != r[1].Value {
		return fmt.Errorf("got %+v", r)
	}
	return nil
}

// Processes that refresh at the same time load once for all.
func TestRefreshAllOverLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleetStore(true)
		var o origin
		o.takes(time.Second)
		first := wrap(t, newMemo(t, s, nil), "f", o.load, nil)
		get(t, first, 7)
		time.Sleep(time.Minute)
		a := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", o.load, nil)
		b := wrap(t, newMemo(t, s, &memo.Options{Refresh: true}), "f", o.load, nil)
		for _, f := range []*memo.Func[int, int]{a, b} {
			go func() {
				if v := get(t, f, 7); v != 2 {
					t.Errorf("got %d", v)
				}
			}()
		}
		time.Sleep(time.Minute)
		o.want(t, 2) // one of them loads for both
		if v := get(t, first, 7); v != 2 {
			t.Errorf("got %d", v)
		}
	})
}
