package memo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// ops are the methods that the store was asked for since the last time.
func ops(r *storetest.Recorder) string {
	var ops []string
	for _, c := range r.Calls() {
		ops = append(ops, c.Op)
	}
	r.Reset()
	slices.Sort(ops)
	return strings.Join(ops, " ")
}

// One round trip each way, one more for all tags, and one for the generation
// where that is not known from a moment ago.
func TestGetManyRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := storetest.NewRecorder(newManyStore())
		plain, o := (&loader{together: true}).options(memo.FuncOptions[int, int]{}, slow)
		m := newMemo(t, recorder, nil)
		f := wrap(t, m, "f", plain, o)
		o.Tags = func(k int) []string { return []string{"all", fmt.Sprint("mod", k%3)} }
		tagged := wrap(t, m, "tagged", plain, o)
		want := func(what, want string) {
			t.Helper()
			if got := ops(recorder); got != want {
				t.Errorf("%s: the store was asked %s, want %s", what, got, want)
			}
		}
		ks := upTo(100)
		for _, f := range []*memo.Func[int, int]{f, tagged} {
			get(t, f, 1000)
			<-askMany(t.Context(), f, []int{1000, 1001, 1002}) // all tags have versions now
		}
		time.Sleep(time.Second)
		<-askMany(t.Context(), f, []int{1000})
		recorder.Reset()
		<-askMany(t.Context(), f, ks)
		want("missing", "getmany setmany")
		<-askMany(t.Context(), f, []int{1000})
		recorder.Reset()
		<-askMany(t.Context(), f, ks)
		<-askMany(t.Context(), f, ks)
		want("found, twice", "getmany getmany")
		time.Sleep(time.Second)
		<-askMany(t.Context(), f, ks)
		want("a second later", "getmany getmany")

		<-askMany(t.Context(), tagged, []int{1000})
		recorder.Reset()
		<-askMany(t.Context(), tagged, ks)
		want("missing, with tags", "getmany getmany setmany")
		<-askMany(t.Context(), tagged, []int{1000})
		recorder.Reset()
		<-askMany(t.Context(), tagged, ks)
		want("found, with tags", "getmany getmany")
		first := askMany(t.Context(), tagged, []int{2001, 2002, 2003, 2004})
		joined := askMany(t.Context(), tagged, []int{2001, 2002, 2003, 2004})
		<-first
		<-joined
		want("joined, with tags", "getmany getmany getmany getmany setmany")
	})
}

func TestGetManyRemovesInOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := storetest.NewRecorder(newManyStore())
		gone := false
		fn, o := (&loader{together: true}).options(memo.FuncOptions[int, int]{}, nil)
		o.FillMany = func(_ context.Context, ks []int, put func(int, int)) error {
			for _, k := range ks {
				if !gone || k > 90 {
					put(k, k)
				}
			}
			return nil
		}
		f := wrap(t, newMemo(t, recorder, nil), "f", fn, o)
		<-askMany(t.Context(), f, upTo(100))
		gone = true
		recorder.Reset()
		<-askMany(t.Context(), f, upTo(100), memo.Call{Refresh: true})
		if got := ops(recorder); got != "deletemany getmany setmany" {
			t.Errorf("the store was asked %s", got)
		}
	})
}

func TestGetManyStoreDown(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		refused := errors.New("refused")
		down := false
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if down && !ofVersions(c) {
				return refused
			}
			return nil
		}, nil)
		var seen events
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		f := wrap(t, newMemo(t, faulty, &memo.Options{Trace: seen.trace()}), "f", fn, o)
		get(t, f, 1)
		down = true
		wantMany(t, "down", askMany(t.Context(), f, []int{1, 2, 3}), time.Second, "10 loaded", "20 loaded", "30 loaded")
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if len(seen.storeErrors) < 2 {
			t.Errorf("reported %v", seen.storeErrors)
		}
		for _, info := range seen.storeErrors {
			if !errors.Is(info.Err, refused) || info.Func != "f" {
				t.Errorf("reported %+v", info)
			}
		}
	})
}

// What cannot be read is loaded; what can is not.
func TestGetManyStorePartlyDown(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		refused := errors.New("refused")
		var bad string
		faulty := storetest.Bare(storetest.Faulty(s, func(c storetest.Call) error { // GetMany is Get for each
			if c.Key() == bad {
				return refused
			}
			return nil
		}, nil))
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		o.Shared = true
		m := newMemo(t, faulty, nil)
		f := wrap(t, m, "f", fn, o)
		bad = theKeyOf(t, f, 2)
		wantMany(t, "loaded", askMany(t.Context(), f, []int{1, 2, 3}), time.Second, "10 loaded", "20 loaded", "30 loaded")
		wantMany(t, "found", askMany(t.Context(), f, []int{1, 2, 3}), time.Second, "10 store", "20 loaded", "30 store")
		if stats := f.Stats(); l.together && stats.StoreErrors != 4 {
			t.Errorf("%d errors of the store, want one of each read and write", stats.StoreErrors)
		}
	})
}

func TestGetManyStrict(t *testing.T) {
	bothWays(t, func(t *testing.T, s store.Store, l *loader) {
		refused := errors.New("refused")
		var bad string
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if strings.HasPrefix(c.Op, bad) && !ofVersions(c) {
				return refused
			}
			return nil
		}, nil)
		fn, o := l.options(memo.FuncOptions[int, int]{}, slow)
		f := wrap(t, newMemo(t, faulty, &memo.Options{Strict: true}), "f", fn, o)
		bad = "get"
		if results, err := f.GetMany(t.Context(), []int{1, 2}); results != nil || !errors.Is(err, refused) {
			t.Errorf("reading fails: %v, %v", results, err)
		}
		if l.calls.Load() != 0 {
			t.Error("the function was called")
		}
		bad = "set"
		results, err := f.GetMany(t.Context(), []int{1, 2})
		if !errors.Is(err, refused) || len(results) != 2 {
			t.Fatalf("writing fails: %v, %v", results, err)
		}
		for i, r := range results {
			if r.Value != 10*(i+1) || !errors.Is(r.Err, refused) {
				t.Errorf("writing fails: %+v", r)
			}
		}
	})
}

// The bytes of what could not be written are not counted.
func TestGetManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := true
		faulty := storetest.Faulty(newManyStore(), func(c storetest.Call) error {
			if fails && c.Op == "setmany" {
				return errors.New("refused")
			}
			return nil
		}, nil)
		fn, o := (&loader{together: true}).options(memo.FuncOptions[int, int]{}, slow)
		f := wrap(t, newMemo(t, faulty, nil), "f", fn, o)
		<-askMany(t.Context(), f, []int{1, 2})
		if n := f.Stats().BytesWritten; n != 0 {
			t.Errorf("%d bytes written", n)
		}
		fails = false
		<-askMany(t.Context(), f, []int{1, 2})
		<-askMany(t.Context(), f, []int{1, 2})
		if stats := f.Stats(); stats.BytesWritten == 0 || stats.BytesWritten != stats.BytesRead {
			t.Errorf("%d bytes written and %d read", stats.BytesWritten, stats.BytesRead)
		}
	})
}
