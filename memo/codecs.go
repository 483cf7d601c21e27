package memo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
)

// Codec makes bytes of values, and values of bytes. Its methods may be called
// concurrently. A panic in one of them counts as an error.
//
// A codec of one's own is known in entries by its Go type, import path
// included. An entry of a codec of another type is not given to Decode, but
// loaded anew, so a type that is renamed or moved loses its entries. A type
// whose format changes must get another name, or refuse what it wrote before.
type Codec[V any] interface {
	// Append appends the encoded v to b and returns the extended slice, as the
	// built-in append does. It neither changes nor keeps v, nor what v points
	// to. A value that Decode would not bring back as it was should be an
	// error; it is then returned to callers and not stored.
	Append(b []byte, v V) ([]byte, error)

	// Decode returns the value that Append made b of, as a value of its own:
	// it neither keeps nor changes b. The bytes come from a store, where they
	// may have been damaged. What Append cannot have written is an error, as
	// far as Decode can tell; the entry is then loaded anew.
	Decode(b []byte) (V, error)
}

// The codecs, as an envelope names them.
const (
	codecCustom = 0
	codecJSON   = 1
	codecGob    = 2
	codecBytes  = 3
	codecString = 4
)

// codecID returns how an envelope names c, which is not nil. The name is empty
// but for a codec of a user's own, which all have the same id: it is then the
// codec's type, and has to be a part of the entry's shape.
func codecID[V any](c Codec[V]) (id byte, name string) {
	switch any(c).(type) {
	case jsonCodec[V]:
		return codecJSON, ""
	case gobCodec[V]:
		return codecGob, ""
	case bytesCodec:
		return codecBytes, ""
	case stringCodec:
		return codecString, ""
	}
	t, stars := reflect.TypeOf(c), ""
	for ; t.Kind() == reflect.Pointer && t.Name() == ""; t = t.Elem() {
		stars += "*"
	}
	if t.Name() == "" {
		return codecCustom, stars + t.String()
	}
	return codecCustom, stars + t.PkgPath() + "." + t.Name()
}

// JSON is the codec of encoding/json, and the default. A value comes back as
// json.Unmarshal makes it of what json.Marshal wrote: unexported fields and
// those tagged "-" are zero, a value in an interface is a map, a slice, a
// string, a float64 or a bool, and bytes of a string that are not UTF-8 are
// U+FFFD. Nil and empty slices and maps stay apart.
func JSON[V any]() Codec[V] { return jsonCodec[V]{} }

type jsonCodec[V any] struct{}

// An Encoder writes to b what Marshal would first copy to a slice of its own.
func (jsonCodec[V]) Append(b []byte, v V) ([]byte, error) {
	w := writer(b)
	if err := json.NewEncoder(&w).Encode(v); err != nil {
		return nil, &foreignError{err}
	}
	return w[:len(w)-1], nil // without the newline that Encode adds
}

func (jsonCodec[V]) Decode(b []byte) (v V, err error) {
	if err := json.Unmarshal(b, &v); err != nil {
		return v, &foreignError{err}
	}
	return v, nil
}

// writer appends to itself.
type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// Bytes is the codec of byte slices, which are stored as they are. Nil and
// empty stay apart. Values are copied.
func Bytes() Codec[[]byte] { return bytesCodec{} }

// A payload is the value itself, and no bytes at all are nil. Therefore a value
// that is nothing but zero bytes, as the empty one is, has a zero byte more.
type bytesCodec struct{}

func (bytesCodec) Append(b, v []byte) ([]byte, error) {
	if b = append(b, v...); v != nil && onlyZeros(v) {
		b = append(b, 0)
	}
	return b, nil
}

func (bytesCodec) Decode(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if onlyZeros(b) {
		b = b[1:]
	}
	return append([]byte{}, b...), nil
}

func onlyZeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// String is the codec of strings, which are stored as they are, whatever bytes
// are in them.
func String() Codec[string] { return stringCodec{} }

type stringCodec struct{}

func (stringCodec) Append(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
func (stringCodec) Decode(b []byte) (string, error)           { return string(b), nil }

// appendValue is c.Append, of which it takes nothing for granted.
func appendValue[V any](c Codec[V], b []byte, v V) (out []byte, err error) {
	defer panicked("codec", &err)
	if out, err = c.Append(b, v); err != nil {
		return nil, ofCodec(c, err)
	}
	if !bytes.HasPrefix(out, b) {
		return nil, errNotAppended
	}
	return out, nil
}

var errNotAppended = errors.New("what the codec's Append returned does not begin with the slice that it was to append to")

// decodeValue is c.Decode, of which it takes nothing for granted. If there is
// an error the value is zero.
func decodeValue[V any](c Codec[V], b []byte) (v V, err error) {
	defer panicked("codec", &err)
	decoded, err := c.Decode(b)
	if err != nil {
		return v, ofCodec(c, err)
	}
	return decoded, nil
}

// ofCodec marks the error of a user's codec, which may quote a value.
func ofCodec[V any](c Codec[V], err error) error {
	if id, _ := codecID(c); id != codecCustom {
		return err
	}
	return &foreignError{err}
}

// panicked is to be deferred around what a user has written. It makes an error
// of a panic.
func panicked(what string, err *error) {
	if value := recover(); value != nil {
		*err = fmt.Errorf("the %s panicked: %w", what, &PanicError{Value: value, Stack: debug.Stack()})
	}
}
