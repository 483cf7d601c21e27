package memo_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

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
