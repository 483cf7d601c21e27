package store_test

import (
	"bytes"
	"errors"
	"math/bits"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

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

// Memory holds millions of Lives, and 32 bytes is a size that the allocator
// has: one word more would cost two.
func TestLiveSize(t *testing.T) {
	if size := unsafe.Sizeof(store.Live{}); bits.UintSize == 64 && size != 32 {
		t.Errorf("a Live has %d bytes, want 32", size)
	}
}

func TestLiveOfNoBytes(t *testing.T) {
	for _, b := range [][]byte{nil, {}, []byte("full")[4:]} {
		for name, l := range map[string]*store.Live{
			"LiveBytes": store.LiveBytes(b),
			"NewLive":   store.NewLive(0, func() ([]byte, error) { return b, nil }),
		} {
			for range 2 {
				got, err := l.Bytes()
				if len(got) != 0 || (got == nil) != (b == nil) || err != nil {
					t.Errorf("%s: Bytes = %#v, %v; want %#v", name, got, err, b)
				}
			}
			isNil, err := store.LiveValue(l, func(b []byte) (bool, error) { return b == nil, nil })
			if isNil != (b == nil) || err != nil {
				t.Errorf("%s: decode got a nil slice: %t, %v; want %t", name, isNil, err, b == nil)
			}
		}
	}
	if b, err := new(store.Live).Bytes(); b != nil || err == nil {
		t.Errorf("the zero Live: %q, %v", b, err)
	}
}

func TestLiveBytesCannotBeAppendedTo(t *testing.T) {
	roomy := func() []byte { return append(make([]byte, 0, 64), "abc"...) }
	for name, l := range map[string]*store.Live{
		"LiveBytes": store.LiveBytes(roomy()),
		"NewLive":   store.NewLive(0, func() ([]byte, error) { return roomy(), nil }),
	} {
		first, _ := l.Bytes()
		again, _ := l.Bytes()
		if x, y := append(first, 'x'), append(again, 'y'); string(x) != "abcx" || string(y) != "abcy" {
			t.Errorf("%s: two readers appended: %q, %q", name, x, y)
		}
		decoded, _ := store.LiveValue(l, func(b []byte) ([]byte, error) { return append(b, 'z'), nil })
		if string(decoded) != "abcz" || &decoded[0] == &first[0] {
			t.Errorf("%s: decode appended in place: %q", name, decoded)
		}
		if b, _ := l.Bytes(); string(b) != "abc" {
			t.Errorf("%s: Bytes = %q", name, b)
		}
	}
}

// The function that encodes, and all it refers to, is kept as long as it is
// needed, and no longer. The bytes are kept also if they are a part of others.
func TestLiveAndTheGarbageCollector(t *testing.T) {
	payload := &[1 << 10]byte{'a'}
	held := weak.Make(payload)
	l := store.NewLive(1, func() ([]byte, error) { return slices.Repeat(payload[:1], 100), nil })
	part := store.LiveBytes(bytes.Repeat([]byte("a"), 200)[100:])
	runtime.GC()
	if held.Value() == nil {
		t.Error("what encode needs was collected before it was called")
	}
	for range 3 {
		for _, l := range []*store.Live{l, part} {
			if b, err := l.Bytes(); string(b) != string(bytes.Repeat([]byte("a"), 100)) || err != nil {
				t.Errorf("Bytes = %q, %v", b, err)
			}
		}
		runtime.GC()
	}
	if held.Value() != nil {
		t.Error("what encode needed is held after it has served")
	}
	runtime.KeepAlive(l)
}

// liveForms are the two ways to compute a missing form: each makes a Live that
// calls compute for it, and returns the call that asks for it.
var liveForms = map[string]func(compute func() error) (ask func() error){
	"encode": func(compute func() error) func() error {
		l := store.NewLive(42, func() ([]byte, error) { return []byte("42"), compute() })
		return func() error {
			b, err := l.Bytes()
			if err == nil && string(b) != "42" {
				err = errors.New("the bytes are " + string(b))
			}
			return err
		}
	},
	"decode": func(compute func() error) func() error {
		l := store.LiveBytes([]byte("42"))
		decode := func(b []byte) (int, error) { v, _ := atoi(b); return v, compute() }
		return func() error {
			v, err := store.LiveValue(l, decode)
			if err == nil && v != 42 {
				err = errors.New("the value is " + strconv.Itoa(v))
			}
			return err
		}
	},
}

// However the first call ends, those who wait for it are durably blocked until
// then, and then get what one of them computes, or what it has computed.
func TestLiveWaiters(t *testing.T) {
	fail := errors.New("fail")
	const slow = time.Second
	for name, c := range map[string]struct {
		end   func() error // how the first computation ends
		calls int32        // how many it takes
	}{
		"success": {func() error { return nil }, 1},
		"error":   {func() error { return fail }, 2},
		"panic":   {func() error { panic(fail) }, 2},
		"goexit":  {func() error { runtime.Goexit(); return nil }, 2},
	} {
		for form, live := range liveForms {
			t.Run(form+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls atomic.Int32
					ask := live(func() error {
						first := calls.Add(1) == 1
						time.Sleep(slow)
						if first {
							return c.end()
						}
						return nil
					})
					go func() {
						defer func() { _ = recover() }()
						_ = ask()
					}()
					synctest.Wait()
					start, answers := time.Now(), make(chan error, 10)
					for range cap(answers) {
						go func() { answers <- ask() }()
					}
					synctest.Wait()
					if len(answers) != 0 || calls.Load() != 1 {
						t.Errorf("%d did not wait, %d calls", len(answers), calls.Load())
					}
					for range cap(answers) {
						if err := <-answers; err != nil {
							t.Error(err)
						}
					}
					if took := time.Since(start); took != time.Duration(c.calls)*slow || calls.Load() != c.calls {
						t.Errorf("%d calls in %v, want %d of %v", calls.Load(), took, c.calls, slow)
					}
					if err := ask(); err != nil || calls.Load() != c.calls {
						t.Errorf("a later caller: %v, %d calls", err, calls.Load())
					}
				})
			})
		}
	}
}

// A computation that ends badly with nobody waiting leaves the Live as it was.
func TestLiveIsUsableAfterPanicAndGoexit(t *testing.T) {
	for form, live := range liveForms {
		calls := 0
		ask := live(func() error {
			switch calls++; calls {
			case 1:
				panic(form)
			case 2:
				runtime.Goexit()
			}
			return nil
		})
		for range 2 {
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { _ = recover() }()
				_ = ask()
				t.Errorf("%s: returned", form)
			})
			wg.Wait()
		}
		if err := ask(); err != nil || calls != 3 {
			t.Errorf("%s: %v, %d calls", form, err, calls)
		}
	}
}

// Waiting for one Live holds up no other, not even from within its encode.
func TestLiveInsideALive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := store.NewLive(1, func() ([]byte, error) { time.Sleep(time.Second); return []byte("in"), nil })
		outer := store.NewLive(2, func() ([]byte, error) {
			b, err := inner.Bytes()
			return append(b, "out"...), err
		})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if b, err := inner.Bytes(); string(b) != "in" || err != nil {
					t.Errorf("inner: %q, %v", b, err)
				}
			})
			wg.Go(func() {
				if b, err := outer.Bytes(); string(b) != "inout" || err != nil {
					t.Errorf("outer: %q, %v", b, err)
				}
			})
		}
		wg.Wait()
	})
}

// Many at once, with computations that fail in every way and give way to
// others, never leave anyone blocked or with a wrong answer.
func TestLiveUnderContention(t *testing.T) {
	fail := errors.New("fail")
	for range 200 {
		for form, live := range liveForms {
			var calls atomic.Int32
			ask := live(func() error {
				runtime.Gosched()
				switch calls.Add(1) {
				case 1:
					return fail
				case 2:
					panic(fail)
				case 3:
					runtime.Goexit()
				}
				return nil
			})
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					defer func() { _ = recover() }()
					if err := ask(); err != nil && !errors.Is(err, fail) {
						t.Errorf("%s: %v", form, err)
					}
				})
			}
			wg.Wait()
			if calls.Load() != 4 {
				t.Fatalf("%s: %d calls, want 4, of which the last succeeds", form, calls.Load())
			}
		}
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

func BenchmarkLive(b *testing.B) {
	text := []byte("1000000")
	encode := func() ([]byte, error) { return text, nil }
	decode := func(b []byte) (*byte, error) { return &b[0], nil }
	fromBytes, fromValue := store.LiveBytes(text), store.NewLive(&text[0], encode)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"Bytes", func() { _, _ = fromBytes.Bytes() }},
		{"Value", func() { _, _ = store.LiveValue(fromValue, decode) }},
		{"FirstDecode", func() { _, _ = store.LiveValue(store.LiveBytes(text), decode) }},
		{"FirstEncode", func() { _, _ = store.NewLive(&text[0], encode).Bytes() }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
		})
	}
}
