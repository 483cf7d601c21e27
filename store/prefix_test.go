package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestPrefixKeepsViewsApart(t *testing.T) {
	ctx := t.Context()
	k := newKeys()
	one, ten := store.Prefix(k, "1:"), store.Prefix(k, "10:")
	must(t, one.Set(ctx, "a", []byte("one"), 0))
	must(t, ten.Set(ctx, "a", []byte("ten"), 0))
	if got := k.keys(); !slices.Equal(got, []string{"10:a", "1:a"}) {
		t.Errorf("the keys below are %q", got)
	}
	var keys []string
	for key, err := range store.Keys(ctx, one, "") {
		must(t, err)
		keys = append(keys, key)
	}
	if !slices.Equal(keys, []string{"a"}) {
		t.Errorf("view 1 has keys %q", keys)
	}
	must(t, store.Clear(ctx, one))
	if v, err := ten.Get(ctx, "a"); string(v) != "ten" || err != nil {
		t.Errorf("view 10 after Clear of view 1: %q, %v", v, err)
	}
}

func TestPrefixOfPrefix(t *testing.T) {
	ctx := t.Context()
	m := newMap()
	s := store.Prefix(store.Prefix(m, "a:"), "b:")
	must(t, s.Set(ctx, "k", nil, 0))
	if got := m.keys(); !slices.Equal(got, []string{"a:b:k"}) {
		t.Errorf("the keys are %q", got)
	}
	m.fail = func(string, string) error { return errors.New("down") }
	_, err := s.Get(ctx, "k")
	var e *store.Error
	if !errors.As(err, &e) || e.Key != "k" {
		t.Errorf("%v; want the caller's own key", err)
	}
}

func TestPrefixCountsTowardsTheLongestKey(t *testing.T) {
	ctx := t.Context()
	s := store.Prefix(newMap(), "prefix:")
	fits := strings.Repeat("x", store.MaxKeyLen-len("prefix:"))
	if err := s.Set(ctx, fits, nil, 0); err != nil {
		t.Error(err)
	}
	err := s.Set(ctx, fits+"x", nil, 0)
	if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), `its prefix "prefix:" 7`) {
		t.Errorf("%v; want an error that blames the prefix", err)
	}
	if err := s.Delete(ctx, ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("the empty key: %v", err)
	}
}

func TestSupports(t *testing.T) {
	bare, keys := newMap(), newKeys()
	for _, test := range []struct {
		name string
		got  bool
		want bool
	}{
		{"Keys of a bare store", store.Supports[store.KeysStore](bare), false},
		{"Keys", store.Supports[store.KeysStore](keys), true},
		{"Add", store.Supports[store.AddStore](keys), false},
		{"Keys through a wrapper", store.Supports[store.KeysStore](store.Prefix(keys, "p")), true},
		{"Keys through two", store.Supports[store.KeysStore](storetest.NewRecorder(store.Prefix(keys, "p"))), true},
		{"Add through a wrapper", store.Supports[store.AddStore](store.Prefix(keys, "p")), false},
		{"Keys that Bare hides", store.Supports[store.KeysStore](store.Prefix(storetest.Bare(keys), "p")), false},
		{"Clear of a view", store.Supports[store.ClearStore](store.Prefix(declining{bare}, "p")), false},
		{"a wrapper around nil", store.Supports[store.KeysStore](store.Prefix(nil, "p")), false},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v", test.name, test.got)
		}
	}
}

func TestEmptyPrefix(t *testing.T) {
	m := newMap()
	if s := store.Prefix(m, ""); s != store.Store(m) {
		t.Errorf("a view of all is a %T; want the store itself, with its Clear", s)
	}
}
