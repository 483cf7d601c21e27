package memo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// Whatever invalidates a value does so for each kind of load that is under way:
// nothing that was read before is answered to those who come later, nor from
// the store at any time.
func TestEachInvalidationBeatsEachFill(t *testing.T) {
	type fn = memo.Func[int, int64]
	const old, before, after, set = 10, 1, 2, 50
	stale := memo.Policy{TTL: time.Minute, Stale: time.Hour}
	with := func(change func(*memo.Policy)) memo.Policy {
		p := stale
		change(&p)
		return p
	}
	fills := map[string]struct {
		policy memo.Policy
		wait   time.Duration // since the value was stored that is to be replaced; 0 if there is none
		begin  func(context.Context, *fn)
	}{
		"foreground":   {stale, 0, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"background":   {stale, time.Minute, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"ahead":        {with(func(p *memo.Policy) { p.RefreshAhead = 0.5 }), 40 * time.Second, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"soft timeout": {with(func(p *memo.Policy) { p.SoftTimeout = time.Millisecond }), time.Minute, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"wait timeout": {with(func(p *memo.Policy) { p.WaitTimeout = time.Millisecond }), 0, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"late":         {with(func(p *memo.Policy) { p.LoadTimeout = time.Millisecond }), 0, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"StaleOK":      {stale, time.Second, func(ctx context.Context, f *fn) { f.Lookup(ctx, 7, memo.Call{StaleOK: true, MaxAge: 1}) }},
		"Refresh":      {stale, time.Second, func(ctx context.Context, f *fn) { f.Refresh(ctx, 7) }},
		"batch":        {stale, 0, func(ctx context.Context, f *fn) { f.GetMany(ctx, []int{6, 7}) }},
		"batch, stale": {stale, time.Minute, func(ctx context.Context, f *fn) { f.GetMany(ctx, []int{6, 7}) }},
	}
	invalidations := map[string]func(context.Context, *memo.Memo, *fn) error{
		"Delete":         func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Delete(ctx, 7) },
		"DeleteMany":     func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.DeleteMany(ctx, []int{7, 8}) },
		"Set":            func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Set(ctx, 7, set) },
		"Expire":         func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Expire(ctx, 7) },
		"Clear":          func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Clear(ctx) },
		"Memo.Clear":     func(ctx context.Context, m *memo.Memo, _ *fn) error { return m.Clear(ctx) },
		"InvalidateTags": func(ctx context.Context, m *memo.Memo, _ *fn) error { return m.InvalidateTags(ctx, "t") },
	}
	for fill, c := range fills {
		for what, invalidate := range invalidations {
			for i := range 4 {
				many, atOnce := i&1 == 0, i&2 == 0
				if many && !strings.HasPrefix(fill, "batch") {
					continue // FillMany is not called
				}
				onEachStore(t, func(t *testing.T, s store.Store) {
					var data atomic.Int64
					read := func(context.Context, int) (int64, error) {
						v := data.Load()
						time.Sleep(time.Second)
						return v, nil
					}
					o := &memo.FuncOptions[int, int64]{Policy: c.policy, Tags: func(int) []string { return []string{"t"} }}
					if many {
						o.FillMany = func(ctx context.Context, ks []int, put func(int, int64)) error {
							v, err := read(ctx, 0)
							for _, k := range ks {
								put(k, v)
							}
							return err
						}
					}
					m := newMemo(t, s, nil)
					f := wrap(t, m, "f", read, o)
					get(t, wrap(t, m, "other", echo, nil), 1) // the first load of all needs the store more often
					if c.wait > 0 {
						must(t, f.Set(t.Context(), 7, old))
						time.Sleep(c.wait)
					}
					data.Store(before)
					go c.begin(t.Context(), f)
					time.Sleep(time.Second / 2)
					data.Store(after)
					must(t, invalidate(t.Context(), m, f))
					if !atOnce {
						time.Sleep(time.Second) // until the load has ended, and no other has begun
					}
					for range 3 {
						r, err := f.Lookup(t.Context(), 7, memo.Call{StaleOK: true})
						if err != nil && !errors.Is(err, memo.ErrTimeout) || r.Value == before {
							t.Errorf("%s during %s (%v): %+v, %v", what, fill, many, r, err)
						}
						if r.Value == old && what != "Expire" {
							t.Errorf("%s during %s (%v): the value of before is still there", what, fill, many)
						}
						time.Sleep(2 * time.Second)
					}
				})
			}
		}
	}
}

// A store that takes long to store one value holds up no other key.
func TestSlowFillBlocksNoOtherKey(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		slow := storetest.Slow(s, func(c storetest.Call) time.Duration {
			if strings.HasPrefix(c.Op, "set") && strings.HasSuffix(c.Key(), ":0") {
				return time.Hour
			}
			return 0
		})
		f := wrap(t, newMemo(t, slow, nil), "f", echo, nil)
		filling := ask(t.Context(), f, 0)
		start := time.Now()
		for k := range 500 {
			get(t, f, k+1)
			mustDelete(t, f, k+1)
		}
		if since := time.Since(start); since != 0 {
			t.Errorf("other keys took %v", since)
		}
		wantAnswer(t, "slow", filling, 0, time.Hour)
	})
}

// A function may change what is stored for the key that it is loading. That
// does not wait for itself, and the load is void.
func TestLoadChangesItsOwnKey(t *testing.T) {
	for what, change := range map[string]func(context.Context, *memo.Memo, *memo.Func[int, int]) error{
		"Delete": func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Delete(ctx, 7) },
		"DeleteMany": func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error {
			return f.DeleteMany(ctx, []int{7})
		},
		"Set":    func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Set(ctx, 7, 50) },
		"Expire": func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Expire(ctx, 7) },
		"Clear":  func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Clear(ctx) },
		"InvalidateTags": func(ctx context.Context, m *memo.Memo, _ *memo.Func[int, int]) error {
			return m.InvalidateTags(ctx, "t")
		},
	} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			m := newMemo(t, s, nil)
			var f *memo.Func[int, int]
			calls := 0
			f = wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
				if calls++; calls > 1 {
					return calls, nil
				}
				return calls, change(ctx, m, f)
			}, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"t"} }})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if v, err := f.Get(ctx, 7); v != 1 || err != nil {
				t.Errorf("%s: %d, %v", what, v, err)
			}
			want := 2
			if what == "Set" {
				want = 50
			}
			if v := get(t, f, 7); v != want {
				t.Errorf("%s: then %d, want %d", what, v, want)
			}
		})
	}
}

// Who comes after InvalidateTags in the same process does not take what is
// being loaded since before, also if the store does not tell any more which
// versions the tags have.
func TestJoinAfterInvalidateTagsWithoutStore(t *testing.T) {
	for _, many := range []bool{false, true} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var fo failsOn
			var data source
			m := newMemo(t, fo.over(s), nil)
			f := wrap(t, m, "f", data.read, &memo.FuncOptions[int, int64]{Tags: func(int) []string { return []string{"t"} }})
			data.set(1)
			get(t, f, 8)
			first := ask(t.Context(), f, 7)
			time.Sleep(900 * time.Millisecond)
			mustInvalidate(t, m, "t")
			data.set(2)
			fo.set(about("#tag:t"))
			if many {
				results, err := f.GetMany(t.Context(), []int{7})
				if err != nil || results[0].Value != 2 {
					t.Errorf("GetMany: %+v, %v, want 2", results, err)
				}
			} else if v := get(t, f, 7); v != 2 {
				t.Errorf("got %d, which was read before InvalidateTags was called", v)
			}
			wantAnswer(t, "who came before", first, 1, time.Second)
		})
	}
}

// Over a store that cannot compare and swap, Touch and Expire read an entry and
// write it back. What is changed by others of the process waits meanwhile, so
// that it is not lost.
func TestChangesDuringRewrite(t *testing.T) {
	rewrites := map[string]func(context.Context, *memo.Func[int, int]) error{
		"Touch": func(ctx context.Context, f *memo.Func[int, int]) error { return f.Touch(ctx, 7) },
		"TouchAt": func(ctx context.Context, f *memo.Func[int, int]) error {
			return f.TouchAt(ctx, 7, time.Now().Add(time.Hour))
		},
		"Expire": func(ctx context.Context, f *memo.Func[int, int]) error { return f.Expire(ctx, 7) },
	}
	changes := map[string]func(context.Context, *memo.Func[int, int]) error{
		"Set":        func(ctx context.Context, f *memo.Func[int, int]) error { return f.Set(ctx, 7, 50) },
		"Delete":     func(ctx context.Context, f *memo.Func[int, int]) error { return f.Delete(ctx, 7) },
		"DeleteMany": func(ctx context.Context, f *memo.Func[int, int]) error { return f.DeleteMany(ctx, []int{7}) },
	}
	for rewrite, begin := range rewrites {
		for what, change := range changes {
			onEachStore(t, func(t *testing.T, s store.Store) {
				slow := takes(storetest.Bare(s), -time.Second, "get")
				f := wrap(t, newMemo(t, slow, nil), "f", echo, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
				must(t, f.Set(t.Context(), 7, 10))
				ended := make(chan error)
				go func() { ended <- begin(t.Context(), f) }()
				if rewrite != "Expire" { // they first try to compare and swap
					time.Sleep(time.Second)
				}
				time.Sleep(time.Second / 2) // it has read the entry and not written it
				must(t, change(t.Context(), f))
				must(t, <-ended)
				r, err := f.Lookup(t.Context(), 7)
				if want := map[bool]int{true: 50, false: 7}[what == "Set"]; r.Value != want || err != nil {
					t.Errorf("%s during %s: %+v, %v, want %d", what, rewrite, r, err, want)
				}
			})
		}
	}
}

// recorded returns what do asks of the store, without the values.
func recorded(t *testing.T, r *storetest.Recorder, do func() error) string {
	t.Helper()
	r.Reset()
	if err := do(); err != nil {
		t.Error(err)
	}
	var b strings.Builder
	for _, c := range r.Calls() {
		fmt.Fprintln(&b, c.Op, c.Keys)
	}
	return b.String()
}

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

// Original neither reads nor stores, and is neither shared nor counted.
func TestOriginal(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		r := storetest.NewRecorder(s)
		m := newMemo(t, r, &memo.Options{Trace: seen.trace()})
		var calls atomic.Int64
		f := wrap(t, m, "f", func(_ context.Context, k int) (int64, error) {
			time.Sleep(time.Second)
			return calls.Add(1), failsBelowZero(k)
		}, nil)
		for range 3 {
			go f.Original(t.Context(), 7)
		}
		if _, err := f.Original(t.Context(), -1); err != errOrigin { // as it is, without the key
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if n := len(r.Calls()); n != 0 || calls.Load() != 4 || m.Stats() != (memo.Stats{}) {
			t.Errorf("%d calls of the store, %d of the function, %+v", n, calls.Load(), m.Stats())
		}
		seen.want(t, 0, 0, 0, 0)
	})
}

func failsBelowZero(k int) error {
	if k < 0 {
		return errOrigin
	}
	return nil
}

// Clear is one write, however many entries there are.
func TestClearIsOneWrite(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		r := storetest.NewRecorder(s)
		f := wrap(t, newMemo(t, r, nil), "f", echo, nil)
		for k := range 500 {
			get(t, f, k)
		}
		if got, want := recorded(t, r, func() error { return f.Clear(t.Context()) }), "set ["+generationKey("", "f")+"]\n"; got != want {
			t.Errorf("Clear asks for %s, want %s", got, want)
		}
	})
}

// The versions of all tags of an entry are read at once.
func TestTagsOfAHitAreReadAtOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		r := storetest.NewRecorder(s)
		f := wrap(t, newMemo(t, r, nil), "f", echo, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"a", "b", "c"} }})
		get(t, f, 7)
		get(t, f, 7)
		r.Reset()
		get(t, f, 7)
		if calls := r.Calls(); len(calls) != 2 || calls[1].Op != "getmany" || len(calls[1].Keys) != 3 {
			t.Errorf("%v, want a read of the entry and one of three tags", calls)
		}
	})
}

// To ask whether there is a value, and what is known about it, counts as
// nothing: neither a hit nor a miss nor a load.
func TestAskingIsNotCounted(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", echo, nil)
		get(t, f, 7)
		before := f.Stats()
		for _, k := range []int{7, 8} {
			_, _ = f.Has(t.Context(), k)
			_, _ = f.TTL(t.Context(), k)
			_, _ = f.Meta(t.Context(), k)
			_, _ = f.Key(k)
		}
		if after := f.Stats(); after != before {
			t.Errorf("%+v, before %+v", after, before)
		}
	})
}

// Each thing that can happen is counted where it belongs, by function and in
// all; counting can be paused, also for functions to come, and begun anew.
func TestStatsOfAMemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var absent, panics bool
		m := newMemo(t, storetest.Bare(newLiveStore()), &memo.Options{Trace: &memo.Trace{LoadStart: func(context.Context, memo.LoadStartInfo) {
			if panics {
				panic("hook")
			}
		}}})
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			if absent {
				return 0, store.ErrNotFound
			}
			return k, failsBelowZero(k)
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, Absent: time.Minute}})
		first := f.Stats()
		var want memo.Stats
		check := func(what string) {
			t.Helper()
			synctest.Wait()
			got := f.Stats()
			got.BytesRead, got.BytesWritten, got.LoadTime = 0, 0, 0
			if got != want {
				t.Errorf("after %s: %+v, want %+v", what, got, want)
			}
			if m.FuncStats()["f"] != f.Stats() {
				t.Errorf("after %s: by name %+v", what, m.FuncStats())
			}
		}
		a, b := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
		<-a
		<-b
		want.Misses, want.Shared, want.Loaded = 1, 1, 1
		check("a load that is shared")
		get(t, f, 7)
		want.StoreHits++
		check("a hit")
		time.Sleep(time.Minute)
		get(t, f, 7)
		want.StaleHits++
		want.Refreshes++
		check("a stale hit")
		time.Sleep(2 * time.Second)
		want.Loaded++
		check("the refresh")
		_, _ = f.Get(t.Context(), -1)
		want.Misses++
		want.LoadErrors++
		check("an error")
		absent = true
		_, _ = f.Get(t.Context(), 9)
		_, _ = f.Get(t.Context(), 9)
		absent = false
		want.Misses++
		want.Absent++
		want.NegativeHits++
		check("an absence")
		voided := ask(t.Context(), f, 10)
		mustDelete(t, f, 10)
		<-voided
		want.Misses++
		want.Loaded++
		want.Voided++
		check("a Delete during a load")
		panics = true
		get(t, f, 11)
		panics = false
		want.Misses++
		want.Loaded++
		check("a hook that panicked")
		if all := m.Stats(); all.HookPanics != 1 || all.LoadTime != f.Stats().LoadTime || all.LoadTime != 6*time.Second || all.BytesWritten == 0 || all.BytesRead == 0 {
			t.Errorf("all: %+v", all)
		}

		before := m.Stats()
		m.PauseStats()
		later := wrap(t, m, "later", echo, nil)
		count := func(context.Context) (int, error) { return 1, nil }
		for range 2 {
			get(t, f, 7)
			get(t, later, 7)
			if _, err := memo.Get(t.Context(), m, "k", count, nil); err != nil {
				t.Error(err)
			}
		}
		if got := m.Stats(); got != before {
			t.Errorf("paused: %+v, before %+v", got, before)
		}
		m.ResumeStats()
		get(t, later, 7)
		if _, err := memo.Get(t.Context(), m, "k", count, nil); err != nil {
			t.Error(err)
		}
		if got := m.Stats(); got.StoreHits != before.StoreHits+2 || m.FuncStats()["later"].StoreHits != 1 || len(m.FuncStats()) != 2 {
			t.Errorf("resumed: %+v, %+v", got, m.FuncStats())
		}
		m.ResetStats()
		if m.Stats() != (memo.Stats{}) || f.Stats() != first || later.Stats() != first {
			t.Errorf("reset: %+v", m.Stats())
		}
		get(t, f, 7)
		if m.Stats().Requests() != 1 {
			t.Errorf("after the reset: %+v", m.Stats())
		}
	})
}

// What is stated wrongly is refused where it is stated, with the name of the
// field.
func TestBadOptions(t *testing.T) {
	region := func(r memo.Region) *memo.Options { return &memo.Options{Regions: map[string]memo.Region{"r": r}} }
	fn := func(p memo.Policy) error {
		_, err := memo.Wrap(newMemo(t, newLiveStore(), nil), "f", echo, policy(p))
		return err
	}
	of := func(o *memo.Options) error {
		_, err := memo.New(newLiveStore(), o)
		return err
	}
	_, badCompression := memo.Wrap(newMemo(t, newLiveStore(), nil), "f", echo, &memo.FuncOptions[int, int]{Compression: &memo.Compression{MaxSize: -1}})
	for want, err := range map[string]error{
		`Options.Regions["r"].Parent: there is no region "none"`:             of(region(memo.Region{Parent: "none"})),
		`Options.Regions["r"].Parent: the region is its own parent`:          of(region(memo.Region{Parent: "r"})),
		`Options.Regions["r"].Policy.Jitter: 1.5 is not a fraction`:          of(region(memo.Region{Policy: memo.Policy{Jitter: 1.5}})),
		"Options.Policy.RefreshAhead: 1 is not a fraction":                   of(&memo.Options{Policy: memo.Policy{RefreshAhead: 1}}),
		"Options.Policy.Stale: -1s is negative":                              of(&memo.Options{Policy: memo.Policy{Stale: -time.Second}}),
		"Options.Compression.Above: -1 is negative":                          of(&memo.Options{Compression: &memo.Compression{Above: -1}}),
		"namespace, name and version make":                                   of(&memo.Options{Namespace: strings.Repeat("n", 2000)}),
		"FuncOptions.Policy.Jitter: -0.1 is not a fraction":                  fn(memo.Policy{Jitter: -0.1}),
		"FuncOptions.Policy.RefreshAhead: NaN is not a fraction":             fn(memo.Policy{RefreshAhead: math.NaN()}),
		"FuncOptions.Policy.EarlyRefresh: +Inf is not a finite number":       fn(memo.Policy{EarlyRefresh: math.Inf(1)}),
		"FuncOptions.Policy.Absent: -1ns is negative":                        fn(memo.Policy{Absent: -1}),
		"Policy.Stale: 1h0m0s without a TTL":                                 fn(memo.Policy{Stale: time.Hour}),
		"Policy.RefreshAhead: 0.5 without a TTL":                             fn(memo.Policy{RefreshAhead: 0.5}),
		"FuncOptions.Compression.MaxSize: -1 is negative; leave it zero for": badCompression,
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

// brittle is a codec that does what its value says.
type brittle struct{ decodes *atomic.Bool }

func (brittle) Append(b []byte, v string) ([]byte, error) {
	switch v {
	case "error":
		return nil, errOrigin
	case "panic":
		panic(errOrigin)
	}
	return append(b, v...), nil
}

func (c brittle) Decode(b []byte) (string, error) {
	if !c.decodes.Load() {
		panic("at decoding")
	}
	return string(b), nil
}

// A codec that fails or panics withholds no value: what cannot be encoded is
// not stored, what cannot be decoded is loaded anew, and Set, which can do no
// more, says so. This holds with values shared, compressed, and of a batch.
func TestCodecThatFails(t *testing.T) {
	for _, compression := range []*memo.Compression{nil, {With: compress.S2(), Above: 1}} {
		for _, o := range []memo.FuncOptions[string, string]{
			{},
			{Shared: true},
			{Shared: true, FillMany: func(_ context.Context, ks []string, put func(string, string)) error {
				for _, k := range ks {
					put(k, k)
				}
				return nil
			}},
		} {
			onEachStore(t, func(t *testing.T, s store.Store) {
				if o.Shared && store.Supports[store.LiveStore](s) {
					return // such a value needs no codec
				}
				var decodes atomic.Bool
				decodes.Store(true)
				own := o
				own.Codec, own.Compression = brittle{&decodes}, compression
				f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k string) (string, error) { return k, nil }, &own)
				errs := uint64(0)
				for _, k := range []string{"error", "panic"} {
					for range 2 {
						if v := get(t, f, k); v != k {
							t.Errorf("got %q", v)
						}
						if results, err := f.GetMany(t.Context(), []string{k, "good"}); err != nil || results[0].Value != k || results[1].Value != "good" {
							t.Errorf("%+v, %v", results, err)
						}
						errs += 2
					}
					if err := f.Set(t.Context(), "x", k); !o.Shared && (!errors.Is(err, store.ErrInvalid) || !errors.Is(err, errOrigin) || !strings.Contains(err.Error(), "encode")) || err == nil {
						t.Errorf("Set of %s: %v", k, err)
					}
					errs++
					if has, err := f.Has(t.Context(), "x"); has || err != nil {
						t.Errorf("Has: %v, %v", has, err)
					}
				}
				if n := f.Stats().EncodeErrors; !o.Shared && n != errs || n == 0 {
					t.Errorf("%d errors of encoding, want %d", n, errs)
				}
				decodes.Store(false)
				if v := get(t, f, "good"); v != "good" || f.Stats().DecodeErrors == 0 {
					t.Errorf("got %q, %+v", v, f.Stats())
				}
			})
		}
	}
}

// A function has the compression that it states, else that of the Memo; what is
// compressed and cannot be decompressed is loaded anew.
func TestCompressionIsInherited(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		calls := 0
		text := func(context.Context, int) (string, error) {
			calls++
			return strings.Repeat("text ", 1000), nil
		}
		m := newMemo(t, s, &memo.Options{Compression: &memo.Compression{With: compress.S2()}})
		for name, c := range map[string]struct {
			o     *memo.FuncOptions[int, string]
			small bool
		}{
			"inherits": {nil, true},
			"none":     {&memo.FuncOptions[int, string]{Compression: &memo.Compression{}}, false},
			"above":    {&memo.FuncOptions[int, string]{Compression: &memo.Compression{With: compress.S2(), Above: 1 << 20}}, false},
		} {
			f := wrap(t, m, name, text, c.o)
			want := get(t, f, 7)
			if meta, err := f.Meta(t.Context(), 7); err != nil || (meta.Size < len(want)/2) != c.small {
				t.Errorf("%s: %d bytes, %v", name, meta.Size, err)
			}
			if got := get(t, f, 7); got != want {
				t.Errorf("%s: it has come back as %d bytes", name, len(got))
			}
		}
		calls = 0
		var seen events
		without := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "inherits", text, nil)
		for range 2 {
			get(t, without, 7)
		}
		if calls != 1 {
			t.Errorf("%d calls, want one as the entry is compressed", calls)
		}
		seen.want(t, 1, 0, 0, 1)
	})
}

// A value that comes with an error is dropped, whichever error and whichever
// method.
func TestValueAndError(t *testing.T) {
	for _, failure := range []error{errOrigin, store.ErrNotFound, memo.ErrNotModified} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			f := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (string, error) { return "dropped", failure },
				&memo.FuncOptions[int, string]{Policy: memo.Policy{Absent: time.Minute}})
			for range 2 {
				v, err := f.Get(t.Context(), 7)
				r, err2 := f.Lookup(t.Context(), 7)
				many, _ := f.GetMany(t.Context(), []int{7})
				w, err3 := f.Refresh(t.Context(), 7)
				if v+r.Value+many[0].Value+w != "" || !errors.Is(err, failure) || !errors.Is(err2, failure) || !errors.Is(many[0].Err, failure) || !errors.Is(err3, failure) {
					t.Errorf("%v: %q, %v; %+v, %v; %+v; %q, %v", failure, v, err, r, err2, many, w, err3)
				}
			}
		})
	}
}

// What is known about loads that failed does not grow for ever, and no pause is
// forgotten before its time.
func TestPausesOfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 3000
		var calls atomic.Int64
		var down atomic.Bool
		f := wrap(t, newMemo(t, newLiveStore(), nil), "f", func(_ context.Context, k int) (int, error) {
			calls.Add(1)
			if down.Load() {
				return 0, errOrigin
			}
			return k, nil
		}, policy(memo.Policy{TTL: time.Second, Stale: time.Hour, Retry: time.Minute}))
		for k := range keys {
			get(t, f, k)
		}
		time.Sleep(time.Second)
		down.Store(true)
		calls.Store(0)
		for range 3 {
			for k := range keys {
				get(t, f, k)
				synctest.Wait()
			}
		}
		if n := calls.Load(); n != keys {
			t.Errorf("%d loads of %d keys in their pauses, want one each", n, keys)
		}
		for round := range 3 { // those whose pause is over make room
			time.Sleep(time.Hour / 10)
			calls.Store(0)
			for k := range keys {
				get(t, f, k)
				synctest.Wait()
				get(t, f, k)
			}
			if n := calls.Load(); n != keys {
				t.Errorf("round %d: %d loads of %d keys", round, n, keys)
			}
		}
	})
}

// A value that looks like something else, such as an entry, a generation or the
// text of an absence, is what it is, whatever the codec.
func TestValuesThatLookLikeEntries(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		plain := wrap(t, m, "plain", func(context.Context, int) ([]byte, error) { return []byte("x"), nil }, &memo.FuncOptions[int, []byte]{Codec: memo.Bytes()})
		get(t, plain, 7)
		entry, err := s.Get(t.Context(), theKeyOf(t, plain, 7))
		must(t, err)
		absent := bytes.Clone(entry)
		absent[3] |= 1 // says that there is no such thing
		for i, want := range [][]byte{entry, absent, nil, {}, {0}, []byte("null"), []byte(store.ErrNotFound.Error()), []byte("\xca\x17")} {
			calls := 0
			f := wrap(t, m, strconv.Itoa(i), func(context.Context, int) ([]byte, error) {
				calls++
				return want, nil
			}, &memo.FuncOptions[int, []byte]{Codec: memo.Bytes(), Policy: memo.Policy{Absent: time.Hour}})
			for range 3 {
				if got := get(t, f, 7); !reflect.DeepEqual(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if has, err := f.Has(t.Context(), 7); !has || err != nil || calls != 1 {
				t.Errorf("%q: Has %v, %v, %d calls", want, has, err, calls)
			}
		}
	})
}
