package memo

import (
	"encoding"
	"encoding/hex"
	"math"
	"reflect"
	"strconv"
	"time"
)

// encodeBool and the next five append the form of a leaf. They use no method of
// v that reflection forbids for unexported fields.
func encodeBool(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return strconv.AppendBool(b, v.Bool()), nil
}

func encodeInt(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return strconv.AppendInt(b, v.Int(), 10), nil
}

func encodeUint(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return strconv.AppendUint(b, v.Uint(), 10), nil
}

func encodeString(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return appendQuoted(b, v.String()), nil
}

func encodeFloat(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return appendFloat(b, v.Float(), v.Type().Bits())
}

func encodeComplex(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	z, bits := v.Complex(), v.Type().Bits()/2
	b, refused := appendFloat(append(b, '('), real(z), bits)
	if refused != nil {
		return nil, refused
	}
	b, refused = appendFloat(append(b, ','), imag(z), bits)
	return append(b, ')'), refused
}

func appendQuoted(b []byte, text string) []byte {
	return append(appendEscaped(append(b, '"'), text, &textBytes), '"')
}

// appendFloat appends the shortest form that gives f back, with a mark in it
// that integers do not have.
func appendFloat(b []byte, f float64, bits int) ([]byte, *refusal) {
	if math.IsNaN(f) {
		return nil, refuse("NaN, which does not equal itself, cannot be part of a key; set KeyFunc")
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, bits)
	for _, c := range b[start:] {
		if c == '.' || c == 'e' || c == 'I' {
			return b, nil
		}
	}
	return append(b, ".0"...), nil
}

func encodeByteSlice(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	if v.IsNil() {
		return append(b, "nil"...), nil
	}
	return hex.AppendEncode(append(b, 'x'), v.Bytes()), nil
}

func encodeByteArray(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return hex.AppendEncode(append(b, 'x'), addressable(v).Bytes()), nil
}

func encodeTime(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return appendInstant(b, *addressable(v).Addr().Interface().(*time.Time)), nil
}

// encodeConvertedTime appends a value of a type that was declared as time.Time.
func encodeConvertedTime(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	return appendInstant(b, v.Convert(timeType).Interface().(time.Time)), nil
}

func appendInstant(b []byte, t time.Time) []byte {
	b = strconv.AppendInt(append(b, '@'), t.Unix(), 10)
	if nanos := t.Nanosecond(); nanos > 0 {
		point := len(b)
		b = strconv.AppendInt(b, 1e9+int64(nanos), 10) // the leading 1 keeps the zeros after it
		b[point] = '.'
	}
	return b
}

func encodeCacheKey(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	key := addressable(v).Addr().Interface().(cacheKeyer).CacheKey()
	return appendQuoted(append(b, 'k'), key), nil
}

func encodeMarshaledText(_ *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
	text, err := addressable(v).Addr().Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return nil, refuse("MarshalText: %w", err)
	}
	return appendQuoted(append(b, 't'), string(text)), nil
}

// addressable returns v, or a copy of it that is addressable.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// unrestricted returns the value of an unexported field, which is addressable,
// without the mark that keeps reflection from calling its methods.
func unrestricted(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}
