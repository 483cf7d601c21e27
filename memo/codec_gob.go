package memo

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"sync"
)

// Gob is the codec of encoding/gob, for values that JSON cannot bring back: a
// value in an interface keeps its type, if that was given to gob.Register, and
// maps may have any keys. As each entry has the description of its types in it,
// small values take several times as long as in JSON; large ones take less.
//
// Not all comes back as it was:
//   - Unexported fields are zero, and so is what a struct embeds by the name of
//     an unexported type, unless the type has GobEncode or MarshalBinary.
//   - Inside a value, an empty slice comes back as nil and a nil map in a slice
//     or a map as an empty one; in a field of a struct, -0.0 as 0. The value
//     itself keeps nil and empty apart, unless V is an interface.
//
// What gob would change beyond that is an error, and so is a value that refers
// to itself or is nested more than 10,000 levels deep: a pointer in a field to
// a zero number, string, bool or an empty slice, which would come back as nil;
// a func or a channel in an exported field; a nil pointer in a slice, a map or
// an interface. A type without an exported field is always an error.
//
// Entries have a checksum, so that damage is found before gob sees it. That is
// no protection from one who writes to the store with ill intent: crafted
// bytes can make encoding/gob use up memory or time. JSON is safe in this.
func Gob[V any]() Codec[V] { return gobCodec[V]{} }

// A payload is the CRC-32C of the rest, in big-endian order, then a byte and a
// gob stream of one value. The byte is 0. If it is n, there is no stream, and n
// counts the pointers from V to a nil, which gob has no form for: with 1 the
// value itself is nil, with 2 it is a pointer to a nil.
type gobCodec[V any] struct{}

const gobSumLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (gobCodec[V]) Append(b []byte, v V) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0)
	nilAt, err := findNil(reflect.ValueOf(&v).Elem())
	if err != nil {
		return nil, err
	}
	b[start+gobSumLen] = nilAt
	if nilAt == 0 {
		if b, err = appendGob(b, &v); err != nil {
			return nil, err
		}
	}
	sum := crc32.Checksum(b[start+gobSumLen:], castagnoli)
	binary.BigEndian.PutUint32(b[start:], sum)
	return b, nil
}

// appendGob is given a pointer, as gob would encode what is in an interface V
// as if V were no interface.
func appendGob[V any](b []byte, v *V) ([]byte, error) {
	if err := checkGob(reflect.ValueOf(v).Elem(), maxGobDepth); err != nil {
		return nil, err
	}
	w := writer(b)
	if err := gob.NewEncoder(&w).Encode(v); err != nil {
		return nil, &foreignError{err}
	}
	return w, nil
}

func (gobCodec[V]) Decode(b []byte) (v V, err error) {
	if len(b) <= gobSumLen {
		return v, fmt.Errorf("%d bytes are too few for a value; the entry was cut", len(b))
	}
	sum, rest := binary.BigEndian.Uint32(b), b[gobSumLen:]
	if sum != crc32.Checksum(rest, castagnoli) {
		return v, errors.New("the checksum is not that of the bytes; the entry is damaged")
	}
	nilAt, stream := rest[0], bytes.NewReader(rest[1:])
	root := reflect.ValueOf(&v).Elem()
	if nilAt > 0 {
		err = makeNil(root, nilAt)
	} else {
		makeEmpty(root)
		if err = gob.NewDecoder(stream).Decode(&v); err != nil {
			err = &foreignError{err}
		}
	}
	if err == nil && stream.Len() > 0 {
		err = fmt.Errorf("%d bytes follow the value", stream.Len())
	}
	return v, err
}

// findNil returns where v is nil, as a payload says it.
func findNil(v reflect.Value) (byte, error) {
	const most = 100 // gob's own limit is near; a pointer may point to itself
	for n := byte(1); n < most; n++ {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			if v.IsNil() {
				return n, nil
			}
		}
		if v.Kind() != reflect.Pointer {
			return 0, nil
		}
		v = v.Elem()
	}
	return 0, fmt.Errorf("more than %d pointers lead to the value", most)
}

// makeNil is the reverse of findNil.
func makeNil(v reflect.Value, nilAt byte) error {
	for ; nilAt > 1 && v.Kind() == reflect.Pointer; nilAt-- {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if nilAt == 1 {
			return nil
		}
	}
	return errors.New("the entry says that the value is nil where it cannot be")
}

// makeEmpty makes a v that is a slice, or points to one, empty: gob leaves a
// slice as it is if it has read that there are no elements.
func makeEmpty(v reflect.Value) {
	t := v.Type()
	for n := 0; t.Kind() == reflect.Pointer && n < 100; n++ {
		t = t.Elem()
	}
	if t.Kind() != reflect.Slice {
		return
	}
	for v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	v.Set(reflect.MakeSlice(t, 0, 0))
}

// maxGobDepth is the depth to which encoding/json decodes, too. Where a value
// refers to itself, gob would recurse until the program is killed.
const maxGobDepth = 10_000

// checkGob returns an error if gob would silently lose a part of v, or never
// come to an end.
func checkGob(v reflect.Value, depth int) error {
	if survivesGob(v.Type()) {
		return nil
	}
	if depth < 0 {
		return fmt.Errorf("it is nested more than %d levels deep, or refers to itself", maxGobDepth)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return checkGob(v.Elem(), depth-1)
		}
	case reflect.Struct:
		return checkGobFields(v, depth)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := checkGob(v.Index(i), depth-1); err != nil {
				return err
			}
		}
	case reflect.Map:
		for key, elem := range v.Seq2() {
			if err := cmp.Or(checkGob(key, depth-1), checkGob(elem, depth-1)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkGobFields(v reflect.Value, depth int) error {
	for i := range v.NumField() {
		f := v.Field(i)
		if survivesGob(f.Type()) {
			continue
		}
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		switch {
		case f.Kind() == reflect.Func || f.Kind() == reflect.Chan:
			if !f.IsNil() {
				return fmt.Errorf("encoding/gob would drop %v.%s, which is a %v", v.Type(), field.Name, f.Kind())
			}
		case f.Kind() == reflect.Pointer && !f.IsNil() && gobOmits(f.Elem()):
			return fmt.Errorf("encoding/gob would make %v.%s nil, as what it points to is zero or empty", v.Type(), field.Name)
		}
		if err := checkGob(f, depth); err != nil {
			return err
		}
	}
	return nil
}

// gobOmits reports whether gob writes nothing for a field of value v.
func gobOmits(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil() || gobOmits(v.Elem())
	case reflect.Struct, reflect.Array:
		return false
	case reflect.Slice:
		return v.Len() == 0
	case reflect.Func, reflect.Chan:
		return true
	}
	return v.IsZero()
}

// survivesGob reports whether checkGob finds nothing in whatever value of t, as
// it is with most types. The answer is kept, since there are few types and many
// values.
func survivesGob(t reflect.Type) bool {
	if known, ok := gobSurvivors.Load(t); ok {
		return known.(bool)
	}
	answer := survives(t, make(map[reflect.Type]bool))
	gobSurvivors.Store(t, answer)
	return answer
}

var gobSurvivors sync.Map // reflect.Type to bool

// survives adds the answers for t and what it consists of. A type of which t is
// a part has the answer no until there is one: it is recursive, so that a
// value may refer to itself.
func survives(t reflect.Type, answers map[reflect.Type]bool) bool {
	if answer, ok := answers[t]; ok {
		return answer
	}
	answers[t] = false
	answer := true
	if !encodesItselfForGob(t) {
		switch t.Kind() {
		case reflect.Interface, reflect.Func, reflect.Chan:
			answer = false
		case reflect.Pointer: // a struct or an array is never omitted
			k := t.Elem().Kind()
			answer = (k == reflect.Struct || k == reflect.Array) && survives(t.Elem(), answers)
		case reflect.Slice, reflect.Array:
			answer = survives(t.Elem(), answers)
		case reflect.Map:
			answer = survives(t.Key(), answers) && survives(t.Elem(), answers)
		case reflect.Struct:
			for field := range t.Fields() {
				answer = answer && (!field.IsExported() || survives(field.Type, answers))
			}
		}
	}
	answers[t] = answer
	return answer
}

var (
	gobEncoder      = reflect.TypeFor[gob.GobEncoder]()
	binaryMarshaler = reflect.TypeFor[encoding.BinaryMarshaler]()
)

// encodesItselfForGob reports whether gob leaves t to a method.
func encodesItselfForGob(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	p := t
	if t.Kind() != reflect.Pointer {
		p = reflect.PointerTo(t)
	}
	return p.Implements(gobEncoder) || p.Implements(binaryMarshaler)
}
