package store_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairncache/cairn/store"
)

func atoi(b []byte) (int, error) { return strconv.Atoi(string(b)) }

func TestLiveComputesEachFormOnce(t *testing.T) {
	var encoded, decoded atomic.Int32
	encode := func() ([]byte, error) { encoded.Add(1); return []byte("42"), nil }
	decode := func(b []byte) (int, error) { decoded.Add(1); return atoi(b) }

	fromValue := store.NewLive(42, encode)
	fromBytes := store.LiveBytes([]byte("42"))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for _, l := range []*store.Live{fromValue, fromBytes} {
				if b, err := l.Bytes(); string(b) != "42" || err != nil {
					t.Errorf("Bytes = %q, %v", b, err)
				}
				if v, err := store.LiveValue(l, decode); v != 42 || err != nil {
					t.Errorf("LiveValue = %v, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
	if encoded.Load() != 1 || decoded.Load() != 1 {
		t.Errorf("encoded %d times, decoded %d times; want once each", encoded.Load(), decoded.Load())
	}
}

// A reader that asks for another type than the value has must never get an
// empty value: it reads the bytes, as it would from a remote backend.
func TestLiveValueOfAnotherType(t *testing.T) {
	text := func(b []byte) (string, error) { return "text " + string(b), nil }
	for name, l := range map[string]*store.Live{
		"value": store.NewLive(42, func() ([]byte, error) { return []byte("42"), nil }),
		"bytes": store.LiveBytes([]byte("42")),
	} {
		if v, err := store.LiveValue(l, atoi); v != 42 || err != nil {
			t.Errorf("%s: as an int: %v, %v", name, v, err)
		}
		if v, err := store.LiveValue(l, text); v != "text 42" || err != nil {
			t.Errorf("%s: as a string: %q, %v", name, v, err)
		}
		if v, err := store.LiveValue(l, atoi); v != 42 || err != nil {
			t.Errorf("%s: as an int again: %v, %v", name, v, err)
		}
	}
	if _, err := store.LiveValue(store.NewLive("no number", nil), atoi); err == nil {
		t.Error("a value that cannot be encoded was read as another type")
	}
}

func TestLiveErrorsAreNotRemembered(t *testing.T) {
	fail := errors.New("not now")
	calls := 0
	l := store.NewLive(1, func() ([]byte, error) {
		if calls++; calls == 1 {
			return nil, fail
		}
		return []byte("1"), nil
	})
	if _, err := l.Bytes(); !errors.Is(err, fail) {
		t.Error(err)
	}
	if b, err := l.Bytes(); string(b) != "1" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	bad := store.LiveBytes([]byte("x"))
	for range 2 {
		if v, err := store.LiveValue(bad, atoi); v != 0 || err == nil {
			t.Errorf("%v, %v", v, err)
		}
	}
	if v, err := store.LiveValue(bad, func(b []byte) (string, error) { return string(b), nil }); v != "x" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestLivePanicReleasesTheCell(t *testing.T) {
	l := store.LiveBytes([]byte("7"))
	func() {
		defer func() { _ = recover() }()
		_, _ = store.LiveValue(l, func([]byte) (int, error) { panic("decode") })
	}()
	if v, err := store.LiveValue(l, atoi); v != 7 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}

func TestLiveValueDoesNotAllocate(t *testing.T) {
	l := store.LiveBytes([]byte("1000000"))
	if n := testing.AllocsPerRun(100, func() { _, _ = store.LiveValue(l, atoi) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSetLiveThatCannotBeEncoded(t *testing.T) {
	ctx := t.Context()
	m := newMap()
	must(t, m.Set(ctx, "k", []byte("old"), 0))
	fail := errors.New("no codec")
	err := store.SetLive(ctx, m, "k", store.NewLive(1, func() ([]byte, error) { return nil, fail }), 0)
	if !errors.Is(err, fail) || !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
	if v, _ := m.Get(ctx, "k"); string(v) != "old" {
		t.Errorf("the old value became %q", v)
	}
	if err := store.SetLive(ctx, m, "k", nil, 0); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil Live: %v", err)
	}
}
