package memo_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// file is what a function reads, and what its etag is made of.
type file struct {
	etag    atomic.Pointer[string]
	err     error // of the etag
	readErr error
	reads   atomic.Int64
}

func (fi *file) read(context.Context, int) (int64, error) {
	n := fi.reads.Add(1)
	return n, fi.readErr
}

func (fi *file) tag(context.Context, int) (string, error) {
	if fi.err != nil {
		return "ignored", fi.err
	}
	return *fi.etag.Load(), nil
}

func TestETag(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			fi := new(file)
			m := newMemo(t, s, &memo.Options{Namespace: map[bool]string{true: "shared"}[shared]})
			f := wrap(t, m, "f", fi.read, &memo.FuncOptions[int, int64]{ETag: fi.tag, Shared: shared})
			for i, etag := range []string{"", "a", "", "A", "a ", "\x00"} {
				fi.etag.Store(&etag)
				for range 3 {
					r, err := f.Lookup(t.Context(), 7)
					if r.Value != int64(i+1) || r.ETag != etag || err != nil {
						t.Errorf("%q: %+v, %v, want %d", etag, r, err, i+1)
					}
				}
				if meta, err := f.Meta(t.Context(), 7); err != nil || meta.ETag == nil || *meta.ETag != etag {
					t.Errorf("%q: %+v, %v", etag, meta, err)
				}
			}
		}
	})
}

func TestETagOfACall(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		fi := new(file)
		f := wrap(t, newMemo(t, s, nil), "f", fi.read, nil)
		want := func(what string, etag *string, value int64) {
			t.Helper()
			if r, err := f.Lookup(t.Context(), 7, memo.Call{ETag: etag}); r.Value != value || err != nil {
				t.Errorf("%s: %+v, %v, want %d", what, r, err, value)
			}
		}
		want("first", nil, 1)
		want("none never reloads", nil, 1)
		want("the first etag reloads what was stored without", new(""), 2)
		want("the same", new(""), 2)
		want("none never reloads", nil, 2)
		want("another", new("a"), 3)
		if v := get(t, f, 7); v != 3 {
			t.Errorf("none never reloads: %d", v)
		}
		if err := f.Set(t.Context(), 7, 50, memo.Call{ETag: new("b")}); err != nil {
			t.Error(err)
		}
		want("set", new("b"), 50)
		want("set", new("a"), 4)
		if err := f.Set(t.Context(), 7, 60); err != nil {
			t.Error(err)
		}
		want("set without", nil, 60)
		want("set without", new("a"), 5)
		want("stored with an etag, refreshed without", new("a"), 5)
		if _, err := f.Refresh(t.Context(), 7); err != nil {
			t.Error(err)
		}
		want("stored with an etag, refreshed without", new("a"), 7)
		key := theKeyOf(t, f, 7)
		g := wrap(t, newMemo(t, s, nil), "f", fi.read, &memo.FuncOptions[int, int64]{ETag: func(context.Context, int) (string, error) {
			t.Error("ETag was asked although the call has one")
			return "", nil
		}})
		if theKeyOf(t, g, 7) != key {
			t.Fatal("the keys differ")
		}
		if r, err := g.Lookup(t.Context(), 7, memo.Call{ETag: new("a")}); r.Value != 7 || err != nil {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// The etag is made before the store is asked: if the file changes while it is
// read, it is read again.
func TestETagIsMadeBefore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		recorder := storetest.NewRecorder(s)
		fi := new(file)
		asked := 0
		fi.etag.Store(new("1"))
		f := wrap(t, newMemo(t, recorder, nil), "f", func(ctx context.Context, k int) (int64, error) {
			v, err := fi.read(ctx, k)
			fi.etag.Store(new("2"))
			return v, err
		}, &memo.FuncOptions[int, int64]{ETag: func(ctx context.Context, k int) (string, error) {
			if asked++; asked == 1 && len(recorder.Calls()) != 0 {
				t.Errorf("the store was asked before: %v", recorder.Calls())
			}
			return fi.tag(ctx, k)
		}})
		for i, want := range []int64{1, 2, 2} {
			if v := get(t, f, 7); v != want {
				t.Errorf("call %d: got %d, want %d", i, v, want)
			}
		}
	})
}

// A value with another etag is answered if the load fails and Stale allows.
func TestETagFallsBack(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		down := errors.New("down")
		for _, stale := range []time.Duration{0, time.Hour} {
			fi := new(file)
			fi.etag.Store(new("1"))
			m := newMemo(t, s, &memo.Options{Namespace: stale.String()})
			f := wrap(t, m, "f", fi.read, &memo.FuncOptions[int, int64]{ETag: fi.tag, Policy: memo.Policy{TTL: time.Hour, Stale: stale}})
			get(t, f, 7)
			fi.etag.Store(new("2"))
			fi.readErr = down
			r, err := f.Lookup(t.Context(), 7)
			switch {
			case stale == 0 && !errors.Is(err, down):
				t.Errorf("%+v, %v, want the error of the load", r, err)
			case stale > 0 && (r.Value != 1 || r.Source != memo.SourceStale || !errors.Is(r.Err, down) || err != nil):
				t.Errorf("%+v, %v, want the old value", r, err)
			}
			fi.readErr = nil
			time.Sleep(2 * time.Second) // Retry
			if r, err := f.Lookup(t.Context(), 7); r.Value != 3 || r.Source != memo.SourceLoaded || err != nil {
				t.Errorf("%+v, %v, want the new value", r, err)
			}
		}
	})
}

// Without an etag that can be made, the call goes on as if there were none.
func TestETagFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var told []memo.ETagErrorInfo
		m := newMemo(t, s, &memo.Options{Trace: &memo.Trace{ETagError: func(_ context.Context, info memo.ETagErrorInfo) { told = append(told, info) }}})
		fi := &file{err: errors.New("no such file")}
		f := wrap(t, m, "f", fi.read, &memo.FuncOptions[int, int64]{ETag: fi.tag})
		for range 2 {
			if v := get(t, f, 7); v != 1 {
				t.Errorf("got %d", v)
			}
		}
		if len(told) != 2 || told[0].Func != "f" || !errors.Is(told[0].Err, fi.err) {
			t.Errorf("told %+v", told)
		}
		if meta, err := f.Meta(t.Context(), 7); err != nil || meta.ETag != nil {
			t.Errorf("%+v, %v", meta, err)
		}
		broken := fi.err
		fi.err = nil
		fi.etag.Store(new("1"))
		if v := get(t, f, 7); v != 2 {
			t.Errorf("got %d, want a load for the first etag", v)
		}
		fi.err = broken
		if v := get(t, f, 7); v != 2 {
			t.Errorf("got %d", v)
		}
	})
}

// A caller with another etag than the load under way does not take what that
// brings: it may have been read before the etag was made.
func TestJoinWithAnotherETag(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var db source
		db.set(1)
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", db.read, nil)
		lookup := func(etag *string) <-chan answer[int64] {
			c := make(chan answer[int64], 1)
			start := time.Now()
			go func() {
				r, err := f.Lookup(t.Context(), 7, memo.Call{ETag: etag})
				c <- answer[int64]{r.Value, err, time.Since(start)}
			}()
			synctest.Wait()
			return c
		}
		first, same, none := lookup(new("1")), lookup(new("1")), lookup(nil)
		time.Sleep(time.Second / 2)
		db.set(2)
		var others []<-chan answer[int64]
		for range 10 {
			others = append(others, lookup(new("2")), lookup(new("3")))
		}
		wantAnswer(t, "first", first, 1, time.Second)
		wantAnswer(t, "the same", same, 1, time.Second)
		wantAnswer(t, "without", none, 1, time.Second)
		for _, c := range others {
			if a := <-c; a.value != 2 || a.err != nil {
				t.Errorf("another: %+v", a)
			}
		}
		if n := m.Stats().Loads(); n > 3 {
			t.Errorf("%d loads, want one for the first etag and at most one for each other", n)
		}
	})
}

func TestSetETag(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		fi := new(file)
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int64, error) {
			memo.SetETag(ctx, "before")
			memo.SetETag(ctx, "said")
			return fi.read(ctx, k)
		}, nil)
		for i, c := range []struct {
			etag  *string
			value int64
		}{{nil, 1}, {nil, 1}, {new("said"), 1}, {new("other"), 2}, {new("said"), 2}, {new("other"), 3}} {
			r, err := f.Lookup(t.Context(), 7, memo.Call{ETag: c.etag})
			if r.Value != c.value || r.ETag != "said" || err != nil {
				t.Errorf("call %d: %+v, %v, want %d", i, r, err, c.value)
			}
		}
	})
}
