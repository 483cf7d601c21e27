package memo

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// person is a value such as programs cache, of about 200 bytes in JSON.
type person struct {
	ID      int64
	Name    string `json:"name,omitempty"`
	Born    time.Time
	Tags    []string
	Score   *float64
	Parents []person
	Extra   map[string]int
}

func newPerson() person {
	return person{
		ID: 42, Name: "Ada <é> & co\u2028", Born: time.Date(1815, 12, 10, 1, 2, 3, 4, time.UTC),
		Tags: []string{"a", ""}, Score: new(0.5), Parents: []person{{Name: "Bo"}}, Extra: map[string]int{"x": 1, "y": 2},
	}
}

// encodeWith returns what c makes of v, and fails if it harms what it appends to.
func encodeWith[V any](tb testing.TB, c Codec[V], v V) ([]byte, error) {
	tb.Helper()
	b, err := c.Append(nil, v)
	head := append(make([]byte, 0, 1000), "head"...)
	long, longErr := c.Append(head, v)
	if (err == nil) != (longErr == nil) {
		tb.Fatalf("to nothing: %v; to a slice: %v", err, longErr)
	}
	if err == nil && len(long) != len("head")+len(b) || err == nil && !bytes.HasPrefix(long, head) {
		tb.Fatalf("%q was appended to %q as %q", b, head, long)
	}
	return b, err
}

// roundTrip returns what comes back of v, and fails if decoding harms the bytes.
func roundTrip[V any](tb testing.TB, c Codec[V], v V) V {
	tb.Helper()
	b, err := encodeWith(tb, c, v)
	if err != nil {
		tb.Fatalf("%#v: %v", v, err)
	}
	before := bytes.Clone(b)
	got, err := c.Decode(b)
	if err != nil {
		tb.Fatalf("%#v was encoded as %q: %v", v, b, err)
	}
	if !bytes.Equal(b, before) {
		tb.Fatalf("Decode changed %q to %q", before, b)
	}
	return got
}

// sees fails if v does not come back as want.
func sees[V any](tb testing.TB, c Codec[V], v, want V) {
	tb.Helper()
	if got := roundTrip(tb, c, v); !reflect.DeepEqual(got, want) {
		tb.Errorf("%T: %#v came back as %#v, want %#v", c, v, got, want)
	}
}

type indentedJSON struct{ S string }

func (v indentedJSON) MarshalJSON() ([]byte, error) {
	return []byte("{\n \"S\": \"" + v.S + "<\" }\n"), nil
}

// Entries of JSON are what json.Marshal writes, to the byte.
func TestJSONWritesWhatMarshalDoes(t *testing.T) {
	for _, v := range []any{
		nil, 0, -1.5e300, "", "a<b>&\u2028\xff\n", []int(nil),
		[]int{},
		map[string]any{"b": 1, "a": []byte("x")},
		newPerson(), new(newPerson()), (*person)(nil), json.RawMessage(" { \"a\" : \"<\" }\n"),
		indentedJSON{"x"},
		struct{}{},
		strings.Repeat("long ", 10_000),
	} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := encodeWith(t, JSON[any](), v); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%#v: got %q, %v, want %q", v, got, err, want)
		}
	}
	if b, err := JSON[any]().Append([]byte("head"), math.NaN()); err == nil {
		t.Errorf("NaN is %q", b)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	sees(t, JSON[person](), newPerson(), newPerson())
	sees(t, JSON[*person](), nil, nil)
	sees(t, JSON[[]int](), nil, nil)
	sees(t, JSON[[]int](), []int{}, []int{})
	sees(t, JSON[map[string]int](), nil, nil)
	sees(t, JSON[map[string]int](), map[string]int{}, map[string]int{})
	sees(t, JSON[any](), 7, 7.0)
	sees(t, JSON[string](), "a\xffb", "a\ufffdb")
	for _, b := range []string{"", " ", "{", `{"ID":1}x`, `{"ID":"1"}`, "[]", strings.Repeat("[", 20_000)} {
		if v, err := JSON[person]().Decode([]byte(b)); err == nil {
			t.Errorf("%.20q was decoded as %+v", b, v)
		}
	}
}

func TestBytesAndString(t *testing.T) {
	for _, v := range [][]byte{nil, {}, {0}, {0, 0}, {0, 0, 1}, {1, 0}, []byte("a\xff\n"), make([]byte, 10_000)} {
		sees(t, Bytes(), v, v)
		sees(t, String(), string(v), string(v))
		if b, _ := Bytes().Append(nil, v); len(bytes.Trim(v, "\x00")) > 0 && !bytes.Equal(b, v) {
			t.Errorf("%x is stored as %x", v, b)
		}
	}
}

func TestDecodeKeepsNothing(t *testing.T) {
	b := []byte("abc")
	text, err := String().Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	value, err := Bytes().Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	b[0] = 'x'
	if text != "abc" || string(value) != "abc" {
		t.Errorf("the decoded values became %q and %q with the bytes of the store", text, value)
	}
}

// ownCodec is a user's.
type ownCodec[V any] struct {
	append func([]byte, V) ([]byte, error)
	decode func([]byte) (V, error)
}

func (c ownCodec[V]) Append(b []byte, v V) ([]byte, error) { return c.append(b, v) }
func (c ownCodec[V]) Decode(b []byte) (V, error)           { return c.decode(b) }

type wrappedCodec struct{ Codec[string] }

func TestCodecID(t *testing.T) {
	const pkg = "github.com/cairncache/cairn/memo."
	for _, test := range []struct {
		id, wantID     byte
		name, wantName string
	}{
		0: identify(JSON[person](), 1, ""),
		1: identify(JSON[[]byte](), 1, ""),
		2: identify(Gob[person](), 2, ""),
		3: identify(Bytes(), 3, ""),
		4: identify(String(), 4, ""),
		5: identify[string](wrappedCodec{String()}, 0, pkg+"wrappedCodec"),
		6: identify[string](&wrappedCodec{String()}, 0, "*"+pkg+"wrappedCodec"),
		7: identify[person](ownCodec[person]{}, 0, pkg+"ownCodec["+pkg+"person]"),
		8: identify[string](struct{ Codec[string] }{String()}, 0, "struct { memo.Codec[string] }"),
	} {
		if test.id != test.wantID || test.name != test.wantName {
			t.Errorf("got %d, %q, want %d, %q", test.id, test.name, test.wantID, test.wantName)
		}
	}
}

func identify[V any](c Codec[V], wantID byte, wantName string) (r struct {
	id, wantID     byte
	name, wantName string
},
) {
	r.id, r.name = codecID(c)
	r.wantID, r.wantName = wantID, wantName
	return r
}

func TestUsersCodecIsContained(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		codec ownCodec[string]
		want  string
	}{
		"panics":       {ownCodec[string]{func([]byte, string) ([]byte, error) { panic("at the disco") }, func([]byte) (string, error) { panic("at the disco") }}, "the codec panicked: panic: at the disco"},
		"panics error": {ownCodec[string]{func([]byte, string) ([]byte, error) { panic(broken) }, func([]byte) (string, error) { panic(broken) }}, "the codec panicked: panic: broken"},
		"is empty":     {ownCodec[string]{}, "the codec panicked: panic: runtime error: invalid memory address or nil pointer dereference"},
		"fails":        {ownCodec[string]{func([]byte, string) ([]byte, error) { return []byte("half"), broken }, func([]byte) (string, error) { return "half", broken }}, "broken"},
	} {
		if b, err := appendValue(test.codec, []byte("head"), "v"); b != nil || err == nil || err.Error() != test.want {
			t.Errorf("%s: appendValue: %q, %v, want %s", name, b, err, test.want)
		}
		v, err := decodeValue(test.codec, []byte("v"))
		if v != "" || err == nil || err.Error() != test.want {
			t.Errorf("%s: decodeValue: %q, %v, want %s", name, v, err, test.want)
		}
		if strings.Contains(test.want, "broken") && !errors.Is(err, broken) {
			t.Errorf("%s: %v does not match what was panicked with", name, err)
		}
		if p := (*PanicError)(nil); errors.As(err, &p) != strings.Contains(test.want, "panicked") || p != nil && len(p.Stack) == 0 {
			t.Errorf("%s: the error is %#v", name, err)
		}
	}
	replaces := ownCodec[string]{append: func(_ []byte, v string) ([]byte, error) { return []byte(v), nil }}
	if b, err := appendValue(replaces, []byte("head"), "value"); err == nil {
		t.Errorf("a codec that does not append made %q", b)
	}
	if b, err := appendValue(replaces, nil, "value"); string(b) != "value" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
}

// The JSON of a user's type may panic, too.
type panickingJSON struct{}

func (panickingJSON) MarshalJSON() ([]byte, error) { panic("no") }
func (*panickingJSON) UnmarshalJSON([]byte) error  { panic("no") }

func TestPanicInMarshalJSONIsAnError(t *testing.T) {
	if _, err := appendValue(JSON[panickingJSON](), nil, panickingJSON{}); err == nil {
		t.Error("appendValue: no error")
	}
	if _, err := decodeValue(JSON[panickingJSON](), []byte("{}")); err == nil {
		t.Error("decodeValue: no error")
	}
}

// Whatever bytes there are in a store, decoding them is an error, or a value
// that can be encoded and is then the same.
func FuzzJSONDecode(f *testing.F) {
	for _, v := range []person{{}, newPerson()} {
		b, err := JSON[person]().Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := JSON[person]().Decode(b)
		if err != nil {
			return
		}
		first, err := JSON[person]().Append(nil, v)
		if err != nil {
			return // a year that JSON has no form for
		}
		again, err := JSON[person]().Append(nil, roundTrip(t, JSON[person](), v))
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%q became %q, %v", first, again, err)
		}
	})
}

func TestCodecsAreConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, c := range []Codec[person]{JSON[person](), Gob[person]()} {
				for range 20 {
					b, err := c.Append(nil, newPerson())
					if err != nil {
						t.Error(err)
					}
					if v, err := c.Decode(b); err != nil || !reflect.DeepEqual(v, newPerson()) {
						t.Errorf("%T: %+v came back, %v", c, v, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte("abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sees(t, Bytes(), b, b)
		v, err := Bytes().Decode(b)
		if again, _ := Bytes().Append(nil, v); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x was decoded as %x, %v, which is %x", b, v, err, again)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	small := newPerson()
	large := person{Parents: make([]person, 500)}
	for i := range large.Parents {
		large.Parents[i] = newPerson()
	}
	for _, size := range []struct {
		name string
		v    person
	}{{"1", small}, {"500", large}} {
		b.Run("append/"+size.name+"/json.Marshal", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				payload, _ := json.Marshal(size.v)
				_ = append(make([]byte, 29, 29+len(payload)), payload...)
			}
		})
		for _, c := range []Codec[person]{JSON[person](), Gob[person]()} {
			name := size.name + "/" + strings.TrimSuffix(strings.Split(reflect.TypeOf(c).Name(), "[")[0], "Codec")
			b.Run("append/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := appendValue(c, make([]byte, 29), size.v); err != nil {
						b.Fatal(err)
					}
				}
			})
			encoded, err := c.Append(nil, size.v)
			if err != nil {
				b.Fatal(err)
			}
			b.Run("decode/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := decodeValue(c, encoded); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
