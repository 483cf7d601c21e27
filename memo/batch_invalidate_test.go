package memo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// wantHas checks for which arguments there are values.
func wantHas(t *testing.T, f *memo.Func[int, int], want map[int]bool) {
	t.Helper()
	for k, want := range want {
		if has, err := f.Has(t.Context(), k); has != want || err != nil {
			t.Errorf("Has(%d): %v, %v; want %v", k, has, err, want)
		}
	}
}

// What is invalidated while a batch is loaded is not stored; the rest is.
func TestInvalidateDuringGetMany(t *testing.T) {
	for name, invalidate := range map[string]func(t *testing.T, m *memo.Memo, f *memo.Func[int, int]){
		"Delete": func(t *testing.T, _ *memo.Memo, f *memo.Func[int, int]) { mustDelete(t, f, 2) },
		"Expire": func(t *testing.T, _ *memo.Memo, f *memo.Func[int, int]) {
			if err := f.Expire(t.Context(), 2); err != nil {
				t.Error(err)
			}
		},
		"DeleteMany": func(t *testing.T, _ *memo.Memo, f *memo.Func[int, int]) {
			if err := f.DeleteMany(t.Context(), []int{2, 9}); err != nil {
				t.Error(err)
			}
		},
		"InvalidateTags": func(t *testing.T, m *memo.Memo, _ *memo.Func[int, int]) { mustInvalidate(t, m, "2") },
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, s store.Store, l *loader) {
				var c counting
				fn, o := l.options(memo.FuncOptions[int, int]{Tags: func(k int) []string { return []string{fmt.Sprint(k)} }}, c.load)
				m := newMemo(t, s, nil)
				f := wrap(t, m, "f", fn, o)
				many := askMany(t.Context(), f, []int{1, 2, 3})
				joined := ask(t.Context(), f, 2)
				time.Sleep(time.Second / 2)
				invalidate(t, m, f)
				after := askMany(t.Context(), f, []int{2, 3})
				b := <-many
				if name != "InvalidateTags" { // where who came before may load again
					if a := <-joined; a.value != b.results[1].Value || a.err != nil || b.err != nil {
						t.Errorf("who came before got %+v and %+v", a, b)
					}
				}
				wantHas(t, f, map[int]bool{1: true, 2: false, 3: true})
				if a := <-after; a.err != nil || a.results[0].Value != 4 || a.results[1].Value != b.results[2].Value {
					t.Errorf("who came after got %+v", a)
				}
				wantHas(t, f, map[int]bool{1: true, 2: true, 3: true})
				if r, err := f.GetMany(t.Context(), []int{2}); err != nil || r[0].Value != 4 {
					t.Errorf("stored is %v, %v", r, err)
				}
			})
		})
	}
}

func TestSetDuringGetMany(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		many := askMany(t.Context(), f, []int{1, 2})
		if err := f.Set(t.Context(), 2, 77); err != nil {
			t.Error(err)
		}
		wantMany(t, "after", askMany(t.Context(), f, []int{2}), 0, "77 store")
		if b := <-many; b.results[1].Value > 2 {
			t.Errorf("before: %+v", b)
		}
		wantMany(t, "stored", askMany(t.Context(), f, []int{2}), 0, "77 store")
	})
}

func TestClearDuringGetMany(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		var c counting
		fn, o := l.options(memo.FuncOptions[int, int]{}, c.load)
		f := wrap(t, newMemo(t, s, nil), "f", fn, o)
		many := askMany(t.Context(), f, []int{1, 2})
		if err := f.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		after := askMany(t.Context(), f, []int{1, 2})
		if b := <-many; b.err != nil || b.results[0].Value+b.results[1].Value != 3 {
			t.Errorf("before: %+v", b)
		}
		if b := <-after; b.err != nil || b.results[0].Value+b.results[1].Value != 7 || b.at != time.Second {
			t.Errorf("after: %+v", b)
		}
		if r, _ := f.GetMany(t.Context(), []int{1, 2}); r[0].Value+r[1].Value != 7 {
			t.Errorf("stored: %+v", r)
		}
	})
}

// Those who come after InvalidateTags do not take what is being loaded, also
// where that is not to be stored, and load together what they need.
func TestInvalidateTagsBeforeGetMany(t *testing.T) {
	for _, call := range []memo.Call{{}, {NoStore: true}} {
		bothWays(t, func(t *testing.T, s store.Store, l *loader) {
			var c counting
			fn, o := l.options(memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"t"} }}, c.load)
			m := newMemo(t, s, nil)
			f := wrap(t, m, "f", fn, o)
			before := askMany(t.Context(), f, []int{1, 2}, call)
			time.Sleep(time.Second / 2)
			mustInvalidate(t, m, "t")
			after := askMany(t.Context(), f, []int{1, 2})
			single := ask(t.Context(), f, 1)
			if b := <-before; b.results[0].Value+b.results[1].Value != 3 {
				t.Errorf("before: %+v", b)
			}
			b := <-after
			if b.err != nil || b.results[0].Value+b.results[1].Value != 7 {
				t.Errorf("after: %+v", b)
			}
			if a := <-single; a.value < 3 {
				t.Errorf("single: %+v", a)
			}
			if n := l.batches.Load(); l.together && n != 2 {
				t.Errorf("FillMany was called %d times, want 2", n)
			}
		})
	}
}

func TestDeleteMany(t *testing.T) {
	for _, s := range []store.Store{newLiveStore(), storetest.Bare(newLiveStore()), newManyStore()} {
		synctest.Test(t, func(t *testing.T) {
			var c counting
			recorder := storetest.NewRecorder(s)
			f := wrap(t, newMemo(t, recorder, nil), "f", c.load, nil)
			for k := range 4 {
				get(t, f, k)
			}
			recorder.Reset()
			if err := f.DeleteMany(t.Context(), nil); err != nil || len(recorder.Calls()) != 0 {
				t.Errorf("of nothing: %v, %v", err, recorder.Calls())
			}
			if err := f.DeleteMany(t.Context(), []int{3, 1, 3, 99}); err != nil {
				t.Error(err)
			}
			if calls := recorder.Calls(); len(calls) != 1 || calls[0].Op != "deletemany" || len(calls[0].Keys) != 3 {
				t.Errorf("the store was asked %v", calls)
			}
			wantHas(t, f, map[int]bool{0: true, 1: false, 2: true, 3: false})
		})
	}
}

func TestDeleteManyFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		refused := errors.New("refused")
		var seen events
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if c.Op == "deletemany" {
				return refused
			}
			return nil
		}, nil)
		m := newMemo(t, faulty, &memo.Options{Trace: seen.trace()})
		calls := 0
		f := wrap(t, m, "f", func(_ context.Context, k float64) (float64, error) {
			calls++
			return k, nil
		}, nil)
		get(t, f, 1)
		if err := f.DeleteMany(t.Context(), []float64{1, 2}); !errors.Is(err, refused) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the store fails: %v", err)
		}
		seen.want(t, 1, 1, 0, 0)
		nan := 0.0
		nan /= nan
		var noKey *memo.KeyError
		if err := f.DeleteMany(t.Context(), []float64{1, nan}); !errors.As(err, &noKey) {
			t.Errorf("no key: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.DeleteMany(ended, []float64{1}); !errors.Is(err, context.Canceled) {
			t.Errorf("ended: %v", err)
		}
		if get(t, f, 1); calls != 1 {
			t.Error("it was deleted")
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := f.DeleteMany(t.Context(), nil); !errors.Is(err, memo.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// Fills that are under way end before the store is asked to delete.
func TestDeleteManyDuringFill(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		recorder := storetest.NewRecorder(takes(s, time.Minute, "set", "setlive", "setmany"))
		f := wrap(t, newMemo(t, recorder, nil), "f", fn, o)
		many := askMany(t.Context(), f, []int{1, 2, 3})
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.DeleteMany(ctx, []int{1, 2}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("DeleteMany: %v", err)
		}
		if recorder.Count("deletemany") != 0 {
			t.Error("the store was asked although the fill had not ended")
		}
		if err := f.DeleteMany(t.Context(), []int{1, 2}); err != nil {
			t.Error(err)
		}
		if b := <-many; b.err != nil || b.results[0].Value != 10 {
			t.Errorf("before: %+v", b)
		}
		wantHas(t, f, map[int]bool{1: false, 2: false, 3: true})
	})
}

// Random readers of many, writers and delays everywhere: after DeleteMany has
// returned, no GetMany answers what was read before.
func TestGetManyStress(t *testing.T) {
	for seed := range uint64(10) {
		bothWays(t, func(t *testing.T, s store.Store, l *loader) {
			pause := newChance(seed).pause
			slow := storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
				pause()
				err := next(ctx)
				pause()
				return err
			})
			const keys = 4
			var mu sync.Mutex
			var data, floor [keys]int // the source, and what no answer may be older than
			fn, o := l.options(memo.FuncOptions[int, int]{}, func(_ context.Context, k int) (int, error) {
				pause()
				mu.Lock()
				v := data[k]
				mu.Unlock()
				pause()
				return v, nil
			})
			f := wrap(t, newMemo(t, slow, nil), "f", fn, o)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					ks := []int{i, (i + 1) % keys, (i + 2) % keys}
					for range 20 {
						mu.Lock()
						least := floor
						mu.Unlock()
						results, err := f.GetMany(t.Context(), ks)
						if err != nil {
							t.Error(err)
							return
						}
						for i, k := range ks {
							if v := results[i].Value; v < least[k] {
								t.Errorf("got %d of %d after DeleteMany of all before %d had returned", v, k, least[k])
							}
						}
						pause()
					}
				})
			}
			for i := range 2 {
				wg.Go(func() {
					ks := []int{2 * i, 2*i + 1}
					for n := range 10 {
						mu.Lock()
						for _, k := range ks {
							data[k] = n + 1
						}
						mu.Unlock()
						pause()
						if err := f.DeleteMany(t.Context(), slices.Clone(ks)); err != nil {
							t.Error(err)
						}
						mu.Lock()
						for _, k := range ks {
							floor[k] = n + 1
						}
						mu.Unlock()
						pause()
					}
				})
			}
			wg.Wait()
		})
	}
}
