package memo

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"
	"time"
)

// cacheKeyer is a type that says itself what identifies a value of it.
type cacheKeyer interface{ CacheKey() string }

var (
	cacheKeyerType = reflect.TypeFor[cacheKeyer]()
	contextType    = reflect.TypeFor[context.Context]()
	timeType       = reflect.TypeFor[time.Time]()
	locationType   = reflect.TypeFor[time.Location]()
)

// encodeFunc appends the form of v to b. Reflection has not marked v as being of
// an unexported field, unless its type is a leaf.
type encodeFunc func(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal)

// typeEncoder encodes the values of one static type.
type typeEncoder struct {
	encode encodeFunc
	leaf   bool // a bool, number or string that is taken for what it is
}

// typeEncoders holds what was made of each reflect.Type, a *typeEncoder.
var typeEncoders sync.Map

// encoderOf returns the encoder of a type, or why it can have none.
func encoderOf(t reflect.Type) (*typeEncoder, *refusal) {
	if e, ok := typeEncoders.Load(t); ok {
		return e.(*typeEncoder), nil
	}
	c := compiler{}
	e, refused := c.encoder(t)
	if refused != nil {
		return nil, refused
	}
	for t, e := range c { // not before all of them are complete
		typeEncoders.LoadOrStore(t, e)
	}
	return e, nil
}

// A compiler makes the encoders of a type and of those it consists of. It holds
// those under way, so that a type may contain itself.
type compiler map[reflect.Type]*typeEncoder

func (c compiler) encoder(t reflect.Type) (*typeEncoder, *refusal) {
	if e, ok := typeEncoders.Load(t); ok {
		return e.(*typeEncoder), nil
	}
	if e, ok := c[t]; ok {
		return e, nil
	}
	e := new(typeEncoder)
	c[t] = e
	refused := c.compile(e, t)
	return e, refused
}

// compile chooses the encoder of t, by the rules at the head of key.go.
func (c compiler) compile(e *typeEncoder, t reflect.Type) (refused *refusal) {
	switch kind := t.Kind(); {
	case kind == reflect.Pointer:
		e.encode, refused = c.pointer(t)
	case kind == reflect.Interface:
		e.encode, refused = encodeInterface, refuseState(t)
	case methodOf(t, cacheKeyerType):
		e.encode = encodeCacheKey
		if embedded := embeds(t, cacheKeyerType); embedded != nil && t.NumField() > 1 {
			refused = refuse("CacheKey may be that of the embedded %v, which leaves out the other fields; "+
				"give the embedded field a name, or set KeyFunc", embedded)
		}
	case t == timeType:
		e.encode = encodeTime
	case faithful[t.PkgPath()+"."+t.Name()]:
		e.encode = encodeMarshaledText
	case refuseState(t) != nil:
		refused = refuseState(t)
	case kind == reflect.Struct && t.ConvertibleTo(timeType):
		e.encode = encodeConvertedTime
	default:
		refused = c.compileKind(e, t)
	}
	return refused
}

// compileKind chooses the encoder of a type without methods that matter.
func (c compiler) compileKind(e *typeEncoder, t reflect.Type) (refused *refusal) {
	e.leaf = true
	switch t.Kind() {
	case reflect.Bool:
		e.encode = encodeBool
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.encode = encodeInt
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.encode = encodeUint
		return nil
	case reflect.Float32, reflect.Float64:
		e.encode = encodeFloat
		return nil
	case reflect.Complex64, reflect.Complex128:
		e.encode = encodeComplex
		return nil
	case reflect.String:
		e.encode = encodeString
		return nil
	}
	e.leaf = false
	switch t.Kind() {
	case reflect.Slice:
		e.encode, refused = c.slice(t)
	case reflect.Array:
		e.encode, refused = c.array(t)
	case reflect.Map:
		e.encode, refused = c.mapping(t)
	case reflect.Struct:
		e.encode, refused = c.structure(t)
	case reflect.Uintptr:
		refused = refuseType("a uintptr, which may be an address,")
	case reflect.UnsafePointer:
		refused = refuseType("an unsafe.Pointer")
	default:
		refused = refuseType("a " + t.Kind().String()) // func or chan
	}
	return refused
}

// faithful are the types whose MarshalText tells apart all that differs. That
// of another type may hide its value, as that of a password or token does, and
// one user would be answered what is another's.
var faithful = map[string]bool{
	"math/big.Int": true, "math/big.Float": true, "math/big.Rat": true,
	"net/netip.Addr": true, "net/netip.AddrPort": true, "net/netip.Prefix": true,
	"regexp.Regexp": true,
}

// methodOf reports whether a T or a *T has the methods of the interface.
func methodOf(t, iface reflect.Type) bool {
	return reflect.PointerTo(t).Implements(iface)
}

// embeds returns the type of an embedded field from which the struct t may have
// the methods of the interface, or nil.
func embeds(t, iface reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && (f.Type.Implements(iface) || methodOf(f.Type, iface)) {
			return f.Type
		}
	}
	return nil
}

// refuseState refuses the types that are state, and have no value that would
// stay the same from one call to the next.
func refuseState(t reflect.Type) *refusal {
	isContext := t.Implements(contextType) || methodOf(t, contextType)
	if isContext && (embeds(t, contextType) == nil || t.PkgPath() == "context") {
		return refuseType("a context.Context, which the function gets beside its arguments,")
	}
	state := t == locationType
	if t.Kind() == reflect.Struct || t.Kind() == reflect.Interface {
		switch t.PkgPath() {
		case "sync", "sync/atomic", "reflect":
			state = true
		}
	}
	if state {
		return refuseType(t.String() + ", which is state and no value,")
	}
	return nil
}

func (c compiler) pointer(t reflect.Type) (encodeFunc, *refusal) {
	elem, refused := c.encoder(t.Elem())
	if refused != nil {
		return nil, refused
	}
	return pointerEncoder(elem), nil
}

func (c compiler) slice(t reflect.Type) (encodeFunc, *refusal) {
	elem, refused := c.encoder(t.Elem())
	if refused != nil {
		return nil, refused.in("[i]")
	}
	if elem.leaf && t.Elem().Kind() == reflect.Uint8 {
		return encodeByteSlice, nil
	}
	return sliceEncoder(elem), nil
}

func (c compiler) array(t reflect.Type) (encodeFunc, *refusal) {
	if t.Len() == 0 { // often of a type that is there for its effect on the compiler
		if t.Elem().Kind() == reflect.Uint8 {
			return constantEncoder("x"), nil
		}
		return constantEncoder("[]"), nil
	}
	elem, refused := c.encoder(t.Elem())
	if refused != nil {
		return nil, refused.in("[i]")
	}
	if elem.leaf && t.Elem().Kind() == reflect.Uint8 {
		return encodeByteArray, nil
	}
	return arrayEncoder(elem), nil
}

func (c compiler) mapping(t reflect.Type) (encodeFunc, *refusal) {
	key, refused := c.encoder(t.Key())
	if refused != nil {
		return nil, refused.in("[key]")
	}
	elem, refused := c.encoder(t.Elem())
	if refused != nil {
		return nil, refused.in("[value]")
	}
	return mapEncoder(t, key, elem), nil
}

func (c compiler) structure(t reflect.Type) (encodeFunc, *refusal) {
	var fields []structField
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" { // no part of equality either
			continue
		}
		elem, refused := c.encoder(f.Type)
		if refused != nil {
			return nil, refused.in("." + f.Name)
		}
		fields = append(fields, structField{
			name:       f.Name,
			index:      i,
			elem:       elem,
			restricted: !f.IsExported() && !elem.leaf,
		})
	}
	slices.SortFunc(fields, func(a, b structField) int { return cmp.Compare(a.name, b.name) })
	return structEncoder(fields), nil
}
