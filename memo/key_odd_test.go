package memo

import (
	"math"
	"math/big"
	"math/rand"
	randv2 "math/rand/v2"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// oddKeyValues are values that are all different.
func oddKeyValues() []any {
	type local struct{ X, Y int }
	var next, inner keyOdd
	next.next = &keyOdd{}
	inner.inner.anys = []any{nil}
	inner.inner.arrays[0] = map[bool]string{}
	inner.inner.at = time.Unix(0, 0)
	one, negativeZero := 1, math.Copysign(0, -1)
	pointer := &one
	values := []any{
		nil, "", "nil", "<nil>", "0", "1", "1.0", "true", `"1"`, `""`, "string", "int(1)", `string("1")`, `k"1"`, `t"1"`,
		"a", "a ", "a%20", "a%2520", "A", "ä", "a\u0308", "\xe4", "\x00", "\x00\x00", "#", "%23", "@1", "x31", "[]", "()", "map()",
		keyName("1"), keyName(""), keyedName("1"),
		keyed{"1", ""},
		keyed{"", "1"},
		keyText{"1"},
		&keyText{"1"}, &keyedPointer{1},
		keyedPointer{1},
		true, false, keyFlag(true), 0, 1, -1, -2, 12, 123, int8(1), int16(1), int32(1), int64(1), keyID(1), time.Duration(1), time.January,
		uint(1), uint8(1), uint16(1), uint32(1), uint64(1), uint64(math.MaxUint64), int64(math.MaxInt64), int64(math.MinInt64),
		0.0, negativeZero, 1.0, 1.5, math.Nextafter(1, 2), math.Inf(1), math.Inf(-1), math.MaxFloat64, float32(1), float32(0.1), 0.1,
		float64(float32(0.1)), int64(1 << 53), int64(1<<53 + 1), float64(1 << 53), complex(1, 0), complex(0, 1), complex64(1), complex(negativeZero, 0), complex(0, 0),
		[]byte(nil),
		[]byte{},
		[]byte("1"),
		[]byte{1},
		[]keyByte{1},
		[1]byte{1},
		[2]byte{1},
		[2]byte{0, 1},
		[1]int{1},
		[0]int{},
		[0]byte{},
		[1][0]int{},
		[]int(nil),
		[]int{},
		[]int{0},
		[]int{1, 23},
		[]int{12, 3},
		[]int{1, 2, 3},
		[]int{123},
		[]int64{123},
		[]any{1, 23},
		[]any{"1", 23},
		[]any{[]any{1}, 23},
		[]any{nil},
		[]any{[]any(nil)},
		[]any{[]any{}},
		[]any{},
		[][]int{{1}, {2, 3}},
		[][]int{{1, 2}, {3}},
		[][]int{{1, 2, 3}},
		[][]int{{}, {1, 2, 3}},
		[][]int{nil, {1, 2, 3}},
		[]string{"a", "bc"},
		[]string{"ab", "c"},
		[]string{"abc"},
		[]string{"a,b", "c"},
		[]string{`a","b`, "c"},
		[]string{"a", `b","c`},
		[]string{"a", "b", "c"},
		[]string{"", "", "a"},
		[]string{"a", "", ""},
		[2]string{"a", "bc"},
		struct{ A, B string }{"a", "bc"},
		struct{ B, A string }{"a", "bc"},
		struct{ A, B any }{"a", "bc"},
		map[string]int(nil),
		map[string]int{},
		map[string]int{"a": 1},
		map[string]int{"a": 1, "b": 2},
		map[string]int{"a": 2, "b": 1},
		map[string]any{"a": 1, "b": 2},
		map[any]any{"1": 1},
		map[any]any{1: "1"},
		map[any]any{1: 1},
		map[any]any{true: 1},
		map[any]any{1: true},
		map[any]any{1.0: 1},
		map[any]any{nil: nil},
		map[bool]int{true: 1},
		map[string]int{"a:1,b": 2},
		map[string]string{"a": `1","b":"2`},
		map[string]string{"a": "1", "b": "2"},
		map[string]map[string]int{"a": {"b": 1}},
		map[string]map[string]int{"a": {}},
		map[string]map[string]int{"a": nil},
		struct{}{},
		struct{ A int }{1},
		struct{ B int }{1},
		struct{ a int }{1},
		struct {
			A int `json:"a"`
		}{1},
		struct{ keyPoint }{keyPoint{1, 2}},
		struct{ keyPoint keyPoint }{keyPoint{1, 2}},
		keyPoint{1, 23},
		keyPoint{12, 3},
		keyPoint{},
		&keyPoint{},
		local{},
		(*keyPoint)(nil), pointerTo((*keyPoint)(nil)), pointerTo(&keyPoint{}), pointer, &pointer, (*int)(nil), (**int)(nil), new(*int), new(any), new(error), pointerTo[any](1), pointerTo[any](pointer),
		keyList[int]{},
		keyList[int64]{},
		keyList[any]{},
		keyList[any]{Head: 0},
		keyList[keyPoint]{},
		keyList[*keyPoint]{},
		keyList[local]{},
		keyList[int]{1, &keyList[int]{}},
		keyList[int]{0, &keyList[int]{1, nil}},
		time.Time{},
		time.Unix(0, 0), time.Unix(0, 1), time.Unix(1, 0), time.Unix(0, 1e8), time.Unix(0, 1e7), time.Unix(-1, 0), time.Unix(-1, 999999999), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0),
		keyStamp{},
		pointerTo(time.Time{}),
		keyEmbedded{},
		keyEmbedded{Note: "x"},
		big.NewInt(1), *big.NewInt(-1), (*big.Int)(nil), big.NewRat(1, 2),
		netip.Addr{},
		netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("1.2.3.4"),
		url.URL{},
		url.URL{Path: "x"},
		url.URL{Opaque: "x"},
		url.URL{Host: "x"},
		url.URL{User: url.User("x")},
		url.URL{User: url.UserPassword("x", "")},
		&url.URL{},
		rand.Zipf{},
		randv2.Zipf{},
		(*rand.Zipf)(nil), (*randv2.Zipf)(nil),
		[]rand.Zipf{},
		[]randv2.Zipf{}, // packages of one name
		struct{ e error }{},
		struct{ e any }{},
		struct{ e error }{keyColorError(1)},
		struct{ e any }{keyColorError(1)},
	}
	for _, n := range []int{150, 160, 170, 190, 194, 195, 200, 1000} {
		a, b := strings.Repeat("a", n), strings.Repeat("b", n)
		values = append(values, a, a+b, b+a, a+"b", []string{a, b}, []string{a + b}, []byte(a), "#"+a)
	}
	return values
}

type keyBox struct{ Value any }

type keyColorError int

func (keyColorError) Error() string { return "" }

func TestKeyNoTwoAlike(t *testing.T) {
	e, err := newKeyEncoder[any]("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	list, err := newKeyEncoder[Args2[any, any]]("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]any{}
	add := func(key string, err error, value any) {
		if err != nil {
			t.Errorf("%#v: %v", value, err)
			return
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%#v and %#v have the key %s", other, value, key)
		}
		seen[key] = value
	}
	values := oddKeyValues()
	for i, v := range values {
		key, err := e.key(v)
		add(key, err, v)
		key, err = e.key(keyBox{v})
		add(key, err, keyBox{v})
		key, err = e.key(&keyBox{v})
		add(key, err, &keyBox{v})
		for _, w := range values[:i+1] {
			key, err = list.key(Args2[any, any]{v, w})
			add(key, err, Args2[any, any]{v, w})
		}
	}
	if len(seen) < 10000 {
		t.Errorf("only %d keys", len(seen))
	}
}
