package memo

import (
	"reflect"
	"strconv"
)

type (
	// Args0 is the argument of a function that has none.
	Args0 struct{}

	// Args2 is two arguments of a function, where one value stands for both:
	// in FuncOptions and in what takes several at a time.
	Args2[A, B any] struct {
		A A
		B B
	}

	// Args3 is three arguments, likewise.
	Args3[A, B, C any] struct {
		A A
		B B
		C C
	}
)

// argumentList is what these types are, and no other.
type argumentList interface {
	// leafKey returns a function of type leafKey[K], where K is the type itself,
	// for use if all arguments are leaves.
	leafKey() any
}

// leafKey makes a key of arguments that are leaves, and so without what the
// general encoders need: a place in the heap. ok is false if there is a NaN.
type leafKey[K any] func(s *keySpace, k K) (key string, ok bool)

func (Args0) leafKey() any {
	return leafKey[Args0](func(s *keySpace, _ Args0) (string, bool) { return s.prefix, true })
}

func (Args2[A, B]) leafKey() any {
	return leafKey[Args2[A, B]](func(s *keySpace, k Args2[A, B]) (string, bool) {
		var room [stackKey]byte
		b, okA := appendLeaf(append(room[:0], s.prefix...), &k.A)
		b, okB := appendLeaf(append(b, ','), &k.B)
		return s.finish(b), okA && okB
	})
}

func (Args3[A, B, C]) leafKey() any {
	return leafKey[Args3[A, B, C]](func(s *keySpace, k Args3[A, B, C]) (string, bool) {
		var room [stackKey]byte
		b, okA := appendLeaf(append(room[:0], s.prefix...), &k.A)
		b, okB := appendLeaf(append(b, ','), &k.B)
		b, okC := appendLeaf(append(b, ','), &k.C)
		return s.finish(b), okA && okB && okC
	})
}

// onlyLeafKey is the leafKey of a function with one argument.
func onlyLeafKey[K any](s *keySpace, k K) (string, bool) {
	if text, ok := any(&k).(*string); ok {
		return s.raw(*text), true
	}
	if v := reflect.ValueOf(&k).Elem(); v.Kind() == reflect.String {
		return s.raw(v.String()), true
	}
	var room [stackKey]byte
	b, ok := appendLeaf(append(room[:0], s.prefix...), &k)
	return s.finish(b), ok
}

// stackKey is the length of a key up to which it is made on the stack.
const stackKey = 128

// appendLeaf appends the form of a leaf. It is the encoder of its type without
// the indirections that would move the leaf and the buffer to the heap.
func appendLeaf[T any](b []byte, leaf *T) ([]byte, bool) {
	switch leaf := any(leaf).(type) { // without reflection, which shows
	case *int:
		return strconv.AppendInt(b, int64(*leaf), 10), true
	case *int64:
		return strconv.AppendInt(b, *leaf, 10), true
	case *string:
		return appendQuoted(b, *leaf), true
	}
	switch v := reflect.ValueOf(leaf).Elem(); v.Kind() {
	case reflect.Bool:
		b, _ = encodeBool(nil, b, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		b, _ = encodeInt(nil, b, v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		b, _ = encodeUint(nil, b, v)
	case reflect.String:
		b, _ = encodeString(nil, b, v)
	case reflect.Float32, reflect.Float64:
		b, refused := encodeFloat(nil, b, v)
		return b, refused == nil
	case reflect.Complex64, reflect.Complex128:
		b, refused := encodeComplex(nil, b, v)
		return b, refused == nil
	}
	return b, true
}

// argumentsEncoder returns what encodes the arguments of a function, of which
// K is the type: a list, or the only one. fast is nil if they are not all
// leaves.
func argumentsEncoder[K any]() (encode encodeFunc, fast leafKey[K], refused *refusal) {
	var none K
	if list, ok := any(none).(argumentList); ok {
		encode, leaves, refused := listEncoder(reflect.TypeFor[K]())
		if leaves {
			fast = list.leafKey().(leafKey[K])
		}
		return encode, fast, refused
	}
	e, refused := encoderOf(reflect.TypeFor[K]())
	if refused != nil {
		return nil, nil, refused
	}
	if e.leaf {
		fast = onlyLeafKey[K]
	}
	return e.encode, fast, nil
}

// listEncoder returns the encoder of a list of arguments, and whether all are
// leaves.
func listEncoder(t reflect.Type) (encode encodeFunc, leaves bool, refused *refusal) {
	args := make([]*typeEncoder, t.NumField())
	leaves = true
	for i := range args {
		if args[i], refused = encoderOf(t.Field(i).Type); refused != nil {
			refused.arg = i + 1
			return nil, false, refused
		}
		leaves = leaves && args[i].leaf
	}
	return func(s *keyState, b []byte, v reflect.Value) (_ []byte, refused *refusal) {
		for i, arg := range args {
			if i > 0 {
				b = append(b, ',')
			}
			if b, refused = arg.encode(s, b, v.Field(i)); refused != nil {
				refused.arg = i + 1
				return nil, refused
			}
		}
		return b, nil
	}, leaves, nil
}
