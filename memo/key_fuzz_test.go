package memo

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// keyOdd has a field of every form that can be read back from a key.
type keyOdd struct {
	Bool    bool
	Small   int8
	Large   uint64
	Float   float64
	Single  float32
	Complex complex64
	Text    keyName
	Bytes   []byte
	Hash    [3]keyByte
	None    [0]string
	Lists   [][]string
	Grid    [2][]bool
	Map     map[string]map[int8]*uint8
	Points  map[keyPoint]any
	At      time.Time
	Double  **keyPoint
	next    *keyOdd
	inner   struct {
		at     time.Time
		anys   []any
		arrays [1]map[bool]string
	}
	keyPoint
	_ int
}

// dynamicKeyTypes are the types in interfaces.
var dynamicKeyTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[uint8](),
	reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[keyName](), reflect.TypeFor[keyID](),
	reflect.TypeFor[[]byte](), reflect.TypeFor[[]any](), reflect.TypeFor[[]string](), reflect.TypeFor[[2]any](),
	reflect.TypeFor[map[string]any](), reflect.TypeFor[map[keyPoint]string](), reflect.TypeFor[*int](), reflect.TypeFor[**int](),
	reflect.TypeFor[*any](), reflect.TypeFor[keyPoint](), reflect.TypeFor[*keyPoint](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[struct{}](), reflect.TypeFor[struct{ a, b any }](), reflect.TypeFor[keyList[any]](), reflect.TypeFor[*keyOdd](),
}

// keySource makes values out of the bytes of a fuzzer.
type keySource struct{ bytes []byte }

func (s *keySource) number() uint64 {
	var b [8]byte
	n := copy(b[:], s.bytes)
	s.bytes = s.bytes[n:]
	return binary.LittleEndian.Uint64(b[:])
}

func (s *keySource) small(n int) int {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b) % n
}

func (s *keySource) text() string {
	n := min(s.small(12), len(s.bytes))
	text := string(s.bytes[:n])
	s.bytes = s.bytes[n:]
	if s.small(16) == 15 {
		text = strings.Repeat(text, 40)
	}
	return text
}

// fill sets v to a value that the next bytes say.
func (s *keySource) fill(v reflect.Value, depth int) {
	t := v.Type()
	if depth > 6 || len(s.bytes) == 0 {
		return
	}
	if t == timeType {
		at := time.Unix(int64(int32(s.number())), int64(s.small(3))).In(time.FixedZone("", s.small(2)*3600))
		v.Set(reflect.ValueOf(at))
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(s.small(2) == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(s.number()) >> s.small(64))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(s.number() >> s.small(64))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(s.float())
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(s.float(), s.float()))
	case reflect.String:
		v.SetString(s.text())
	default:
		s.fillCompound(v, depth)
	}
}

func (s *keySource) float() float64 {
	f := math.Float64frombits(s.number())
	switch {
	case math.IsNaN(f):
		return math.Inf(-1)
	case s.small(4) == 0:
		return math.Copysign(0, f)
	case s.small(2) == 0:
		return math.Trunc(f)
	}
	return f
}

func (s *keySource) fillCompound(v reflect.Value, depth int) {
	t := v.Type()
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Array && s.small(4) == 0 {
		return // nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		s.fill(v.Elem(), depth+1)
	case reflect.Interface:
		e := reflect.New(dynamicKeyTypes[s.small(len(dynamicKeyTypes))]).Elem()
		s.fill(e, depth+1)
		v.Set(e)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, s.small(4), 4))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			s.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		for range s.small(4) {
			key, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			s.fill(key, depth+1)
			s.fill(e, depth+1)
			v.SetMapIndex(key, e)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).Name != "_" {
				s.fill(unrestricted(v.Field(i)), depth+1)
			}
		}
	}
}

// sameKeyed reports whether a and b of one static type ought to have the same
// key.
func sameKeyed(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() && b.IsNil()
		}
	}
	if a.Type() == timeType {
		return addressable(a).Addr().Interface().(*time.Time).Equal(*addressable(b).Addr().Interface().(*time.Time))
	}
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Complex64, reflect.Complex128:
		x, y := a.Complex(), b.Complex()
		return math.Float64bits(real(x)) == math.Float64bits(real(y)) && math.Float64bits(imag(x)) == math.Float64bits(imag(y))
	case reflect.Pointer:
		return sameKeyed(a.Elem(), b.Elem())
	case reflect.Interface:
		return a.Elem().Type() == b.Elem().Type() && sameKeyed(a.Elem(), b.Elem())
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameKeyed(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for i := a.MapRange(); i.Next(); {
			if e := b.MapIndex(i.Key()); !e.IsValid() || !sameKeyed(i.Value(), e) {
				return false
			}
		}
		return true
	case reflect.Struct:
		a, b = addressable(a), addressable(b)
		for i := range a.NumField() {
			if a.Type().Field(i).Name != "_" && !sameKeyed(unrestricted(a.Field(i)), unrestricted(b.Field(i))) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

// injective returns a test that two values of K which ought to differ have
// different keys, and others the same, and that a key can be read back.
func injective[K any]() func(t *testing.T, x, y []byte) {
	e, err := newKeyEncoder[K]("app", "f", "")
	if err != nil {
		panic(err)
	}
	return func(t *testing.T, x, y []byte) {
		var a, b K
		va, vb := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
		(&keySource{x}).fill(va, 0)
		(&keySource{y}).fill(vb, 0)
		keyA, errA := e.key(a)
		keyB, errB := e.key(b)
		if errA != nil || errB != nil {
			t.Fatalf("%#v: %v\n%#v: %v", a, errA, b, errB)
		}
		if same := sameKeyed(va, vb); same != (keyA == keyB) {
			t.Errorf("%#v has key %s\n%#v has key %s\nsame value: %v", a, keyA, b, keyB, same)
		}
		for i := range len(keyA) {
			if keyA[i] <= ' ' || keyA[i] > '~' || keyA[i] == '{' || keyA[i] == '}' {
				t.Errorf("byte %q in %s", keyA[i], keyA)
			}
		}
		if len(keyA) > maxPlainKey {
			t.Errorf("key of %d bytes", len(keyA))
		}
		plain, refused := e.encode(new(keyState), nil, va)
		if refused != nil {
			t.Fatal(refused.err)
		}
		if len(plain)+len(e.prefix) <= maxPlainKey && e.fast == nil && keyA != e.prefix+string(plain) {
			t.Errorf("key %s is not what was encoded: %s", keyA, plain)
		}
		var back K
		r := keyReader{string(plain), dynamicKeyTypes}
		if _, list := any(back).(argumentList); list {
			r.arguments(reflect.ValueOf(&back).Elem())
		} else {
			r.read(reflect.ValueOf(&back).Elem())
		}
		if r.rest != "" || !sameKeyed(va, reflect.ValueOf(&back).Elem()) {
			t.Errorf("%s was read as\n%#v, not as\n%#v; rest %q", plain, back, a, r.rest)
		}
	}
}

var injectiveShapes = []func(t *testing.T, x, y []byte){
	injective[keyOdd](),
	injective[any](),
	injective[string](),
	injective[int64](),
	injective[float64](),
	injective[float32](),
	injective[complex128](),
	injective[Args2[int64, string]](),
	injective[Args2[string, string]](),
	injective[Args3[string, keyName, string]](),
	injective[Args3[float64, bool, uint8]](),
	injective[Args3[any, []byte, *any]](),
	injective[Args2[[]string, []string]](),
	injective[map[string]any](),
	injective[map[uint16]map[keyName]any](),
	injective[[][]byte](),
	injective[map[[2]string]*[]string](),
	injective[time.Time](),
	injective[[]any](),
}

// FuzzKeyInjective holds that two values have the same key only if they are
// the same.
func FuzzKeyInjective(f *testing.F) {
	long := []byte(strings.Repeat("\x01\x02\x03\x04\x05\x06\x07a\"b,:%", 20))
	for shape := range injectiveShapes {
		f.Add(uint8(shape), []byte{}, []byte{1})
		f.Add(uint8(shape), []byte("\x05ab\",c\x02de"), []byte("\x04ab\",\x03cde"))
		f.Add(uint8(shape), long, long)
		f.Add(uint8(shape), long, long[1:])
		f.Add(uint8(shape), long[:100], long[:101])
	}
	f.Fuzz(func(t *testing.T, shape uint8, x, y []byte) {
		test := injectiveShapes[int(shape)%len(injectiveShapes)]
		test(t, x, y)
		test(t, x, x)
	})
}

// FuzzKeyPrefix holds the same of the other parts of a key.
func FuzzKeyPrefix(f *testing.F) {
	f.Add("a:b", "c", "", "x", "a", "b:c", "", "x")
	f.Add("a", "b@c", "", "x", "a", "b", "c", "x")
	f.Add("a", "b", "c", "d:e", "a", "b", "", "c:d:e")
	f.Add("a", "b", "", strings.Repeat("x", 300), "a", "b", "", strings.Repeat("x", 301))
	f.Add("1", "", "", "", "10", "", "", "")
	f.Fuzz(func(t *testing.T, namespace, name, version, text, namespace2, name2, version2, text2 string) {
		a, errA := newKeySpace(namespace, name, version)
		b, errB := newKeySpace(namespace2, name2, version2)
		if errA != nil || errB != nil {
			t.Skip("too long")
		}
		keyA, keyB := a.raw(text), b.raw(text2)
		sameSpace := namespace == namespace2 && name == name2 && version == version2
		if (keyA == keyB) != (sameSpace && text == text2) {
			t.Errorf("keys %s and %s", keyA, keyB)
		}
		if !strings.HasPrefix(keyA, a.prefix) || strings.HasPrefix(keyA, b.prefix) != sameSpace {
			t.Errorf("key %s, own prefix %s, other prefix %s", keyA, a.prefix, b.prefix)
		}
		if plain := strings.TrimPrefix(keyA, a.prefix); !strings.Contains(keyA, "#") && unescape(plain) != text {
			t.Errorf("key %s is not that of %q", keyA, text)
		}
	})
}
