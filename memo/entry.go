package memo

import (
	"fmt"
	"reflect"
	"time"

	"github.com/cairncache/cairn/store"
)

// entry is a value with what is known about it: what is stored. One that is in
// a store is not changed any more.
type entry[V any] struct {
	value V
	header
	failure string // the text of the error that is stored instead of a value
}

// format is how the values of a function are stored.
type format[V any] struct {
	codec       Codec[V]
	id          byte
	shape       uint32
	compression *Compression
}

func newFormat[V any](codec Codec[V], compression *Compression) *format[V] {
	if codec == nil {
		codec = JSON[V]()
	}
	id, name := codecID(codec)
	return &format[V]{codec, id, shapeOf(reflect.TypeFor[V](), id, name), compression}
}

// header describes what was loaded just now and is fresh for ttl.
func (f *format[V]) header(load, ttl time.Duration) header {
	now := time.Now().UnixNano()
	return header{codec: f.id, shape: f.shape, created: now, fresh: after(now, ttl), load: load}
}

// encode returns the bytes of e. The error is an *encodeError.
func (f *format[V]) encode(e *entry[V]) ([]byte, error) {
	if e.negative() {
		return append(e.append(nil), e.failure...), nil
	}
	if f.compression == nil || f.compression.With == nil {
		b, err := appendValue(f.codec, e.append(make([]byte, 0, 2*headerLen)), e.value)
		if err != nil {
			return nil, &encodeError{err}
		}
		return b, nil
	}
	payload, err := appendValue(f.codec, nil, e.value)
	if err != nil {
		return nil, &encodeError{err}
	}
	h := e.header
	if small, ok := f.compression.compress(payload); ok {
		h.flags |= flagCompressed
		h.compressor, h.size = f.compression.With.ID(), uint64(len(payload))
		payload = small
	}
	return append(h.append(make([]byte, 0, 2*headerLen+len(payload))), payload...), nil
}

// live returns e as a store takes it. If the value may be shared it is encoded
// only where that is needed, and else now.
func (f *format[V]) live(e *entry[V], shared bool) (*store.Live, error) {
	if shared {
		return store.NewLive(e, func() ([]byte, error) { return f.encode(e) }), nil
	}
	b, err := f.encode(e)
	if err != nil {
		return nil, err
	}
	return store.LiveBytes(b), nil
}

// decode is the reverse of encode. It keeps nothing of b.
func (f *format[V]) decode(b []byte) (*entry[V], error) {
	h, payload, err := f.parse(b)
	if err != nil {
		return nil, err
	}
	return f.open(h, payload)
}

// parse reads the envelope alone.
func (f *format[V]) parse(b []byte) (header, []byte, error) {
	h, payload, err := parseEnvelope(b)
	switch {
	case err != nil:
		return header{}, nil, err
	case h.codec != f.id:
		return header{}, nil, fmt.Errorf("the entry has codec %d, and the function %d", h.codec, f.id)
	case h.shape != f.shape:
		return header{}, nil, fmt.Errorf("the entry holds a value of another type than %v, or of %[1]v before it was changed", reflect.TypeFor[V]())
	}
	return h, payload, nil
}

// open decodes the payload.
func (f *format[V]) open(h header, payload []byte) (*entry[V], error) {
	e := &entry[V]{header: h}
	if h.negative() {
		e.failure = string(payload)
		return e, nil
	}
	var err error
	if h.has(flagCompressed) {
		if payload, err = f.compression.decompress(h.compressor, payload, h.size); err != nil {
			return nil, err
		}
	}
	if e.value, err = decodeValue(f.codec, payload); err != nil {
		return nil, err
	}
	return e, nil
}

// encodeError tells a value that cannot be encoded from a store that fails.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return e.err.Error() }
func (e *encodeError) Unwrap() error { return e.err }

// describe returns what is known about the entry of h.
func (h *header) describe(staleFor time.Duration, size int) Meta {
	m := Meta{
		Created:  time.Unix(0, h.created),
		LoadTime: h.load,
		Size:     size,
		Absent:   h.has(flagAbsent),
		Failure:  h.has(flagFailure),
	}
	if h.fresh != 0 {
		m.FreshUntil = time.Unix(0, h.fresh)
	}
	if until := h.staleUntil(staleFor); until != 0 && until > h.fresh {
		m.StaleUntil = time.Unix(0, until)
	}
	if h.has(flagETag) {
		etag := h.etag
		m.ETag = &etag
	}
	for _, t := range h.tags {
		m.Tags = append(m.Tags, t.name)
	}
	return m
}

// staleUntil is the end of the time for which the value may be answered,
// though not fresh. 0 is no end.
func (h *header) staleUntil(staleFor time.Duration) int64 {
	switch {
	case h.has(flagStale):
		return h.stale
	case h.negative():
		return h.fresh
	case h.fresh == 0:
		return 0
	case staleFor <= 0:
		return h.fresh
	}
	return after(h.fresh, staleFor)
}
