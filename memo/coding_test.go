package memo_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
	"github.com/cairncache/cairn/store"
)

// brittle is a codec that does what its value says.
type brittle struct{ decodes *atomic.Bool }

func (brittle) Append(b []byte, v string) ([]byte, error) {
	switch v {
	case "error":
		return nil, errOrigin
	case "panic":
		panic(errOrigin)
	}
	return append(b, v...), nil
}

func (c brittle) Decode(b []byte) (string, error) {
	if !c.decodes.Load() {
		panic("at decoding")
	}
	return string(b), nil
}

// A codec that fails or panics withholds no value: what cannot be encoded is
// not stored, what cannot be decoded is loaded anew, and Set, which can do no
// more, says so. This holds with values shared, compressed, and of a batch.
func TestCodecThatFails(t *testing.T) {
	for _, compression := range []*memo.Compression{nil, {With: compress.S2(), Above: 1}} {
		for _, o := range []memo.FuncOptions[string, string]{
			{},
			{Shared: true},
			{Shared: true, FillMany: func(_ context.Context, ks []string, put func(string, string)) error {
				for _, k := range ks {
					put(k, k)
				}
				return nil
			}},
		} {
			onEachStore(t, func(t *testing.T, s store.Store) {
				if o.Shared && store.Supports[store.LiveStore](s) {
					return // such a value needs no codec
				}
				var decodes atomic.Bool
				decodes.Store(true)
				own := o
				own.Codec, own.Compression = brittle{&decodes}, compression
				f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k string) (string, error) { return k, nil }, &own)
				errs := uint64(0)
				for _, k := range []string{"error", "panic"} {
					for range 2 {
						if v := get(t, f, k); v != k {
							t.Errorf("got %q", v)
						}
						if results, err := f.GetMany(t.Context(), []string{k, "good"}); err != nil || results[0].Value != k || results[1].Value != "good" {
							t.Errorf("%+v, %v", results, err)
						}
						errs += 2
					}
					if err := f.Set(t.Context(), "x", k); !o.Shared && (!errors.Is(err, store.ErrInvalid) || !errors.Is(err, errOrigin) || !strings.Contains(err.Error(), "encode")) || err == nil {
						t.Errorf("Set of %s: %v", k, err)
					}
					errs++
					if has, err := f.Has(t.Context(), "x"); has || err != nil {
						t.Errorf("Has: %v, %v", has, err)
					}
				}
				if n := f.Stats().EncodeErrors; !o.Shared && n != errs || n == 0 {
					t.Errorf("%d errors of encoding, want %d", n, errs)
				}
				decodes.Store(false)
				if v := get(t, f, "good"); v != "good" || f.Stats().DecodeErrors == 0 {
					t.Errorf("got %q, %+v", v, f.Stats())
				}
			})
		}
	}
}

// A function has the compression that it states, else that of the Memo; what is
// compressed and cannot be decompressed is loaded anew.
func TestCompressionIsInherited(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		calls := 0
		text := func(context.Context, int) (string, error) {
			calls++
			return strings.Repeat("text ", 1000), nil
		}
		m := newMemo(t, s, &memo.Options{Compression: &memo.Compression{With: compress.S2()}})
		for name, c := range map[string]struct {
			o     *memo.FuncOptions[int, string]
			small bool
		}{
			"inherits": {nil, true},
			"none":     {&memo.FuncOptions[int, string]{Compression: &memo.Compression{}}, false},
			"above":    {&memo.FuncOptions[int, string]{Compression: &memo.Compression{With: compress.S2(), Above: 1 << 20}}, false},
		} {
			f := wrap(t, m, name, text, c.o)
			want := get(t, f, 7)
			if meta, err := f.Meta(t.Context(), 7); err != nil || (meta.Size < len(want)/2) != c.small {
				t.Errorf("%s: %d bytes, %v", name, meta.Size, err)
			}
			if got := get(t, f, 7); got != want {
				t.Errorf("%s: it has come back as %d bytes", name, len(got))
			}
		}
		calls = 0
		var seen events
		without := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "inherits", text, nil)
		for range 2 {
			get(t, without, 7)
		}
		if calls != 1 {
			t.Errorf("%d calls, want one as the entry is compressed", calls)
		}
		seen.want(t, 1, 0, 0, 1)
	})
}

// A value that comes with an error is dropped, whichever error and whichever
// method.
func TestValueAndError(t *testing.T) {
	for _, failure := range []error{errOrigin, store.ErrNotFound, memo.ErrNotModified} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			f := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (string, error) { return "dropped", failure },
				&memo.FuncOptions[int, string]{Policy: memo.Policy{Absent: time.Minute}})
			for range 2 {
				v, err := f.Get(t.Context(), 7)
				r, err2 := f.Lookup(t.Context(), 7)
				many, _ := f.GetMany(t.Context(), []int{7})
				w, err3 := f.Refresh(t.Context(), 7)
				if v+r.Value+many[0].Value+w != "" || !errors.Is(err, failure) || !errors.Is(err2, failure) || !errors.Is(many[0].Err, failure) || !errors.Is(err3, failure) {
					t.Errorf("%v: %q, %v; %+v, %v; %+v; %q, %v", failure, v, err, r, err2, many, w, err3)
				}
			}
		})
	}
}

// A value that looks like something else, such as an entry, a generation or the
// text of an absence, is what it is, whatever the codec.
func TestValuesThatLookLikeEntries(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		plain := wrap(t, m, "plain", func(context.Context, int) ([]byte, error) { return []byte("x"), nil }, &memo.FuncOptions[int, []byte]{Codec: memo.Bytes()})
		get(t, plain, 7)
		entry, err := s.Get(t.Context(), theKeyOf(t, plain, 7))
		must(t, err)
		absent := bytes.Clone(entry)
		absent[3] |= 1 // says that there is no such thing
		for i, want := range [][]byte{entry, absent, nil, {}, {0}, []byte("null"), []byte(store.ErrNotFound.Error()), []byte("\xca\x17")} {
			calls := 0
			f := wrap(t, m, strconv.Itoa(i), func(context.Context, int) ([]byte, error) {
				calls++
				return want, nil
			}, &memo.FuncOptions[int, []byte]{Codec: memo.Bytes(), Policy: memo.Policy{Absent: time.Hour}})
			for range 3 {
				if got := get(t, f, 7); !reflect.DeepEqual(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if has, err := f.Has(t.Context(), 7); !has || err != nil || calls != 1 {
				t.Errorf("%q: Has %v, %v, %d calls", want, has, err, calls)
			}
		}
	})
}
