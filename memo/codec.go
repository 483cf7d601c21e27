package memo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// The codecs, as an envelope names them.
const codecJSON = 1

// entry is a value with what is known about it: what is stored.
type entry[V any] struct {
	header
	value V
}

// format is how the values of a function are stored.
type format[V any] struct {
	codec byte
	shape uint32
}

func newFormat[V any]() format[V] {
	return format[V]{codec: codecJSON, shape: shapeOf(reflect.TypeFor[V]())}
}

// newEntry makes the entry of a value that was loaded just now.
func (f format[V]) newEntry(value V, load, ttl time.Duration) *entry[V] {
	return &entry[V]{newHeader(f.codec, f.shape, load, ttl), value}
}

// encode returns the envelope of e. The error is an *encodeError.
func (e *entry[V]) encode() ([]byte, error) {
	payload, err := json.Marshal(e.value)
	if err != nil {
		return nil, &encodeError{err}
	}
	return e.append(make([]byte, 0, headerLen+len(payload)), payload), nil
}

// decode is the reverse of encode. It keeps nothing of b.
func (f format[V]) decode(b []byte) (*entry[V], error) {
	h, payload, err := parseEnvelope(b)
	switch {
	case err != nil:
		return nil, err
	case h.codec != f.codec:
		return nil, fmt.Errorf("the entry has codec %d, and the function %d", h.codec, f.codec)
	case h.shape != f.shape:
		return nil, fmt.Errorf("the entry holds a value of another type than %v, or of %[1]v before it was changed", reflect.TypeFor[V]())
	}
	e := &entry[V]{header: h}
	if err := json.Unmarshal(payload, &e.value); err != nil {
		return nil, err
	}
	return e, nil
}

// encodeError tells a value that cannot be encoded from a store that fails.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return e.err.Error() }
func (e *encodeError) Unwrap() error { return e.err }
