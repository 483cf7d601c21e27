package memo

import (
	"fmt"
	"math"
	"math/big"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Types of arguments in the tests of keys.
type (
	keyID    int64
	keyName  string
	keyFlag  bool
	keyByte  byte
	keyStamp time.Time
	keyGUID  [4]byte
	keyPoint struct{ X, Y int }
	keyQuery struct {
		Text   string
		Page   int
		filter *keyQuery
		since  time.Time
		_      [0]func()
	}
	keyList[T any] struct {
		Head T
		Tail *keyList[T]
	}
	keyEmbedded struct {
		time.Time
		Note string
	}
	keyed        struct{ tenant, secret string }
	keyedPointer struct{ id int }
	keyedName    string
	keyedOnly    struct{ keyed }
	keyText      struct{ text string }
	keyColor     struct{ n int }
	keyToken     string
	keySecret    []byte
)

func (k keyed) CacheKey() string                { return k.tenant }
func (k *keyedPointer) CacheKey() string        { return strconv.Itoa(k.id) }
func (k keyedName) CacheKey() string            { return strings.ToLower(string(k)) }
func (k *keyText) MarshalText() ([]byte, error) { return []byte(k.text), nil }
func (keyColor) MarshalText() ([]byte, error)   { return []byte("***"), nil }

func (keyToken) MarshalText() ([]byte, error)  { return []byte("***"), nil }
func (keySecret) MarshalText() ([]byte, error) { return []byte("***"), nil }

func pointerTo[T any](v T) *T { return &v }

// A madeKey makes one key. It panics if that fails.
type madeKey struct {
	name string
	make func() string
}

// keyOf is the key of k in namespace app for the function f.
func keyOf[K any](name string, k K) madeKey {
	return madeKey{name, func() string {
		e, err := newKeyEncoder[K]("app", "f", "")
		if err != nil {
			panic(err)
		}
		key, err := e.key(k)
		if err != nil {
			panic(err)
		}
		return key
	}}
}

// goldenKeys must never change, and none may be removed. Programs find what
// they stored before an upgrade of this package, and share it with those not
// upgraded yet, only if all of them write the same argument in the same way.
// Were a key to come to mean another argument, wrong values would be answered.
var goldenKeys = []struct {
	madeKey
	want string
}{
	// no argument, one that is readable, several
	{keyOf("none", Args0{}), `app:f:`},
	{keyOf("int", 42), `app:f:42`},
	{keyOf("int64", int64(math.MinInt64)), `app:f:-9223372036854775808`},
	{keyOf("int8", int8(-1)), `app:f:-1`},
	{keyOf("uint64", uint64(math.MaxUint64)), `app:f:18446744073709551615`},
	{keyOf("uint8", byte(7)), `app:f:7`},
	{keyOf("rune", 'é'), `app:f:233`},
	{keyOf("named int", keyID(42)), `app:f:42`},
	{keyOf("duration", time.Minute), `app:f:60000000000`},
	{keyOf("string", "alice"), `app:f:alice`},
	{keyOf("empty string", ""), `app:f:`},
	{keyOf("named string", keyName("alice")), `app:f:alice`},
	{keyOf("string with separators", `https://x.org/a?b=c,d&e="f"#g`), `app:f:https://x.org/a?b=c,d&e=%22f%22%23g`},
	{keyOf("string with spaces", "a b\tc\nd\x00\x7f"), `app:f:a%20b%09c%0Ad%00%7F`},
	{keyOf("string with escapes", "100% {x} %41 (y) [z]"), `app:f:100%25%20%7Bx%7D%20%2541%20(y)%20[z]`},
	{keyOf("string beyond ASCII", "é\u2028世"), `app:f:%C3%A9%E2%80%A8%E4%B8%96`},
	{keyOf("string not UTF-8", "\xff\xc3"), `app:f:%FF%C3`},
	{keyOf("bool", true), `app:f:true`},
	{keyOf("named bool", keyFlag(false)), `app:f:false`},
	{keyOf("two arguments", Args2[int64, string]{42, "a,b"}), `app:f:42,"a,b"`},
	{keyOf("two strings", Args2[string, string]{"a", "bc"}), `app:f:"a","bc"`},
	{keyOf("three arguments", Args3[keyName, []int, *bool]{`"`, []int{1}, nil}), `app:f:"%22",[1],nil`},
	{keyOf("three leaves", Args3[bool, uint8, float64]{true, 1, 1}), `app:f:true,1,1.0`},

	// floats
	{keyOf("float", 1.5), `app:f:1.5`},
	{keyOf("whole float", 1.0), `app:f:1.0`},
	{keyOf("zero", 0.0), `app:f:0.0`},
	{keyOf("negative zero", math.Copysign(0, -1)), `app:f:-0.0`},
	{keyOf("infinity", math.Inf(1)), `app:f:+Inf`},
	{keyOf("negative infinity", math.Inf(-1)), `app:f:-Inf`},
	{keyOf("large float", 1e21), `app:f:1e+21`},
	{keyOf("million", 1e6), `app:f:1e+06`},
	{keyOf("third", 1.0/3), `app:f:0.3333333333333333`},
	{keyOf("float32", float32(0.1)), `app:f:0.1`},
	{keyOf("smallest float", math.SmallestNonzeroFloat64), `app:f:5e-324`},
	{keyOf("largest float", math.MaxFloat64), `app:f:1.7976931348623157e+308`},
	{keyOf("smallest float32", float32(math.SmallestNonzeroFloat32)), `app:f:1e-45`},
	{keyOf("complex", complex(1, -2.5)), `app:f:(1.0,-2.5)`},
	{keyOf("complex64", complex64(complex(0.1, 0))), `app:f:(0.1,0.0)`},

	// compounds
	{keyOf("bytes", []byte("hello")), `app:f:x68656c6c6f`},
	{keyOf("no bytes", []byte{}), `app:f:x`},
	{keyOf("nil bytes", []byte(nil)), `app:f:nil`},
	{keyOf("named bytes", []keyByte{0, 255}), `app:f:x00ff`},
	{keyOf("byte array", keyGUID{0xde, 0xad, 0xbe, 0xef}), `app:f:xdeadbeef`},
	{keyOf("slice", []string{"a", "", "b c"}), `app:f:["a","","b%20c"]`},
	{keyOf("empty slice", []string{}), `app:f:[]`},
	{keyOf("nil slice", []string(nil)), `app:f:nil`},
	{keyOf("slices", [][]int{nil, {}, {1, 2}}), `app:f:[nil,[],[1,2]]`},
	{keyOf("array", [2]bool{true}), `app:f:[true,false]`},
	{keyOf("empty array", [0]func(){}), `app:f:[]`},
	{keyOf("map", map[string]int{"b": 2, "a": 1, "": 0}), `app:f:map("":0,"a":1,"b":2)`},
	{keyOf("map of ints", map[int]string{10: "x", 9: "y", -1: "z"}), `app:f:map(-1:"z",10:"x",9:"y")`},
	{keyOf("map of maps", map[keyPoint]map[bool][]byte{{1, 2}: {true: nil, false: {1}}}), `app:f:map((X=1,Y=2):map(false:x01,true:nil))`},
	{keyOf("empty map", map[string]int{}), `app:f:map()`},
	{keyOf("nil map", map[string]int(nil)), `app:f:nil`},
	{keyOf("struct", keyPoint{1, -2}), `app:f:(X=1,Y=-2)`},
	{keyOf("fields by name", struct{ B, a, A int }{1, 2, 3}), `app:f:(A=3,B=1,a=2)`},
	{keyOf("field beyond ASCII", struct{ É int }{1}), `app:f:(%C3%89=1)`},
	{keyOf("no fields", struct{ _ int }{}), `app:f:()`},
	{
		keyOf("unexported fields", keyQuery{"shoes", 2, &keyQuery{}, time.Unix(1, 0), [0]func(){}}),
		`app:f:(Page=2,Text="shoes",filter=&(Page=0,Text="",filter=nil,since=@-62135596800),since=@1)`,
	},
	{keyOf("embedded fields", keyEmbedded{time.Unix(5, 0), "x"}), `app:f:(Note="x",Time=@5)`},
	{keyOf("list", keyList[int]{1, &keyList[int]{2, nil}}), `app:f:(Head=1,Tail=&(Head=2,Tail=nil))`},
	{keyOf("pointer", pointerTo("a b")), `app:f:&"a%20b"`},
	{keyOf("nil pointer", (*string)(nil)), `app:f:nil`},
	{keyOf("pointer to nil", pointerTo((*int)(nil))), `app:f:&nil`},

	// times
	{keyOf("time", time.Date(2026, 1, 1, 1, 0, 0, 0, time.FixedZone("", 3600))), `app:f:@1767225600`},
	{keyOf("time with nanoseconds", time.Unix(1767225600, 70)), `app:f:@1767225600.000000070`},
	{keyOf("zero time", time.Time{}), `app:f:@-62135596800`},
	{keyOf("time before 1970", time.Unix(-1, 5e8)), `app:f:@-1.500000000`},
	{keyOf("named time", keyStamp(time.Unix(3, 4))), `app:f:@3.000000004`},
	{keyOf("times", map[string]*time.Time{"a": pointerTo(time.Unix(9, 0)), "b": nil}), `app:f:map("a":&@9,"b":nil)`},

	// types that say what they are
	{keyOf("CacheKey", keyed{"t 1", "secret"}), `app:f:k"t%201"`},
	{keyOf("CacheKey of a pointer's type", keyedPointer{7}), `app:f:k"7"`},
	{keyOf("CacheKey of a pointer", &keyedPointer{7}), `app:f:&k"7"`},
	{keyOf("CacheKey of a nil pointer", (*keyedPointer)(nil)), `app:f:nil`},
	{keyOf("CacheKey of a string", keyedName("Alice")), `app:f:k"alice"`},
	{keyOf("CacheKey of an embedded field", keyedOnly{keyed{"t", "s"}}), `app:f:k"t"`},
	{keyOf("CacheKeys", map[keyedName][]keyedPointer{"A": {{1}}}), `app:f:map(k"a":[k"1"])`},
	{keyOf("MarshalText that hides a struct", keyColor{1}), `app:f:(n=1)`},
	{keyOf("MarshalText of a pointer's type", keyText{`"`}), `app:f:(text="%22")`},
	{keyOf("unexported MarshalText", struct{ t map[int]keyText }{map[int]keyText{1: {"x"}}}), `app:f:(t=map(1:(text="x")))`},
	{keyOf("MarshalText that hides a string", keyToken("a b")), `app:f:a%20b`},
	{keyOf("MarshalText that hides bytes", keySecret("a")), `app:f:x61`},
	{keyOf("MarshalText that hides, in a struct", struct{ t *keyToken }{pointerTo(keyToken("a"))}), `app:f:(t=&"a")`},
	{keyOf("net.IP", net.IPv4(10, 0, 0, 1).To4()), `app:f:x0a000001`},
	{keyOf("big.Int", big.NewInt(-12)), `app:f:&t"-12"`},
	{keyOf("big.Int value", *big.NewInt(12)), `app:f:t"12"`},
	{keyOf("big.Rat", big.NewRat(1, 3)), `app:f:&t"1/3"`},
	{keyOf("big.Float", *big.NewFloat(0.5)), `app:f:t"0.5"`},
	{keyOf("regexp.Regexp", regexp.MustCompile("a+")), `app:f:&t"a+"`},
	{keyOf("netip.AddrPort", netip.MustParseAddrPort("1.2.3.4:5")), `app:f:t"1.2.3.4:5"`},
	{keyOf("netip.Addr", netip.MustParseAddr("fe80::1%eth0")), `app:f:t"fe80::1%25eth0"`},
	{keyOf("netip.Prefix", netip.MustParsePrefix("10.0.0.0/8")), `app:f:t"10.0.0.0/8"`},

	// interfaces
	{keyOf[any]("any string", "1"), `app:f:string("1")`},
	{keyOf[any]("any int", 1), `app:f:int(1)`},
	{keyOf[any]("any int64", int64(1)), `app:f:int64(1)`},
	{keyOf[any]("any float64", 1.0), `app:f:float64(1.0)`},
	{keyOf[any]("any bool", true), `app:f:bool(true)`},
	{keyOf[any]("any nil", nil), `app:f:nil`},
	{keyOf[any]("any nil pointer", (*int)(nil)), `app:f:*int(nil)`},
	{keyOf[any]("any time", time.Unix(1, 0)), `app:f:time.Time(@1)`},
	{keyOf[any]("any struct", keyPoint{1, 2}), `app:f:github.com/cairncache/cairn/memo.keyPoint((X=1,Y=2))`},
	{keyOf[any]("any pointer", &keyPoint{1, 2}), `app:f:*github.com/cairncache/cairn/memo.keyPoint(&(X=1,Y=2))`},
	{
		keyOf[any]("any generic type", keyList[keyPoint]{}),
		`app:f:github.com/cairncache/cairn/memo.keyList[github.com/cairncache/cairn/memo.keyPoint]((Head=(X=0,Y=0),Tail=nil))`,
	},
	{
		keyOf[any]("any struct without a name", struct {
			A int `json:"a"`
			b string
		}{1, "x"}),
		`app:f:struct<A=int%22json%3A\%22a\%22%22;github.com/cairncache/cairn/memo.b=string>((A=1,b="x"))`,
	},
	{
		keyOf("anys", map[string]any{"a": 1, "b": []any{"x", nil, 1.5}, "c": map[string]any{}}),
		`app:f:map("a":int(1),"b":[]any([string("x"),nil,float64(1.5)]),"c":map[string]any(map()))`,
	},
	{keyOf[fmt.Stringer]("interface with methods", time.Second), `app:f:time.Duration(1000000000)`},
	{keyOf("interface in a field", struct{ e error }{}), `app:f:(e=nil)`},

	// 200 bytes, and more
	{keyOf("200 bytes", strings.Repeat("a", 194)), `app:f:` + strings.Repeat("a", 194)},
	{keyOf("201 bytes", strings.Repeat("a", 195)), `app:f:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa#31e6d0b681e3855ff1f42131c9d967c25506a710dfddce8ca1ff4d60602f4033`},
	{keyOf("long compound", [100]int{1}), `app:f:[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0#deb6701818ab8e3392627608954395f21eb3b61ac47f5a35f9820dcaa4950a59`},
	{keyOf("long arguments", Args2[string, int]{strings.Repeat(" ", 100), 7}), `app:f:"%20%20%20%20%20%20%20%20%20%20%#56cad5b597714f2fa09261152adf4f6a9e92ea3bf553cbd339758c9f4ed023d4`},
	{keyOf("long bytes", make([]byte, 1000)), `app:f:x0000000000000000000000000000000#194a1f4998d9eaff2c044a51d9d9b53ab096789049dee059323cf857f518a4e7`},
}

func TestGoldenKeys(t *testing.T) {
	for _, golden := range goldenKeys {
		if got := golden.make(); got != golden.want {
			t.Errorf("%s: the key is %s\nwant %s\nKeys are stored: they must never change.", golden.name, got, golden.want)
		}
	}
}

// TestGoldenPrefixes holds what goldenKeys are for arguments for the rest of a
// key.
func TestGoldenPrefixes(t *testing.T) {
	for _, golden := range []struct{ namespace, name, version, want string }{
		{"app", "user", "", `app:user:`},
		{"app", "user", "v3", `app:user@v3:`},
		{"", "user", "", `:user:`},
		{"app", "", "", `app::`},
		{"a:b", "c@d", "e:f@g", `a%3Ab:c%40d@e%3Af%40g:`},
		{"tenant 1", "é(x)", "#{%}", `tenant%201:%C3%A9%28x%29@%23%7B%25%7D:`},
		{"a/b.c-d", "List[int]", "1+2", `a/b.c-d:List[int]@1+2:`},
	} {
		s, err := newKeySpace(golden.namespace, golden.name, golden.version)
		if err != nil {
			t.Fatal(err)
		}
		if s.prefix != golden.want {
			t.Errorf("prefix of %q %q %q is %s, want %s", golden.namespace, golden.name, golden.version, s.prefix, golden.want)
		}
		if got, want := s.raw("x:y z"), golden.want+"x:y%20z"; got != want {
			t.Errorf("raw key is %s, want %s", got, want)
		}
	}
}
