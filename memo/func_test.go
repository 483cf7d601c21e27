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

type user struct {
	ID   int
	Name string
	Tags []string
}

func (u *user) spoil() {
	u.Name = "spoilt"
	for i := range u.Tags {
		u.Tags[i] = "spoilt"
	}
}

// counter returns a function that counts its calls.
func counter(calls *int) func(context.Context, int) (user, error) {
	return func(_ context.Context, id int) (user, error) {
		*calls++
		return user{id, "Ada", []string{"a", "b"}}, nil
	}
}

func TestFunc(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			var calls int
			m := newMemo(t, s, nil)
			users := wrap(t, m, "user", counter(&calls), &memo.FuncOptions[int, user]{
				Policy: memo.Policy{TTL: time.Minute}, Shared: shared,
			})
			want := user{42, "Ada", []string{"a", "b"}}
			has := func(want bool, ttl time.Duration) {
				t.Helper()
				if has, err := users.Has(t.Context(), 42); has != want || err != nil {
					t.Errorf("Has: %v, %v; want %v", has, err, want)
				}
				got, err := users.TTL(t.Context(), 42)
				if want && (got != ttl || err != nil) || !want && err != store.ErrNotFound {
					t.Errorf("TTL: %v, %v; want %v", got, err, ttl)
				}
			}
			has(false, 0)
			for range 3 {
				if got := get(t, users, 42); !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
			if calls != 1 {
				t.Errorf("%d calls, want 1", calls)
			}
			get(t, users, 43)
			time.Sleep(time.Second)
			has(true, 59*time.Second)
			if err := users.Delete(t.Context(), 42); err != nil {
				t.Errorf("Delete: %v", err)
			}
			has(false, 0)
			get(t, users, 42)
			if calls != 3 {
				t.Errorf("%d calls, want one for each key and one after Delete", calls)
			}
			time.Sleep(time.Minute - 1)
			has(true, 1)
			get(t, users, 42)
			time.Sleep(time.Nanosecond)
			has(false, 0)
			get(t, users, 42)
			if calls != 4 {
				t.Errorf("%d calls, want one more when the ttl has passed", calls)
			}
			for id := range 50 {
				if err := users.Delete(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// Get has the type of the function, and so may be wrapped in its turn.
func TestGetIsAFunction(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var calls int
		m := newMemo(t, s, nil)
		users := wrap(t, m, "user", counter(&calls), nil)
		names := wrap(t, m, "name", func(ctx context.Context, id int) (string, error) {
			u, err := users.Get(ctx, id)
			return u.Name, err
		}, nil)
		again := wrap(t, m, "again", users.Get, nil)
		get(t, names, 1)
		get(t, names, 1)
		get(t, again, 1)
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

func TestMethodsUseOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		recorder := storetest.NewRecorder(newLiveStore())
		m := newMemo(t, recorder, &memo.Options{Namespace: "app"})
		options := &memo.FuncOptions[int, user]{
			Version: "v3",
			KeyFunc: func(id int) (string, error) { return strings.Repeat("i", id), nil },
		}
		users := wrap(t, m, "user", counter(&calls), options)
		const want = "app:user@v3:iii"
		if key, err := users.Key(3); key != want || err != nil {
			t.Errorf("Key: %q, %v; want %q", key, err, want)
		}
		get(t, users, 3)
		_, _ = users.Has(t.Context(), 3)
		_, _ = users.TTL(t.Context(), 3)
		_ = users.Delete(t.Context(), 3)
		var ops []string
		for _, c := range recorder.Calls() {
			if ofVersions(c) {
				continue
			}
			ops = append(ops, c.Op)
			if c.Key() != want {
				t.Errorf("%s of %q, want %q", c.Op, c.Keys, want)
			}
		}
		if got, want := strings.Join(ops, " "), "getliveat setlive getwithttl getwithttl delete"; got != want {
			t.Errorf("the store was asked: %s; want: %s", got, want)
		}
	})
}

// What a caller does to its value changes neither the cache nor what others get.
func TestCallersOwnTheirValues(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		users := wrap(t, m, "user", func(_ context.Context, id int) (*user, error) {
			time.Sleep(time.Second)
			return &user{id, "Ada", []string{"a"}}, nil
		}, nil)
		got := make(chan *user)
		check := func() {
			u := <-got
			if u.Name != "Ada" || u.Tags[0] != "a" {
				t.Errorf("got %v, which another caller has changed", u)
			}
			u.spoil()
		}
		for range 5 { // one that calls the function, and others that wait for it
			go func() { got <- get(t, users, 1) }()
		}
		for range 5 {
			check()
		}
		for range 3 {
			go func() { got <- get(t, users, 1) }()
			check()
		}
	})
}

func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loaded := &user{ID: 1}
		m := newMemo(t, newLiveStore(), nil)
		users := wrap(t, m, "user", func(context.Context, int) (*user, error) {
			time.Sleep(time.Second)
			return loaded, nil
		}, &memo.FuncOptions[int, *user]{Shared: true})
		got := make(chan *user)
		for range 5 {
			go func() { got <- get(t, users, 1) }()
		}
		for range 5 {
			if u := <-got; u != loaded {
				t.Error("a copy, want the value that was loaded")
			}
		}
		if u := get(t, users, 1); u != loaded {
			t.Error("a copy from a store of live values")
		}
	})
}

// Over a live store that got bytes, such as those of another process, a shared
// value is decoded once.
func TestSharedIsDecodedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveStore()
		var calls int
		writer := wrap(t, newMemo(t, storetest.Bare(s), nil), "user", counter(&calls), nil)
		get(t, writer, 1)
		reader := wrap(t, newMemo(t, s, nil), "user", counter(&calls), &memo.FuncOptions[int, user]{Shared: true})
		a, b := get(t, reader, 1), get(t, reader, 1)
		if calls != 1 || &a.Tags[0] != &b.Tags[0] {
			t.Errorf("%d calls, same %v", calls, &a.Tags[0] == &b.Tags[0])
		}
	})
}

func TestNilAndEmptyAreValues(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		testValue(t, m, "pointer", (*user)(nil))
		testValue(t, m, "slice", []int(nil))
		testValue(t, m, "empty slice", []int{})
		testValue(t, m, "bytes", []byte(nil))
		testValue(t, m, "empty bytes", []byte{})
		testValue(t, m, "all bytes", []byte{0, 1, 0xff, '"'})
		testValue(t, m, "an entry", []byte("\xca\x17\x01\x00\x01"))
		testValue(t, m, "null", "null")
		testValue(t, m, "not found", store.ErrNotFound.Error())
		testValue(t, m, "map", map[string]int(nil))
		testValue(t, m, "string", "")
		testValue(t, m, "text", "<a>&\x00é")
		testValue(t, m, "struct", struct{}{})
		testValue(t, m, "any", any(nil))
		testValue(t, m, "int64", int64(math.MinInt64))
		testValue(t, m, "float", math.MaxFloat64)
		testValue(t, m, "time", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
		testValue(t, m, "pointer to pointer", new(new("x")))
	})
}

func testValue[V any](t *testing.T, m *memo.Memo, name string, want V) {
	t.Helper()
	for _, shared := range []bool{false, true} {
		calls := 0
		f := wrap(t, m, name+map[bool]string{true: " shared"}[shared], func(context.Context, int) (V, error) {
			calls++
			return want, nil
		}, &memo.FuncOptions[int, V]{Shared: shared})
		for range 3 {
			if got := get(t, f, 1); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %#v, want %#v", name, got, want)
			}
		}
		if calls != 1 {
			t.Errorf("%s: %d calls, want 1", name, calls)
		}
	}
}

func TestLoadError(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		failed := errors.New("failed")
		calls := 0
		m := newMemo(t, s, &memo.Options{Namespace: "app"})
		f := wrap(t, m, "user", func(context.Context, int) (string, error) {
			calls++
			if calls == 1 {
				return "dropped", failed
			}
			return "good", nil
		}, nil)
		v, err := f.Get(t.Context(), 42)
		var e *memo.Error
		if v != "" || !errors.Is(err, failed) || !errors.As(err, &e) || e.Func != "user" || e.Key != "app:user:42" || e.Op != "load" {
			t.Errorf("got %q, %#v", v, err)
		}
		if got, want := err.Error(), `memo: load "app:user:42": failed`; got != want {
			t.Errorf("error %s, want %s", got, want)
		}
		if got := get(t, f, 42); got != "good" {
			t.Errorf("got %q after an error, want a new load", got)
		}
	})
}

func TestArgumentWithoutKey(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		failed := errors.New("negative")
		roots := wrap(t, m, "root", func(_ context.Context, x float64) (string, error) {
			if x < 0 {
				return "dropped", failed
			}
			return "NaN", nil
		}, nil)
		nan := math.NaN()
		for range 2 {
			if v := get(t, roots, nan); v != "NaN" {
				t.Errorf("got %q", v)
			}
		}
		seen.want(t, 2, 0, 2, 0)
		var refused *memo.KeyError
		if !errors.As(seen.encodeErrors[0].Err, &refused) {
			t.Errorf("reported %v, want a *KeyError", seen.encodeErrors[0].Err)
		}
		_, hasErr := roots.Has(t.Context(), nan)
		_, ttlErr := roots.TTL(t.Context(), nan)
		_, keyErr := roots.Key(nan)
		for _, err := range []error{hasErr, ttlErr, keyErr, roots.Delete(t.Context(), nan)} {
			if !errors.Is(err, store.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		}

		noKey := errors.New("no key")
		logs := wrap(t, m, "log", func(_ context.Context, x float64) (string, error) { return "dropped", failed },
			&memo.FuncOptions[float64, string]{KeyFunc: func(float64) (string, error) { return "", noKey }})
		if v, err := logs.Get(t.Context(), 1); v != "" || !errors.Is(err, failed) {
			t.Errorf("got %q, %v", v, err)
		}
		if err := logs.Delete(t.Context(), 1); !errors.Is(err, noKey) {
			t.Errorf("Delete: %v", err)
		}
		seen.want(t, 3, 0, 3, 0)
	})
}

func TestBadContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		recorder := storetest.NewRecorder(newLiveStore())
		m := newMemo(t, recorder, nil)
		users := wrap(t, m, "user", counter(&calls), nil)
		roots := wrap(t, m, "root", func(context.Context, float64) (int, error) {
			calls++
			return 0, nil
		}, nil)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for _, test := range []struct {
			ctx  context.Context
			want error
		}{{nil, store.ErrInvalid}, {cancelled, context.Canceled}} {
			_, hasErr := users.Has(test.ctx, 1)
			_, ttlErr := users.TTL(test.ctx, 1)
			deleteErr := users.Delete(test.ctx, 1)
			if n := len(recorder.Calls()); n != 0 {
				t.Errorf("the store was asked %d times", n)
			}
			_, getErr := users.Get(test.ctx, 1)
			_, directErr := roots.Get(test.ctx, math.NaN())
			for _, err := range []error{hasErr, ttlErr, deleteErr, getErr, directErr} {
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			}
		}
		if calls != 0 {
			t.Errorf("%d calls", calls)
		}
	})
}
