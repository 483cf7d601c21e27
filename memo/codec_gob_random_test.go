package memo

import (
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"
)

// rich is a type with what gob is odd about.
type rich struct {
	I    int8
	P    *int8
	PP   **uint8
	S    []string
	PS   *[]uint8
	B    []byte
	M    map[string]*float32
	MS   map[int8][]int8
	Sub  *rich
	Subs []rich
	Arr  [2]struct{ B *bool }
	T    struct{ X, Y *string }
	E    struct {
		*tile // not exported by name
		N     *int
	}
	C complex64
}

// Whatever the value is, it comes back but for what is documented, or is
// refused.
func TestGobChangesNothingElse(t *testing.T) {
	encoded, refused := 0, 0
	err := quick.Check(func(v rich) bool {
		b, err := Gob[rich]().Append(nil, v)
		if err != nil {
			refused++
			return true
		}
		encoded++
		got, err := Gob[rich]().Decode(b)
		if err != nil || !sameButEmpty(reflect.ValueOf(got), reflect.ValueOf(v)) {
			t.Errorf("%+v came back as %+v, %v", v, got, err)
			return false
		}
		return true
	}, &quick.Config{MaxCount: 2000, Rand: rand.New(rand.NewSource(1)), Values: func(args []reflect.Value, r *rand.Rand) {
		args[0] = reflect.New(reflect.TypeFor[rich]()).Elem()
		fill(args[0], r, 3)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if encoded < 200 || refused < 200 {
		t.Errorf("%d values were encoded and %d refused: that says little", encoded, refused)
	}
}

// fill makes v any value, often a zero or an empty one.
func fill(v reflect.Value, r *rand.Rand, depth int) {
	some := r.Intn(8) != 0
	switch v.Kind() {
	case reflect.Pointer:
		if some && depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), r, depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && r.Intn(4) == 0 {
				fill(v.Field(i), r, depth)
			}
		}
	case reflect.Slice:
		if some {
			n := 0
			if depth > 0 {
				n = r.Intn(3)
			}
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(v.Index(i), r, depth-1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), r, depth)
		}
	case reflect.Map:
		if some {
			v.Set(reflect.MakeMap(v.Type()))
			for range r.Intn(3) {
				key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(key, r, depth-1)
				fill(elem, r, depth-1)
				v.SetMapIndex(key, elem)
			}
		}
	default:
		if x, ok := quick.Value(v.Type(), r); ok && some {
			v.Set(x)
		}
	}
}

func sameButEmpty(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || sameButEmpty(a.Elem(), b.Elem()))
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !sameButEmpty(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameButEmpty(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for key, elem := range a.Seq2() {
			if other := b.MapIndex(key); !other.IsValid() || !sameButEmpty(elem, other) {
				return false
			}
		}
		return true
	}
	return a.Interface() == b.Interface()
}
