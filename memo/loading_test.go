package memo_test

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// says makes a function that says something about each value that it loads,
// and returns how often it was called.
func says(say func(context.Context)) func(context.Context, int) (int, error) {
	calls := 0
	return func(ctx context.Context, _ int) (int, error) {
		say(ctx)
		calls++
		return calls, nil
	}
}

func TestSetTTL(t *testing.T) {
	for _, policy := range []memo.Policy{{}, {TTL: time.Minute}, {TTL: memo.Off}, {TTL: time.Minute, Stale: time.Hour}} {
		for _, ttl := range []time.Duration{time.Second, time.Minute, time.Hour, memo.Off, math.MaxInt64, 0, -1, -time.Hour} {
			onEachStore(t, func(t *testing.T, s store.Store) {
				f := wrap(t, newMemo(t, s, nil), "f", says(func(ctx context.Context) { memo.SetTTL(ctx, ttl) }), &memo.FuncOptions[int, int]{Policy: policy})
				r, err := f.Lookup(t.Context(), 7)
				if r.Value != 1 || r.Source != memo.SourceLoaded || err != nil {
					t.Fatalf("%+v, %v", r, err)
				}
				forever := ttl == memo.Off || ttl == math.MaxInt64
				if want := max(ttl, 0); !forever && r.TTL != want {
					t.Errorf("%v over %v: fresh for %v", ttl, policy, r.TTL)
				}
				left, err := f.TTL(t.Context(), 7)
				switch {
				case !forever && ttl <= 0:
					if err != store.ErrNotFound {
						t.Errorf("%v over %v: stored for %v, %v", ttl, policy, left, err)
					}
					return
				case forever:
					if left != store.Forever || err != nil {
						t.Errorf("%v over %v: stored for %v, %v", ttl, policy, left, err)
					}
					time.Sleep(1000 * time.Hour)
					if v := get(t, f, 7); v != 1 {
						t.Errorf("%v over %v: loaded again", ttl, policy)
					}
					return
				case left != ttl+policy.Stale || err != nil:
					t.Errorf("%v over %v: stored for %v, %v", ttl, policy, left, err)
				}
				time.Sleep(ttl - 1)
				if r, err := f.Lookup(t.Context(), 7); r.Value != 1 || r.TTL != 1 || err != nil || r.Source == memo.SourceStale {
					t.Errorf("%v over %v: %+v, %v at the end", ttl, policy, r, err)
				}
				time.Sleep(time.Nanosecond)
				if r, _ := f.Lookup(t.Context(), 7); (r.Source == memo.SourceStale) != (policy.Stale > 0) || r.Value == 1 && policy.Stale == 0 {
					t.Errorf("%v over %v: %+v after the end", ttl, policy, r)
				}
			})
		}
	}
}

func TestSetStale(t *testing.T) {
	for _, policy := range []time.Duration{0, time.Hour} {
		for _, stale := range []time.Duration{time.Second, 2 * time.Hour, math.MaxInt64, 0, -1, memo.Off} {
			onEachStore(t, func(t *testing.T, s store.Store) {
				m, other := newMemo(t, s, nil), newMemo(t, s, nil)
				o := &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: policy}}
				f := wrap(t, m, "f", says(func(ctx context.Context) { memo.SetStale(ctx, stale) }), o)
				g := wrap(t, other, "f", func(context.Context, int) (int, error) { return 0, errQuota }, o)
				get(t, f, 7)
				want := max(stale, 0)
				left, err := f.TTL(t.Context(), 7)
				if err != nil || stale == math.MaxInt64 && left != store.Forever || stale != math.MaxInt64 && left != time.Minute+want {
					t.Errorf("%v over %v: stored for %v, %v", stale, policy, left, err)
				}
				time.Sleep(time.Minute)
				if want > 0 {
					if want != math.MaxInt64 {
						time.Sleep(want - 1)
					}
					if r, err := g.Lookup(t.Context(), 7); r.Value != 1 || r.Source != memo.SourceStale || err != nil {
						t.Errorf("%v over %v: %+v, %v at the end", stale, policy, r, err)
					}
					synctest.Wait()
					time.Sleep(time.Nanosecond)
				}
				if want == math.MaxInt64 {
					return
				}
				if r, err := g.Lookup(t.Context(), 7); !errors.Is(err, errQuota) {
					t.Errorf("%v over %v: %+v, %v after the end", stale, policy, r, err)
				}
			})
		}
	}
}

// What shall not be stale is none for a caller with another etag, either.
func TestSetStaleAndETag(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		fl := new(failing)
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int, error) {
			memo.SetStale(ctx, 0)
			return fl.read(ctx, k)
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour}})
		get(t, f, 7)
		fl.err = errQuota
		if r, err := f.Lookup(t.Context(), 7, memo.Call{ETag: new("x")}); !errors.Is(err, errQuota) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestNoStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", says(memo.NoStore), nil)
		for i := range 3 {
			if v := get(t, f, 7); v != i+1 {
				t.Errorf("got %d", v)
			}
			if has, err := f.Has(t.Context(), 7); has || err != nil {
				t.Errorf("Has: %v, %v", has, err)
			}
		}
		if err := f.Set(t.Context(), 7, 50); err != nil {
			t.Error(err)
		}
		if v, err := f.Refresh(t.Context(), 7); v != 4 || err != nil {
			t.Errorf("Refresh: %d, %v", v, err)
		}
		if v := get(t, f, 7); v != 5 {
			t.Errorf("got %d, want a new value: what was stored is older", v)
		}
		g := wrap(t, newMemo(t, s, nil), "g", says(func(context.Context) {}), nil)
		if r, err := g.Lookup(t.Context(), 7, memo.Call{NoStore: true}); r.Value != 1 || err != nil {
			t.Errorf("%+v, %v", r, err)
		}
		if v := get(t, g, 7); v != 2 {
			t.Errorf("got %d", v)
		}
		if r, err := g.Lookup(t.Context(), 7, memo.Call{NoStore: true}); r.Value != 2 || err != nil {
			t.Errorf("%+v, %v, want what is stored", r, err)
		}
	})
}

// sayEverything calls all that a function may call, and reports whether any of
// it had an effect that it could see.
func sayEverything(ctx context.Context) bool {
	memo.SetTTL(ctx, time.Nanosecond)
	memo.SetStale(ctx, time.Nanosecond)
	memo.SetETag(ctx, "said")
	memo.NoStore(ctx)
	memo.Tag(ctx, "said")
	_, _, ok := memo.Previous[int](ctx)
	return ok
}

// Outside of a load, and after the function has returned, nothing happens.
func TestSayingOutsideOfALoad(t *testing.T) {
	if sayEverything(t.Context()) {
		t.Error("there is a previous value of nothing")
	}
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		var left atomic.Value // the context of the load
		started, stop := make(chan struct{}), make(chan struct{})
		f := wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
			left.Store(ctx)
			go func() {
				<-started
				for {
					select {
					case <-stop:
						return
					default:
						if sayEverything(ctx) {
							t.Error("Previous answers after the function has returned")
						}
						time.Sleep(time.Nanosecond)
					}
				}
			}()
			return k, nil
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute}, Codec: slowCodec{started, new(atomic.Int64)}})
		if err := f.Set(t.Context(), 7, 7); err != nil {
			t.Error(err)
		}
		if v, err := f.Refresh(t.Context(), 7); v != 7 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		close(stop)
		time.Sleep(time.Microsecond)
		meta, err := f.Meta(t.Context(), 7)
		if err != nil || meta.ETag != nil || len(meta.Tags) != 0 || meta.TTL < time.Minute-time.Second || !meta.StaleUntil.IsZero() {
			t.Errorf("%+v, %v", meta, err)
		}
		if sayEverything(left.Load().(context.Context)) {
			t.Error("Previous answers after the load has ended")
		}
	})
}

// slowCodec lets those go who want to disturb, and gives them time: when it
// encodes for the second time, which is after the function has returned.
type slowCodec struct {
	started chan struct{}
	calls   *atomic.Int64
}

func (c slowCodec) Append(b []byte, v int) ([]byte, error) {
	if c.calls.Add(1) == 2 {
		close(c.started)
	}
	time.Sleep(time.Microsecond)
	return strconv.AppendInt(b, int64(v), 10), nil
}

func (slowCodec) Decode(b []byte) (int, error) { return strconv.Atoi(string(b)) }

// What a function says is about what it loads itself, whichever memoized
// functions it calls, and however those come to be called.
func TestSayingInNestedFunctions(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Verify: true})
		loud := wrap(t, m, "loud", func(ctx context.Context, _ int) (int, error) {
			sayEverything(ctx)
			return 1, nil
		}, nil)
		set := wrap(t, m, "set", func(ctx context.Context, _ int) (int, error) {
			memo.SetTTL(ctx, time.Hour)
			memo.SetETag(ctx, "inner")
			return 1, nil
		}, nil)
		keyless := wrap(t, m, "keyless", func(ctx context.Context, _ float64) (int, error) {
			sayEverything(ctx)
			return 1, nil
		}, nil)
		batch := wrap(t, m, "batch", echo, &memo.FuncOptions[int, int]{FillMany: func(ctx context.Context, ks []int, put func(int, int)) error {
			if sayEverything(ctx) {
				t.Error("FillMany has a previous value")
			}
			for _, k := range ks {
				put(k, k)
			}
			return nil
		}})
		outer := wrap(t, m, "outer", func(ctx context.Context, k int) (int, error) {
			memo.SetTTL(ctx, time.Minute)
			memo.SetETag(ctx, "outer")
			memo.Tag(ctx, "outer")
			for range 2 {
				_, err := loud.Get(ctx, k)
				_, err2 := set.Get(ctx, k) // the second is a hit, which is verified
				_, err3 := keyless.Get(ctx, math.NaN())
				_, err4 := batch.GetMany(ctx, []int{1, 2, k})
				if err := errors.Join(err, err2, err3, err4); err != nil {
					return 0, err
				}
			}
			return k, nil
		}, nil)
		get(t, outer, 7)
		meta, err := outer.Meta(t.Context(), 7)
		if err != nil || meta.TTL != time.Minute || *meta.ETag != "outer" || len(meta.Tags) != 1 || meta.Tags[0] != "outer" {
			t.Errorf("outer: %+v, %v", meta, err)
		}
		meta, err = set.Meta(t.Context(), 7)
		if err != nil || meta.TTL != time.Hour || *meta.ETag != "inner" || len(meta.Tags) != 0 {
			t.Errorf("set: %+v, %v", meta, err)
		}
	})
}

// What FillMany says is about all values of the batch.
func TestSayingInFillMany(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", echo, &memo.FuncOptions[int, int]{FillMany: func(ctx context.Context, ks []int, put func(int, int)) error {
			memo.SetTTL(ctx, time.Minute)
			memo.SetETag(ctx, "e")
			memo.Tag(ctx, "t")
			for _, k := range ks {
				put(k, k)
			}
			return nil
		}})
		if _, err := f.GetMany(t.Context(), []int{1, 2}); err != nil {
			t.Error(err)
		}
		for k := 1; k <= 2; k++ {
			meta, err := f.Meta(t.Context(), k)
			if err != nil || meta.TTL != time.Minute || meta.ETag == nil || *meta.ETag != "e" || len(meta.Tags) != 1 {
				t.Errorf("%d: %+v, %v", k, meta, err)
			}
		}
		mustInvalidate(t, m, "t")
		if has, err := f.Has(t.Context(), 1); has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
	})
}

// versioned is a source with a version, and a function that asks it for what
// is newer than what it has.
type versioned struct {
	version, full, checks int
	duration              time.Duration
	say                   func(context.Context)
}

func (v *versioned) read(ctx context.Context, _ int) (int, error) {
	if v.say != nil {
		v.say(ctx)
	}
	previous, _, ok := memo.Previous[int](ctx)
	if time.Sleep(v.duration); ok && previous == v.version {
		v.checks++
		return -1, memo.ErrNotModified
	}
	v.full++
	memo.Tag(ctx, "t")
	memo.SetETag(ctx, strconv.Itoa(v.version))
	return v.version, nil
}

func TestErrNotModified(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			src := &versioned{version: 1}
			m := newMemo(t, s, &memo.Options{Namespace: strconv.FormatBool(shared)})
			f := wrap(t, m, "f", src.read, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour}, Shared: shared})
			get(t, f, 7)
			for i := range 5 {
				time.Sleep(time.Minute)
				if v := get(t, f, 7); v != 1 {
					t.Errorf("stale: got %d", v)
				}
				synctest.Wait()
				r, err := f.Lookup(t.Context(), 7)
				if r.Value != 1 || r.Source == memo.SourceStale || r.TTL != time.Minute || r.Age != 0 || r.ETag != "1" || err != nil || src.checks != i+1 || src.full != 1 {
					t.Errorf("renewed: %+v, %v after %d checks and %d loads", r, err, src.checks, src.full)
				}
			}
			if r, err := f.Lookup(t.Context(), 7, memo.Call{Refresh: true, ETag: new("mine")}); r.Value != 1 || r.Source != memo.SourceLoaded || r.ETag != "mine" || err != nil {
				t.Errorf("foreground: %+v, %v", r, err)
			}
			src.version = 2
			if v, err := f.Refresh(t.Context(), 7); v != 2 || err != nil {
				t.Errorf("modified: %d, %v", v, err)
			}
			src.checks = 0
			if _, err := f.Refresh(t.Context(), 7); err != nil || src.checks != 1 {
				t.Errorf("%v after %d checks", err, src.checks)
			}
			mustInvalidate(t, m, "t") // the tags of the value that was kept
			src.full = 0
			if get(t, f, 7); src.full != 1 {
				t.Error("the tag was lost when the value was kept")
			}
			if st := m.Stats(); st.LoadErrors != 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}

// The function cannot spoil what it says is not modified.
func TestErrNotModifiedAfterChangingPrevious(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, _ int) ([]int, error) {
			if v, _, ok := memo.Previous[[]int](ctx); ok {
				v[0] = 100
				return nil, memo.ErrNotModified
			}
			return []int{1}, nil
		}, nil)
		get(t, f, 7)
		if v, err := f.Refresh(t.Context(), 7); len(v) != 1 || v[0] != 1 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		if v := get(t, f, 7); v[0] != 1 {
			t.Errorf("%v is stored", v)
		}
	})
}

func TestErrNotModifiedWithoutPrevious(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for i, store := range []func(f *memo.Func[int, int]) error{
			func(*memo.Func[int, int]) error { return nil },
			func(f *memo.Func[int, int]) error {
				return errors.Join(f.Set(t.Context(), 7, 1), f.Delete(t.Context(), 7))
			},
			func(f *memo.Func[int, int]) error { return errors.Join(f.Set(t.Context(), 7, 1), f.Clear(t.Context())) },
		} {
			f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, _ int) (int, error) {
				if _, _, ok := memo.Previous[int](ctx); ok {
					t.Errorf("%d: there is a previous value", i)
				}
				return 0, memo.ErrNotModified
			}, nil)
			if err := store(f); err != nil {
				t.Error(err)
			}
			for range 2 {
				if _, err := f.Get(t.Context(), 7); !errors.Is(err, memo.ErrNotModified) {
					t.Errorf("%d: %v", i, err)
				}
			}
		}
		batch := wrap(t, newMemo(t, s, nil), "f", echo, &memo.FuncOptions[int, int]{FillMany: func(context.Context, []int, func(int, int)) error {
			return memo.ErrNotModified
		}})
		if _, err := batch.GetMany(t.Context(), []int{7}); !errors.Is(err, memo.ErrNotModified) {
			t.Errorf("GetMany: %v", err)
		}
	})
}

// What happens to the value while the function finds out that it is not
// modified is not undone.
func TestErrNotModifiedIsOvertaken(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		src := &versioned{version: 1}
		f := wrap(t, m, "f", src.read, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour}})
		for what, c := range map[string]struct {
			do   func() error
			want int // what is stored then; 0 is nothing
		}{
			"Set":            {func() error { return f.Set(t.Context(), 7, 9) }, 9},
			"Delete":         {func() error { return f.Delete(t.Context(), 7) }, 0},
			"Clear":          {func() error { return f.Clear(t.Context()) }, 0},
			"InvalidateTags": {func() error { return m.InvalidateTags(t.Context(), "t") }, 0},
			"expiry":         {func() error { return nil }, 1},
		} {
			src.duration = 0
			if _, err := f.Refresh(t.Context(), 7); err != nil {
				t.Error(err)
			}
			mustDelete(t, f, 7)
			get(t, f, 7)
			time.Sleep(46 * time.Minute)
			src.duration = time.Hour / 2
			get(t, f, 7) // refreshes it
			synctest.Wait()
			end := time.Now().Add(src.duration)
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			time.Sleep(time.Until(end))
			src.duration = 0
			synctest.Wait()
			full := src.full
			has, err := f.Has(t.Context(), 7)
			switch {
			case err != nil:
				t.Error(err)
			case c.want == 0 && has:
				t.Errorf("%s: %d is stored", what, get(t, f, 7))
			case c.want != 0 && what != "Set" && (!has || get(t, f, 7) != c.want || src.full != full):
				t.Errorf("%s: not stored, want %d", what, c.want)
			case what == "Set" && (!has || get(t, f, 7) != 9):
				t.Error("what was Set is not stored")
			}
			synctest.Wait() // for what the last Get refreshes
		}
	})
}

func TestPrevious(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			m := newMemo(t, s, &memo.Options{Namespace: strconv.FormatBool(shared)})
			var previous int
			var meta memo.Meta
			var ok bool
			calls := 0
			f := wrap(t, m, "f", func(ctx context.Context, _ int) (int, error) {
				if _, _, ok := memo.Previous[string](ctx); ok {
					t.Error("a value of another type")
				}
				previous, meta, ok = memo.Previous[int](ctx)
				memo.Tag(ctx, "t")
				calls++
				return calls, nil
			}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour}, Shared: shared})
			want := func(what string, value int) {
				t.Helper()
				if previous != value || ok != (value != 0) {
					t.Errorf("%s: previous %d, %v, want %d", what, previous, ok, value)
				}
			}
			start := time.Now()
			get(t, f, 7)
			want("first", 0)
			time.Sleep(time.Minute)
			get(t, f, 7)
			synctest.Wait()
			want("stale", 1)
			if !meta.Created.Equal(start) || !meta.FreshUntil.Equal(start.Add(time.Minute)) || !meta.StaleUntil.Equal(start.Add(time.Hour+time.Minute)) ||
				len(meta.Tags) != 1 || meta.ETag != nil || meta.Size == 0 || meta.TTL != 0 || meta.Absent || meta.Failure {
				t.Errorf("meta %+v", meta)
			}
			if _, err := f.Lookup(t.Context(), 7, memo.Call{ETag: new("e")}); err != nil {
				t.Error(err)
			}
			want("another etag", 2)
			time.Sleep(time.Second)
			if _, err := f.Lookup(t.Context(), 7, memo.Call{MaxAge: time.Millisecond}); err != nil {
				t.Error(err)
			}
			want("too old", 3)
			if _, err := f.Refresh(t.Context(), 7); err != nil {
				t.Error(err)
			}
			want("refreshed", 4)
			mustDelete(t, f, 7)
			get(t, f, 7)
			want("deleted", 0)
			mustInvalidate(t, m, "t")
			get(t, f, 7)
			want("invalidated", 0)
			mustClear(t, f)
			get(t, f, 7)
			want("cleared", 0)
		}
	})
}
