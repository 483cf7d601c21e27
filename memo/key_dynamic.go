package memo

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// dynamicType is a type that was found in an interface.
type dynamicType struct {
	label []byte // the name and an opening bracket
	elem  *typeEncoder
}

var (
	dynamicTypes sync.Map // of reflect.Type: *dynamicType
	dynamicNames sync.Map // of the name in a key: the reflect.Type that has it
)

// encodeInterface appends the type and the value in an interface.
func encodeInterface(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	if v.IsNil() {
		return append(b, "nil"...), nil
	}
	v = v.Elem()
	d, refused := dynamicTypeOf(v.Type())
	if refused == nil {
		refused = s.enter(visit{}, b)
	}
	if refused == nil {
		b, refused = d.elem.encode(s, append(b, d.label...), v)
	}
	if refused != nil {
		return nil, refused.in(".(" + v.Type().String() + ")")
	}
	s.leave()
	return append(b, ')'), nil
}

// dynamicTypeOf returns the encoder of a type with its name. Two types of one
// name, as can be declared inside functions, would share keys, so the second
// is refused.
func dynamicTypeOf(t reflect.Type) (*dynamicType, *refusal) {
	if d, ok := dynamicTypes.Load(t); ok {
		return d.(*dynamicType), nil
	}
	elem, refused := encoderOf(t)
	if refused != nil {
		return nil, refused
	}
	name := typeName(t)
	if other, taken := dynamicNames.LoadOrStore(name, t); taken && other != t {
		return nil, refuse("another type is named %s too, so that their keys would be the same; "+
			"declare types that go into interfaces outside functions, or set KeyFunc", name)
	}
	d := &dynamicType{append(appendEscaped(nil, name, &partBytes), '('), elem}
	dynamicTypes.Store(t, d)
	return d, nil
}

// typeName is the name of a type with the full paths of packages.
func typeName(t reflect.Type) string {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + typeName(t.Elem())
	case reflect.Slice:
		return "[]" + typeName(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + typeName(t.Elem())
	case reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	case reflect.Struct:
		return structName(t)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return "any"
		}
	}
	return t.String()
}

// structName is the name of a struct type that has none: all that makes it
// different from others.
func structName(t reflect.Type) string {
	var b strings.Builder
	b.WriteString("struct<")
	for i := range t.NumField() {
		f := t.Field(i)
		if i > 0 {
			b.WriteByte(';')
		}
		if f.PkgPath != "" {
			b.WriteString(f.PkgPath + ".")
		}
		b.WriteString(f.Name)
		if f.Anonymous {
			b.WriteByte('^')
		}
		b.WriteString("=" + typeName(f.Type))
		if f.Tag != "" {
			b.WriteString(strconv.Quote(string(f.Tag)))
		}
	}
	b.WriteByte('>')
	return b.String()
}
