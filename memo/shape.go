package memo

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// shapeOf returns a digest of what decides how values of type t look in JSON.
// Where two types differ in it, JSON of the one may be decoded into the other
// without an error and yet give half a value.
//
// Names of types are no part of it, but for those with methods of their own
// for JSON, and neither is the order of fields: a type may be renamed and
// moved. The description that is digested must never change, as digests are
// stored.
//
// codec says what looks at the values, and name is that of a codec that is not
// this package's.
func shapeOf(t reflect.Type, codec byte, name string) uint32 {
	d := describer{seen: make(map[reflect.Type]int), opaque: encodesItselfForJSON}
	if codec == codecGob {
		d.opaque = encodesItselfForGob
	}
	d.describe(t)
	if name != "" {
		d.text.WriteString(" by " + name)
	}
	sum := sha256.Sum256([]byte(d.text.String()))
	return binary.BigEndian.Uint32(sum[:])
}

type describer struct {
	text strings.Builder
	seen map[reflect.Type]int // structs by the order in which they were met

	// opaque reports whether the codec leaves values of a type to a method.
	// What that writes is known by the type's name alone.
	opaque func(reflect.Type) bool
}

func (d *describer) describe(t reflect.Type) {
	if t.Kind() != reflect.Pointer && d.opaque(t) {
		d.text.WriteString(t.PkgPath() + "." + t.String())
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		d.text.WriteByte('*')
		d.describe(t.Elem())
	case reflect.Slice:
		d.text.WriteString("[]")
		d.describe(t.Elem())
	case reflect.Array:
		fmt.Fprintf(&d.text, "[%d]", t.Len())
		d.describe(t.Elem())
	case reflect.Map:
		d.text.WriteString("map[")
		d.describe(t.Key())
		d.text.WriteByte(']')
		d.describe(t.Elem())
	case reflect.Struct:
		d.describeStruct(t)
	default:
		d.text.WriteString(t.Kind().String())
	}
}

func (d *describer) describeStruct(t reflect.Type) {
	if n, ok := d.seen[t]; ok {
		fmt.Fprintf(&d.text, "^%d", n)
		return
	}
	d.seen[t] = len(d.seen)
	d.text.WriteByte('{')
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		fields[i] = t.Field(i)
	}
	slices.SortFunc(fields, func(a, b reflect.StructField) int { return strings.Compare(a.Name, b.Name) })
	for _, field := range fields {
		if !field.IsExported() && !field.Anonymous {
			continue
		}
		if field.Anonymous {
			d.text.WriteByte('+')
		}
		fmt.Fprintf(&d.text, "%s %q ", field.Name, field.Tag.Get("json"))
		d.describe(field.Type)
		d.text.WriteByte(';')
	}
	d.text.WriteByte('}')
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// encodesItselfForJSON reports whether encoding/json leaves t, which is not a
// pointer, to a method.
func encodesItselfForJSON(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) || p.Implements(textMarshaler)
}
