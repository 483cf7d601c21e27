package memo_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// The methods of functions of none, two and three arguments are those of the
// function of one that stands for all.
func TestMethodsOfSeveralArguments(t *testing.T) {
	type (
		two   = memo.Args2[int, string]
		three = memo.Args3[int, string, bool]
	)
	for _, n := range []int{0, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			r := storetest.NewRecorder(storetest.Bare(newLiveStore()))
			policy := memo.Policy{TTL: time.Minute, Stale: time.Hour}
			m := newMemo(t, r, nil)
			// The twin is a function of one argument, in a Memo of its own.
			twins := newMemo(t, r, nil)
			var f any
			var k []any
			var twin interface {
				Stats() memo.Stats
				Clear(context.Context) error
			}
			var key string
			var err error
			switch n {
			case 0:
				f, err = memo.Wrap0(m, "f", func(context.Context) (int, error) { return 5, nil }, &memo.FuncOptions[memo.Args0, int]{Policy: policy})
				g := wrap(t, twins, "f", func(context.Context, memo.Args0) (int, error) { return 5, nil }, nil)
				key, twin = theKeyOf(t, g, memo.Args0{}), g
			case 2:
				f, err = memo.Wrap2(m, "f", func(_ context.Context, a int, b string) (int, error) { return a + len(b), nil }, &memo.FuncOptions[two, int]{Policy: policy})
				g := wrap(t, twins, "f", func(context.Context, two) (int, error) { return 5, nil }, nil)
				k, key, twin = []any{2, "abc"}, theKeyOf(t, g, two{2, "abc"}), g
			case 3:
				f, err = memo.Wrap3(m, "f", func(_ context.Context, a int, b string, _ bool) (int, error) { return a + len(b), nil }, &memo.FuncOptions[three, int]{Policy: policy})
				g := wrap(t, twins, "f", func(context.Context, three) (int, error) { return 5, nil }, nil)
				k, key, twin = []any{2, "abc", true}, theKeyOf(t, g, three{2, "abc", true}), g
			}
			must(t, err)
			must(t, twin.Clear(t.Context())) // the generation is there
			time.Sleep(time.Second)

			method := func(name string, context bool, more ...any) []reflect.Value {
				t.Helper()
				var in []reflect.Value
				if context {
					in = append(in, reflect.ValueOf(t.Context()))
				}
				for _, a := range append(append([]any{}, k...), more...) {
					in = append(in, reflect.ValueOf(a))
				}
				out := reflect.ValueOf(f).MethodByName(name).Call(in)
				if err, ok := out[len(out)-1].Interface().(error); ok && err != nil {
					t.Errorf("Func%d.%s: %v", n, name, err)
				}
				return out
			}
			if got := method("Key", false)[0].String(); got != key {
				t.Errorf("Func%d.Key: %s, want %s", n, got, key)
			}
			if got := method("Get", true)[0].Int(); got != 5 {
				t.Errorf("Func%d.Get: %d", n, got)
			}
			lookup := func(value int, source memo.Source) {
				t.Helper()
				if got := method("Lookup", true, memo.Call{})[0].Interface().(memo.Result[int]); got.Value != value || got.Source != source {
					t.Errorf("Func%d.Lookup: %+v, want %d from %v", n, got, value, source)
				}
			}
			lookup(5, memo.SourceStore)
			method("Set", true, 50, memo.Call{})
			lookup(50, memo.SourceStore)
			time.Sleep(30 * time.Second)
			method("Touch", true)
			if left := method("TTL", true)[0].Interface(); left != time.Hour+time.Minute {
				t.Errorf("Func%d.Touch and TTL: %v", n, left)
			}
			method("TouchAt", true, time.Now().Add(time.Second))
			if meta := method("Meta", true)[0].Interface().(memo.Meta); time.Until(meta.FreshUntil) != time.Second || meta.TTL != time.Hour+time.Second {
				t.Errorf("Func%d.TouchAt and Meta: %+v", n, meta)
			}
			method("Expire", true)
			if meta := method("Meta", true)[0].Interface().(memo.Meta); !meta.FreshUntil.Equal(time.Now()) {
				t.Errorf("Func%d.Expire: %+v", n, meta)
			}
			if got := method("Refresh", true)[0].Int(); got != 5 {
				t.Errorf("Func%d.Refresh: %d", n, got)
			}
			r.Reset()
			if got := method("Original", true)[0].Int(); got != 5 || len(r.Calls()) != 0 {
				t.Errorf("Func%d.Original: %d, and it asked the store for %v", n, got, r.Calls())
			}
			has := func(want bool) {
				t.Helper()
				if got := method("Has", true)[0].Bool(); got != want {
					t.Errorf("Func%d.Has: %v, want %v", n, got, want)
				}
			}
			has(true)
			method("Delete", true)
			has(false)
			if n > 0 {
				many := reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(map[int]any{2: two{}, 3: three{}}[n])), 1, 1)
				for i, a := range k {
					many.Index(0).Field(i).Set(reflect.ValueOf(a))
				}
				all := k
				k = []any{many.Interface()}
				if got := method("GetMany", true)[0].Interface().([]memo.Result[int]); len(got) != 1 || got[0].Value != 5 {
					t.Errorf("Func%d.GetMany: %+v", n, got)
				}
				k = all
				has(true)
				k = []any{many.Interface()}
				method("DeleteMany", true)
				k = all
				has(false)
			}
			method("Get", true)
			k = nil
			method("Clear", true)
			stats := method("Stats", false)[0].Interface().(memo.Stats)
			if stats != m.Stats() || stats.Loads() == 0 {
				t.Errorf("Func%d.Stats: %+v, of all %+v", n, stats, m.Stats())
			}
			for i := range reflect.TypeOf(f).NumMethod() { // none is forgotten here
				switch name := reflect.TypeOf(f).Method(i).Name; name {
				case "Get", "Lookup", "Refresh", "Set", "Delete", "Expire", "Has", "TTL", "Touch", "TouchAt", "Meta", "Original", "Key", "Clear", "Stats", "GetMany", "DeleteMany":
				default:
					t.Errorf("Func%d.%s is not tested", n, name)
				}
			}
		})
	}
}

// Wrap0, Wrap2 and Wrap3 refuse what Wrap refuses.
func TestWrapOfSeveralArgumentsRefuses(t *testing.T) {
	m := newMemo(t, newLiveStore(), nil)
	_, nil0 := memo.Wrap0[int](m, "f", nil, nil)
	_, nil2 := memo.Wrap2[int, int, int](m, "f", nil, nil)
	_, nil3 := memo.Wrap3[int, int, int, int](m, "f", nil, nil)
	_, func2 := memo.Wrap2(m, "f", func(context.Context, int, func()) (int, error) { return 0, nil }, nil)
	_, chan3 := memo.Wrap3(m, "f", func(context.Context, int, string, chan int) (int, error) { return 0, nil }, nil)
	wrap(t, m, "taken", echo, nil)
	_, taken := memo.Wrap0(m, "taken", func(context.Context) (int, error) { return 0, nil }, nil)
	for want, err := range map[string]error{
		"the function is nil": nil0, " the function is nil": nil2, `"f": the function is nil`: nil3,
		"argument 2 of type func()": func2, "argument 3 of type chan int": chan3,
		"there is a function of this name in the Memo already": taken,
	} {
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalid with %q", err, want)
		}
	}
}

// An argument of which no key can be made is given to the function, each time,
// by whichever method; those that are about what is stored refuse it.
func TestArgumentsWithoutKeys(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	for what, k := range map[string]any{
		"a func": func() {}, "a channel": make(chan int), "NaN": math.NaN(), "a cycle": loop, "a context": t.Context(),
		"a func in a struct": struct{ F func() }{}, "NaN in a slice": []float64{1, math.NaN()},
	} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var seen events
			f := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "f", func(context.Context, any) (int, error) { return 7, nil }, nil)
			for range 2 {
				if v, err := f.Get(t.Context(), k); v != 7 || err != nil {
					t.Errorf("%s: %d, %v", what, v, err)
				}
			}
			if r, err := f.Lookup(t.Context(), k, memo.Call{Refresh: true}); r.Value != 7 || err != nil {
				t.Errorf("%s: %+v, %v", what, r, err)
			}
			if results, err := f.GetMany(t.Context(), []any{k, k}); err != nil || results[0].Value != 7 || results[1].Value != 7 {
				t.Errorf("%s: %+v, %v", what, results, err)
			}
			seen.want(t, 5, 0, 5, 0)
			_, meta := f.Meta(t.Context(), k)
			for _, err := range []error{
				f.Set(t.Context(), k, 1), f.Delete(t.Context(), k), f.DeleteMany(t.Context(), []any{1, k}), f.Expire(t.Context(), k),
				f.Touch(t.Context(), k), f.TouchAt(t.Context(), k, time.Now().Add(time.Hour)), meta,
			} {
				var refused *memo.KeyError
				if !errors.Is(err, store.ErrInvalid) || !errors.As(err, &refused) || refused.Func != "f" {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
