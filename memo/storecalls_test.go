package memo_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

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
