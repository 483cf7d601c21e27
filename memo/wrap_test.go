package memo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

func echo(_ context.Context, k int) (int, error) { return k, nil }

func TestBadArguments(t *testing.T) {
	m := newMemo(t, newLiveStore(), nil)
	wrap(t, m, "taken", echo, nil)
	opts := func(o memo.FuncOptions[int, int]) *memo.FuncOptions[int, int] { return &o }
	newErr := func(s store.Store, o *memo.Options) error {
		_, err := memo.New(s, o)
		return err
	}
	wrapErr := func(m *memo.Memo, name string, fn func(context.Context, int) (int, error), o *memo.FuncOptions[int, int]) error {
		_, err := memo.Wrap(m, name, fn, o)
		return err
	}
	var noContext context.Context
	_, chanErr := memo.Wrap(m, "chan", func(context.Context, chan int) (int, error) { return 0, nil }, nil)
	for _, test := range []struct {
		err  error
		want string // in the text
	}{
		{newErr(nil, nil), "memo: new: the store is nil; make one"},
		{newErr(newLiveStore(), &memo.Options{Policy: memo.Policy{TTL: -time.Second}}), "memo: new: Options.Policy.TTL: -1s is negative; leave it zero"},
		{wrapErr(nil, "x", echo, nil), `memo: wrap "x": the Memo is nil; make one with memo.New`},
		{wrapErr(m, "", echo, nil), "memo: wrap: the name is empty; give"},
		{wrapErr(m, "x", nil, nil), `memo: wrap "x": the function is nil`},
		{wrapErr(m, "x", echo, opts(memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: -1}})), `memo: wrap "x": FuncOptions.Policy.TTL: -1ns is negative`},
		{wrapErr(m, "taken", echo, nil), `memo: wrap "taken": there is a function of this name in the Memo already; take another name`},
		{wrapErr(m, strings.Repeat("x", 2000), echo, nil), "shorten them"},
		{wrapErr(m, strings.Repeat("x", 2000), echo, opts(memo.FuncOptions[int, int]{KeyFunc: func(int) (string, error) { return "", nil }})), "shorten them"},
		{chanErr, `memo: wrap "chan": argument type chan int`},
		{m.Close(noContext), "memo: close: the context is nil; pass"},
	} {
		if !errors.Is(test.err, store.ErrInvalid) || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("got %v, want ErrInvalid with %q", test.err, test.want)
		}
	}
	wrap(t, m, "chan", echo, nil) // a name is not taken by a Wrap that failed
	wrap(t, newMemo(t, newLiveStore(), nil), "taken", echo, nil)
}

func TestMust(t *testing.T) {
	m := newMemo(t, newLiveStore(), nil)
	f := memo.Must(memo.Wrap(m, "echo", echo, nil))
	if v := get(t, f, 7); v != 7 {
		t.Errorf("got %v", v)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("panicked with %v", err)
		}
	}()
	memo.Must(memo.Wrap(m, "echo", echo, nil))
}

func TestTTLIsInherited(t *testing.T) {
	const none time.Duration = 0
	for _, test := range []struct {
		store, memo, fn, want time.Duration
	}{
		{none, none, none, store.Forever},
		{time.Hour, none, none, time.Hour},
		{time.Hour, time.Minute, none, time.Minute},
		{time.Hour, time.Minute, time.Second, time.Second},
		{time.Hour, memo.Off, none, store.Forever},
		{time.Hour, memo.Off, time.Second, time.Second},
		{time.Hour, time.Minute, memo.Off, store.Forever},
		{time.Hour, none, store.Forever, store.Forever},
		{none, none, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newLiveStore()
			s.ttl = test.store
			m := newMemo(t, s, &memo.Options{Policy: memo.Policy{TTL: test.memo}})
			f := wrap(t, m, "echo", echo, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: test.fn}})
			get(t, f, 1)
			if ttl, err := f.TTL(t.Context(), 1); ttl != test.want || err != nil {
				t.Errorf("%+v: got %v, %v", test, ttl, err)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	for _, test := range []struct {
		err  memo.Error
		want string
	}{
		{memo.Error{Op: "load", Func: "f", Key: "app:f:1", Err: memo.ErrClosed}, `memo: load "app:f:1": closed by Close`},
		{memo.Error{Op: "get", Func: "f", Err: memo.ErrClosed}, `memo: get "f": closed by Close`},
		{memo.Error{Op: "get", Func: "f", Key: strings.Repeat("k", 65), Err: memo.ErrClosed}, `memo: get "` + strings.Repeat("k", 64) + `"…: closed by Close`},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
