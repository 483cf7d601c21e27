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
