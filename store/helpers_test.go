package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

var errUnsupported = errors.ErrUnsupported

// Both kinds of store lack every ability: one by its methods, one by what its
// methods answer.
func withoutAbilities() map[string]func() (store.Store, *mapStore) {
	return map[string]func() (store.Store, *mapStore){
		"bare":      func() (store.Store, *mapStore) { m := newMap(); return m, m },
		"declining": func() (store.Store, *mapStore) { m := newMap(); return declining{m}, m },
		"wrapped":   func() (store.Store, *mapStore) { m := newMap(); return storetest.NewRecorder(m), m },
	}
}

func TestFallbacks(t *testing.T) {
	for name, make := range withoutAbilities() {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s, m := make()

			err := store.SetMany(ctx, s, []store.Item{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}, {Key: "a", Value: []byte("3")}})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.keys(); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("after SetMany the keys are %q", got)
			}
			values, err := store.GetMany(ctx, s, []string{"a", "b", "absent", "a"})
			if want := map[string][]byte{"a": []byte("3"), "b": []byte("2")}; err != nil || !reflect.DeepEqual(values, want) {
				t.Errorf("GetMany = %q, %v; want %q: of two items with one key the later wins", values, err, want)
			}
			value, ttl, err := store.GetWithTTL(ctx, s, "a")
			if string(value) != "3" || ttl != store.Forever || err != nil {
				t.Errorf("GetWithTTL = %q, %v, %v", value, ttl, err)
			}
			if _, _, err := store.GetWithTTL(ctx, s, "absent"); err != store.ErrNotFound {
				t.Errorf("GetWithTTL of an absent key: %v", err)
			}
			entries, err := store.GetManyWithTTL(ctx, s, []string{"a", "b", "absent", "a"})
			want := map[string]store.Entry{"a": {Value: []byte("3"), TTL: store.Forever}, "b": {Value: []byte("2"), TTL: store.Forever}}
			if err != nil || !reflect.DeepEqual(entries, want) {
				t.Errorf("GetManyWithTTL = %v, %v; want %v", entries, err, want)
			}
			if err := store.SetLive(ctx, s, "l", store.LiveBytes([]byte("live")), 0); err != nil {
				t.Error(err)
			}
			l, err := store.GetLive(ctx, s, "l")
			if err != nil {
				t.Fatal(err)
			}
			if b, err := l.Bytes(); string(b) != "live" || err != nil {
				t.Errorf("Bytes = %q, %v", b, err)
			}
			if err := store.DeleteMany(ctx, s, []string{"a", "b", "absent"}); err != nil {
				t.Error(err)
			}
			if got := m.keys(); !slices.Equal(got, []string{"l"}) {
				t.Errorf("after DeleteMany the keys are %q", got)
			}
			if err := store.Ping(ctx, s); err != nil {
				t.Errorf("Ping: %v", err)
			}
		})
	}
}

func TestWithoutFallback(t *testing.T) {
	for name, make := range withoutAbilities() {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s, m := make()
			must(t, m.Set(ctx, "k", []byte("v"), 0))
			calls := map[string]func() error{
				"add":              func() error { _, err := store.Add(ctx, s, "k", nil, 0); return err },
				"compareandswap":   func() error { _, err := store.CompareAndSwap(ctx, s, "k", nil, nil, 0); return err },
				"compareanddelete": func() error { _, err := store.CompareAndDelete(ctx, s, "k", nil); return err },
				"touch":            func() error { return store.Touch(ctx, s, "k", time.Second) },
				"clear":            func() error { return store.Clear(ctx, s) },
				"keys": func() error {
					for key, err := range store.Keys(ctx, s, "") {
						if key != "" || err == nil {
							t.Errorf("Keys yields %q, %v", key, err)
						}
						return err
					}
					return nil
				},
				"watch": func() error { return store.Watch(ctx, s, new(heard)) },
			}
			for op, call := range leaseCalls(ctx, s) {
				calls[op] = func() error { _, err := call("k"); return err }
			}
			for op, call := range calls {
				err := call()
				var e *store.Error
				if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &e) || e.Op != op {
					t.Errorf("%s: %v; want a *store.Error of %s that matches errors.ErrUnsupported", op, err, op)
				}
				if m := "store_test."; err != nil && !strings.Contains(err.Error(), m) {
					t.Errorf("%s: %v; want the type of the store that lacks it", op, err)
				}
			}
			if got := m.keys(); !slices.Equal(got, []string{"k"}) {
				t.Errorf("the keys are %q", got)
			}
		})
	}
}

func TestNilStore(t *testing.T) {
	ctx := t.Context()
	for name, s := range map[string]store.Store{"nil": nil, "nil behind Prefix": store.Prefix(nil, "p:")} {
		calls := map[string]func() error{
			"getmany":          func() error { _, err := store.GetMany(ctx, s, []string{"k"}); return err },
			"setmany":          func() error { return store.SetMany(ctx, s, []store.Item{{Key: "k"}}) },
			"deletemany":       func() error { return store.DeleteMany(ctx, s, []string{"k"}) },
			"getwithttl":       func() error { _, _, err := store.GetWithTTL(ctx, s, "k"); return err },
			"getmanywithttl":   func() error { _, err := store.GetManyWithTTL(ctx, s, []string{"k"}); return err },
			"add":              func() error { _, err := store.Add(ctx, s, "k", nil, 0); return err },
			"compareandswap":   func() error { _, err := store.CompareAndSwap(ctx, s, "k", nil, nil, 0); return err },
			"compareanddelete": func() error { _, err := store.CompareAndDelete(ctx, s, "k", nil); return err },
			"touch":            func() error { return store.Touch(ctx, s, "k", 0) },
			"getlive":          func() error { _, err := store.GetLive(ctx, s, "k"); return err },
			"setlive":          func() error { return store.SetLive(ctx, s, "k", store.LiveBytes(nil), 0) },
			"ping":             func() error { return store.Ping(ctx, s) },
			"watch":            func() error { return store.Watch(ctx, s, new(heard)) },
			"getmatching": func() error {
				_, err := store.GetMatching(ctx, s, store.MatchFunc(func(string) bool { return true }))
				return err
			},
		}
		for op, call := range leaseCalls(ctx, s) {
			calls[op] = func() error { _, err := call("k"); return err }
		}
		for op, call := range calls {
			if err := call(); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s store: %s: %v; want ErrInvalid", name, op, err)
			}
		}
	}
	if store.Supports[store.AddStore](nil) {
		t.Error("the nil store supports Add")
	}
	if err := store.Close(nil); err != nil {
		t.Error(err)
	}
}

func TestBatchErrors(t *testing.T) {
	ctx := t.Context()
	m := newMap()
	s := store.Prefix(m, "p:")
	var keys []string
	for i := range 10 {
		key := fmt.Sprint("k", i)
		must(t, s.Set(ctx, key, []byte("v"), 0))
		keys = append(keys, key)
	}
	broken := errors.New("broken")
	m.fail = func(_, key string) error {
		if key == "p:k3" {
			return nil
		}
		return broken
	}
	values, err := store.GetMany(ctx, s, keys)
	if len(values) != 1 || string(values["k3"]) != "v" {
		t.Errorf("GetMany = %q; want the one value that could be read", values)
	}
	if !errors.Is(err, broken) || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("GetMany: %v", err)
	}
	entries, failed := store.GetManyWithTTL(ctx, s, keys)
	if len(entries) != 1 || string(entries["k3"].Value) != "v" || !errors.Is(failed, broken) || errors.Is(failed, store.ErrNotFound) {
		t.Errorf("GetManyWithTTL = %v, %v; want the one value that could be read, and the error", entries, failed)
	}
	if text := err.Error(); strings.Count(text, "\n") != 4 || !strings.HasSuffix(text, "and 5 more errors") || strings.Contains(text, "p:") {
		t.Errorf("want four errors and a count, with the view's own keys, got:\n%s", text)
	}
}

func TestBatchIsCheckedFirst(t *testing.T) {
	ctx := t.Context()
	r := storetest.NewRecorder(newMap())
	bare := storetest.Bare(r)
	long := strings.Repeat("x", store.MaxKeyLen+1)
	if _, err := store.GetMany(ctx, bare, []string{"a", ""}); !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
	if _, err := store.GetManyWithTTL(ctx, bare, []string{"a", ""}); !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
	if err := store.DeleteMany(ctx, bare, []string{"a", long}); !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
	if err := store.SetMany(ctx, bare, []store.Item{{Key: "a"}, {Key: "b", TTL: -1}}); !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
	if calls := r.Calls(); len(calls) != 0 {
		t.Errorf("the store was called: %v", calls)
	}
}

func TestFallbackIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		s := storetest.Bare(storetest.Intercept(newMap(), func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			defer now.Add(-1)
			return next(ctx)
		}))
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprint(i))
		}
		if err := store.DeleteMany(t.Context(), s, keys); err != nil {
			t.Fatal(err)
		}
		if most.Load() < 2 || most.Load() > 16 {
			t.Errorf("%d calls at once", most.Load())
		}
	})
}

func TestFallbackStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		r := storetest.NewRecorder(storetest.Slow(newMap(), func(storetest.Call) time.Duration { return time.Second }))
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprint(i))
		}
		start := time.Now()
		_, err := store.GetMany(ctx, storetest.Bare(r), keys)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("GetMany: %v", err)
		}
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("returned after %v", d)
		}
		if n := r.Count("get"); n >= 100 {
			t.Errorf("all %d keys were asked for", n)
		}
	})
}

func TestClearByKeys(t *testing.T) {
	ctx := t.Context()
	k := newKeys()
	for i := range 1300 {
		must(t, k.Set(ctx, fmt.Sprint("p:", i), nil, 0))
	}
	must(t, k.Set(ctx, "other", nil, 0))
	if err := store.Clear(ctx, store.Prefix(k, "p:")); err != nil {
		t.Fatal(err)
	}
	if got := k.keys(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("%d keys are left: %.3q", len(got), got)
	}
}

func TestCheck(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	long := strings.Repeat("x", store.MaxKeyLen+1)
	for _, test := range []struct {
		ctx  context.Context
		keys []string
		want error
		text string
	}{
		{t.Context(), nil, nil, ""},
		{t.Context(), []string{"a", long[1:]}, nil, ""},
		{nil, []string{"a"}, store.ErrInvalid, `store: op "a": the context is nil; pass context.Background() where there is none`},
		{t.Context(), []string{""}, store.ErrInvalid, "store: op: the key is empty"},
		{t.Context(), []string{"a", long}, store.ErrInvalid, `store: op "` + long[:64] + `"…: the key has 4097 bytes, more than MaxKeyLen (4096); hash the long part`},
		{done, []string{"a"}, context.Canceled, `store: op "a": context canceled`},
		{done, nil, context.Canceled, `store: op: context canceled`},
	} {
		err := store.Check(test.ctx, "op", test.keys...)
		if !errors.Is(err, test.want) {
			t.Errorf("Check(%.8q) = %v, want %v", test.keys, err, test.want)
		}
		if err != nil && err.Error() != test.text {
			t.Errorf("Check(%.8q) says\n%s\nwant\n%s", test.keys, err, test.text)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = store.Check(t.Context(), "get", "key") }); n != 0 {
		t.Errorf("a good key costs %v allocations", n)
	}
}

func TestErrorf(t *testing.T) {
	cause := errors.New("connection refused")
	err := store.Errorf("get", "k\n", store.ErrUnavailable, "dial: %w", cause)
	var e *store.Error
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, cause) || errors.Is(err, store.ErrInvalid) || !errors.As(err, &e) {
		t.Errorf("%#v", err)
	}
	if got, want := err.Error(), `store: get "k\n": dial: connection refused`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A panic in a fallback's goroutine would end the program.
func TestFallbackPanicsInItsCaller(t *testing.T) {
	s := storetest.Bare(storetest.Intercept(newMap(), func(context.Context, storetest.Call, func(context.Context) error) error {
		panic("broken store")
	}))
	defer func() {
		if p := recover(); p != "broken store" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = store.DeleteMany(t.Context(), s, []string{"a", "b"})
}
