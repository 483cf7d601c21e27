package memo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// mustGet is memo.Get of a function that returns v.
func mustGet[V any](t *testing.T, m *memo.Memo, key string, v V, o *memo.GetOptions) V {
	t.Helper()
	got, err := memo.Get(t.Context(), m, key, func(context.Context) (V, error) { return v, nil }, o)
	if err != nil {
		t.Errorf("Get(%q): %v", key, err)
	}
	return got
}

// askKey is memo.Get in a goroutine of its own; it waits until that waits.
func askKey[V any](t *testing.T, m *memo.Memo, key string, o *memo.GetOptions, fn func(context.Context) (V, error)) <-chan answer[V] {
	c := make(chan answer[V], 1)
	start := time.Now()
	go func() {
		v, err := memo.Get(t.Context(), m, key, fn, o)
		c <- answer[V]{v, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

// later returns a function that returns v after a second.
func later[V any](v V) func(context.Context) (V, error) {
	return func(context.Context) (V, error) {
		time.Sleep(time.Second)
		return v, nil
	}
}

func TestGetOfKeys(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Namespace: "app"})
		keys := []string{"a", "A", " ", "\x00", "\n", "\xff", "#", "a#", "%", "a:b", "{a}", "ü", "\"", "#tag:#", strings.Repeat("x", 500), strings.Repeat("x", 501)}
		for i, key := range keys {
			mustGet(t, m, key, i, nil)
		}
		for i, key := range keys {
			if v := mustGet(t, m, key, -1, nil); v != i {
				t.Errorf("got %d for %q, want %d", v, key, i)
			}
		}
		if err := memo.Delete(t.Context(), m, "\x00", nil); err != nil {
			t.Error(err)
		}
		if v := mustGet(t, m, "\x00", -1, nil); v != -1 {
			t.Errorf("got %d, which was deleted", v)
		}
		if v := mustGet(t, m, " ", -1, nil); v != 2 {
			t.Errorf("got %d, which was not deleted", v)
		}
		if err := m.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		if v := mustGet(t, m, "a", -2, nil); v != -2 {
			t.Errorf("got %d, which was cleared", v)
		}
	})
}

func TestGetAndDeleteBadArguments(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		fn := func(context.Context) (int, error) { return 1, nil }
		var none context.Context
		_, noMemo := memo.Get(t.Context(), nil, "k", fn, nil)
		_, noKey := memo.Get(t.Context(), m, "", fn, nil)
		_, noFunc := memo.Get[int](t.Context(), m, "k", nil, nil)
		_, noContext := memo.Get(none, m, "k", fn, nil)
		_, noRegion := memo.Get(t.Context(), m, "k", fn, &memo.GetOptions{Region: "none"})
		_, badCall := memo.Get(t.Context(), m, "k", fn, &memo.GetOptions{Call: memo.Call{MaxAge: -1}})
		for text, err := range map[string]error{
			`memo: get "k": the Memo is nil`:                              noMemo,
			"memo: get: the key is empty":                                 noKey,
			`memo: get "k": the function is nil`:                          noFunc,
			`memo: get "k": the context is nil`:                           noContext,
			`memo: get "k": GetOptions.Region: there is no region "none"`: noRegion,
			"Call.MaxAge":                       badCall,
			`memo: delete "k": the Memo is nil`: memo.Delete(t.Context(), nil, "k", nil),
			"memo: delete: the key is empty":    memo.Delete(t.Context(), m, "", nil),
			`the context is nil; pass`:          memo.Delete(none, m, "k", nil),
			`memo: delete "k": GetOptions.Region: there is no region "none"; decla`: memo.Delete(t.Context(), m, "k", &memo.GetOptions{Region: "none"}),
		} {
			if !errors.Is(err, store.ErrInvalid) || !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("got %v, want ErrInvalid and %s", err, text)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := memo.Get(ended, m, "k", fn, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Get: %v", err)
		}
		if err := memo.Delete(ended, m, "k", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Delete: %v", err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := memo.Get(t.Context(), m, "k", fn, nil); !errors.Is(err, memo.ErrClosed) {
			t.Errorf("Get: %v", err)
		}
		if err := memo.Delete(t.Context(), m, "k", nil); !errors.Is(err, memo.ErrClosed) {
			t.Errorf("Delete: %v", err)
		}
	})
}

// Another V under a key is a miss, and never a part of the other.
func TestGetOfTwoTypes(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			type other struct{ Name, City string }
			var seen events
			m := newMemo(t, s, &memo.Options{Namespace: fmt.Sprint(shared), Trace: seen.trace()})
			o := &memo.GetOptions{Shared: shared}
			mustGet(t, m, "k", user{Name: "Ann"}, o)
			if v := mustGet(t, m, "k", other{"Bob", "Rome"}, o); v.Name != "Bob" {
				t.Errorf("got %+v", v)
			}
			if v := mustGet(t, m, "k", other{}, o); v.City != "Rome" {
				t.Errorf("got %+v", v)
			}
			if v := mustGet(t, m, "k", "text", o); v != "text" {
				t.Errorf("got %q", v)
			}
			if v := mustGet(t, m, "k", user{Name: "Cy"}, o); v.Name != "Cy" {
				t.Errorf("got %+v", v)
			}
			seen.want(t, 4, 0, 0, 3)
		}
	})
}

// Who shares and who does not have the same values under a key, and those who
// do not share get their own.
func TestGetSharedAndNot(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		shared := &memo.GetOptions{Shared: true}
		first := mustGet(t, m, "k", &user{Name: "Ann"}, shared)
		own := mustGet(t, m, "k", &user{}, nil)
		if own == first || own.Name != "Ann" {
			t.Errorf("not shared: got %+v", own)
		}
		own.Name = "spoilt"
		if v := mustGet(t, m, "k", &user{}, shared); v.Name != "Ann" {
			t.Errorf("shared: got %+v", v)
		}
	})
}

func TestGetShares(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		first := askKey(t, m, "k", nil, later(1))
		joined := askKey(t, m, "k", nil, later(2))
		other := askKey(t, m, "other", nil, later(3))
		wantAnswer(t, "first", first, 1, time.Second)
		wantAnswer(t, "joined", joined, 1, time.Second)
		wantAnswer(t, "another key", other, 3, time.Second)
	})
}

func TestGetErrors(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Namespace: "app"})
		_, err := memo.Get(t.Context(), m, "k", func(context.Context) (int, error) { return 7, io.ErrUnexpectedEOF }, nil)
		var e *memo.Error
		if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &e) || e.Op != "load" || e.Func != "memo.Get" || !strings.HasSuffix(e.Key, ":k") {
			t.Errorf("got %v", err)
		}
		if text := err.Error(); text != `memo: load "app::k": unexpected EOF` {
			t.Errorf("the error has the text %s", text)
		}
		if v := mustGet(t, m, "k", 1, nil); v != 1 {
			t.Errorf("got %d", v)
		}
	})
}

func TestGetNested(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		v, err := memo.Get(t.Context(), m, "outer", func(ctx context.Context) (string, error) {
			n, err := memo.Get(ctx, m, "inner", func(ctx context.Context) (int, error) {
				b, err := memo.Get(ctx, m, "innermost", func(context.Context) (bool, error) { return true, nil }, nil)
				return map[bool]int{true: 42}[b], err
			}, nil)
			return fmt.Sprint(n), err
		}, nil)
		if v != "42" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		_, err = memo.Get(t.Context(), m, "self", func(ctx context.Context) (int, error) {
			return memo.Get(ctx, m, "self", func(context.Context) (int, error) { return 1, nil }, nil)
		}, nil)
		var cycle *memo.CycleError
		if !errors.As(err, &cycle) {
			t.Errorf("of itself: %v", err)
		}
		// As another V it is another function.
		v, err = memo.Get(t.Context(), m, "key", func(ctx context.Context) (string, error) {
			n, err := memo.Get(ctx, m, "key", func(context.Context) (int, error) { return 1, nil }, nil)
			return fmt.Sprint("n", n), err
		}, nil)
		if v != "n1" || err != nil {
			t.Errorf("of itself as another V: %q, %v", v, err)
		}
	})
}

func TestGetRegions(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		own := newLiveStore()
		m := newMemo(t, s, &memo.Options{Namespace: "app", Regions: map[string]memo.Region{
			"short": {Policy: memo.Policy{TTL: time.Minute}},
			"named": {Namespace: "other"},
			"own":   {Store: own},
		}})
		in := func(region string) *memo.GetOptions { return &memo.GetOptions{Region: region} }
		mustGet(t, m, "k", 1, in("short"))
		mustGet(t, m, "k", 2, in("named"))
		mustGet(t, m, "k", 3, in("own"))
		if v := mustGet(t, m, "k", 4, nil); v != 1 { // the same namespace and store
			t.Errorf("got %d from the Memo", v)
		}
		if err := memo.Delete(t.Context(), m, "k", in("named")); err != nil {
			t.Error(err)
		}
		for region, want := range map[string]int{"short": 1, "named": 5, "own": 3} {
			if v := mustGet(t, m, "k", 5, in(region)); v != want {
				t.Errorf("got %d from %s, want %d", v, region, want)
			}
		}
		time.Sleep(time.Minute)
		for region, want := range map[string]int{"short": 6, "named": 5, "own": 3} {
			if v := mustGet(t, m, "k", 6, in(region)); v != want {
				t.Errorf("a minute later: got %d from %s, want %d", v, region, want)
			}
		}
	})
}

func TestGetCall(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		mustGet(t, m, "k", 1, &memo.GetOptions{Call: memo.Call{Policy: memo.Policy{TTL: time.Minute}, Tags: []string{"t"}}})
		if v := mustGet(t, m, "k", 2, &memo.GetOptions{Call: memo.Call{Refresh: true, Tags: []string{"t"}}}); v != 2 {
			t.Errorf("Refresh: got %d", v)
		}
		time.Sleep(time.Minute)
		if v := mustGet(t, m, "k", 3, &memo.GetOptions{Call: memo.Call{MaxAge: time.Minute}}); v != 2 {
			t.Errorf("got %d", v)
		}
		mustInvalidate(t, m, "t")
		if v := mustGet(t, m, "k", 4, nil); v != 4 {
			t.Errorf("invalidated: got %d", v)
		}
	})
}

// Delete is for whatever was loaded for the key: of another V, shared, and in a
// region that differs by its policy alone.
func TestDeleteDuringGet(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Regions: map[string]memo.Region{"short": {Policy: memo.Policy{TTL: time.Minute}}}})
		number := askKey(t, m, "number", nil, later(1))
		text := askKey(t, m, "text", nil, later("1"))
		shared := askKey(t, m, "shared", &memo.GetOptions{Shared: true}, later(1))
		short := askKey(t, m, "short", &memo.GetOptions{Region: "short"}, later(1))
		kept := askKey(t, m, "kept", nil, later(1))
		time.Sleep(time.Second / 2)
		for _, key := range []string{"number", "text", "shared", "short"} {
			if err := memo.Delete(t.Context(), m, key, nil); err != nil {
				t.Error(err)
			}
		}
		after := askKey(t, m, "number", nil, later(2))
		wantAnswer(t, "number", number, 1, time.Second)
		wantAnswer(t, "text", text, "1", time.Second)
		wantAnswer(t, "shared", shared, 1, time.Second)
		wantAnswer(t, "short", short, 1, time.Second)
		wantAnswer(t, "kept", kept, 1, time.Second)
		wantAnswer(t, "after", after, 2, time.Second)
		for key, want := range map[string]int{"number": 2, "shared": 9, "short": 9, "kept": 1} {
			if v := mustGet(t, m, key, 9, nil); v != want {
				t.Errorf("%s: got %d, want %d", key, v, want)
			}
		}
		if v := mustGet(t, m, "text", "9", nil); v != "9" {
			t.Errorf("text: got %q", v)
		}
	})
}

// Delete waits for fills that are under way, of whichever V.
func TestDeleteDuringFillOfGet(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, takes(s, time.Minute, "set", "setlive"), nil)
		text := askKey(t, m, "k", nil, later("old"))
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := memo.Delete(ctx, m, "k", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete: %v", err)
		}
		if err := memo.Delete(t.Context(), m, "k", nil); err != nil {
			t.Error(err)
		}
		wantAnswer(t, "before", text, "old", time.Minute+time.Second)
		if v := mustGet(t, m, "k", "new", nil); v != "new" {
			t.Errorf("got %q", v)
		}
	})
}

func TestDeleteFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		refused := errors.New("refused")
		var reported atomic.Int64
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if c.Op == "delete" {
				return refused
			}
			return nil
		}, nil)
		m := newMemo(t, faulty, &memo.Options{Trace: &memo.Trace{StoreError: func(context.Context, memo.StoreErrorInfo) { reported.Add(1) }}})
		mustGet(t, m, "k", 1, nil)
		if err := memo.Delete(t.Context(), m, "k", nil); !errors.Is(err, refused) || reported.Load() != 1 {
			t.Errorf("%v, reported %d times", err, reported.Load())
		}
		if v := mustGet(t, m, "k", 2, nil); v != 1 {
			t.Errorf("got %d", v)
		}
	})
}
