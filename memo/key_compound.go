package memo

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"sync"
)

const (
	maxKeyDepth = 1000    // pointers, slices, maps and interfaces in one another
	maxEncoded  = 1 << 24 // bytes; few pointers that are shared can make many
)

// keyState is what the encoders of one key share.
type keyState struct {
	path []visit // the pointers, slices, maps and interfaces that lead to the current value
	cuts []cut   // the entries of the maps among these
}

// visit is what identifies a value that can contain itself. The addresses stay
// valid as the argument holds them; they never get into a key.
type visit struct {
	typ     reflect.Type
	address uintptr
	length  int
}

// cut is one entry of a map in the key.
type cut struct{ from, to int }

// enter begins the content of a pointer, slice, map or interface.
func (s *keyState) enter(v visit, b []byte) *refusal {
	for i := range s.path {
		if p := &s.path[i]; p.address == v.address && v.address != 0 && *p == v {
			return refuse("a value that contains itself cannot be part of a key; set KeyFunc")
		}
	}
	if len(s.path) == maxKeyDepth {
		return refuse("values nested more than %d levels deep cannot be part of a key; set KeyFunc", maxKeyDepth)
	}
	s.path = append(s.path, v)
	return tooLarge(b)
}

func (s *keyState) leave() { s.path = s.path[:len(s.path)-1] }

func tooLarge(b []byte) *refusal {
	if len(b) <= maxEncoded {
		return nil
	}
	return refuse("a value that takes more than %d MiB to write cannot be part of a key; set KeyFunc", maxEncoded>>20)
}

func pointerEncoder(elem *typeEncoder) encodeFunc {
	return func(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
		if v.IsNil() {
			return append(b, "nil"...), nil
		}
		if refused := s.enter(visit{v.Type(), v.Pointer(), 1}, b); refused != nil {
			return nil, refused
		}
		b, refused := elem.encode(s, append(b, '&'), v.Elem())
		s.leave()
		return b, refused
	}
}

func sliceEncoder(elem *typeEncoder) encodeFunc {
	content := arrayEncoder(elem)
	return func(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
		if v.IsNil() {
			return append(b, "nil"...), nil
		}
		if v.Len() == 0 {
			return append(b, "[]"...), nil
		}
		if refused := s.enter(visit{v.Type(), v.Pointer(), v.Len()}, b); refused != nil {
			return nil, refused
		}
		b, refused := content(s, b, v)
		s.leave()
		return b, refused
	}
}

// arrayEncoder is for slices and arrays with at least one element.
func arrayEncoder(elem *typeEncoder) encodeFunc {
	return func(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
		separator := byte('[')
		for i := range v.Len() {
			var refused *refusal
			b, refused = elem.encode(s, append(b, separator), v.Index(i))
			if refused == nil {
				refused = tooLarge(b)
			}
			if refused != nil {
				return nil, refused.in("[" + strconv.Itoa(i) + "]")
			}
			separator = ','
		}
		return append(b, ']'), nil
	}
}

// structField is a field that counts.
type structField struct {
	name       string
	label      []byte // the name and what is written around it
	index      int
	elem       *typeEncoder
	restricted bool // reflection marks the value as not to be used
}

func structEncoder(fields []structField) encodeFunc {
	if len(fields) == 0 {
		return constantEncoder("()")
	}
	restricted := false
	for i := range fields {
		f := &fields[i]
		f.label = append(appendEscaped([]byte{','}, f.name, &partBytes), '=')
		restricted = restricted || f.restricted
	}
	fields[0].label[0] = '('
	return func(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
		if restricted {
			v = addressable(v)
		}
		for i := range fields {
			f := &fields[i]
			content := v.Field(f.index)
			if f.restricted {
				content = unrestricted(content)
			}
			var refused *refusal
			if b, refused = f.elem.encode(s, append(b, f.label...), content); refused != nil {
				return nil, refused.in("." + f.name)
			}
		}
		return append(b, ')'), nil
	}
}

func constantEncoder(form string) encodeFunc {
	return func(_ *keyState, b []byte, _ reflect.Value) ([]byte, *refusal) {
		return append(b, form...), nil
	}
}

func mapEncoder(t reflect.Type, key, elem *typeEncoder) encodeFunc {
	entries := &entryEncoder{key: key, elem: elem}
	entries.pool.New = func() any {
		return &mapEntry{reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()}
	}
	return func(s *keyState, b []byte, v reflect.Value) ([]byte, *refusal) {
		if v.IsNil() {
			return append(b, "nil"...), nil
		}
		if refused := s.enter(visit{t, v.Pointer(), 0}, b); refused != nil {
			return nil, refused
		}
		first := len(s.cuts)
		b, refused := entries.encode(s, append(b, "map("...), v)
		if refused != nil {
			return nil, refused
		}
		b = sortCuts(b, s.cuts[first:])
		s.cuts = s.cuts[:first]
		s.leave()
		return b, tooLarge(b)
	}
}

// entryEncoder encodes the entries of maps.
type entryEncoder struct {
	key, elem *typeEncoder
	pool      sync.Pool // of *mapEntry
}

// mapEntry is where the entries of a map are, one after another, while they are
// encoded.
type mapEntry struct{ key, elem reflect.Value }

// encode appends the entries of the map v in any order, each with a comma after
// it, and their cuts to s.cuts.
func (e *entryEncoder) encode(s *keyState, b []byte, v reflect.Value) (_ []byte, refused *refusal) {
	entry := e.pool.Get().(*mapEntry)
	for i := v.MapRange(); i.Next(); {
		entry.key.SetIterKey(i)
		entry.elem.SetIterValue(i)
		from := len(b)
		if b, refused = e.key.encode(s, b, entry.key); refused != nil {
			return nil, refused.in("[key]")
		}
		if b, refused = e.elem.encode(s, append(b, ':'), entry.elem); refused != nil {
			return nil, refused.in("[value]")
		}
		b = append(b, ',')
		s.cuts = append(s.cuts, cut{from, len(b)})
	}
	entry.key.SetZero()
	entry.elem.SetZero()
	e.pool.Put(entry)
	return b, nil
}

// sortCuts orders the entries of a map, which end with b, and closes the map.
func sortCuts(b []byte, cuts []cut) []byte {
	if len(cuts) == 0 {
		return append(b, ')')
	}
	start, end := cuts[0].from, len(b)
	slices.SortFunc(cuts, func(x, y cut) int {
		return bytes.Compare(b[x.from:x.to], b[y.from:y.to])
	})
	for _, c := range cuts {
		b = append(b, b[c.from:c.to]...)
	}
	copy(b[start:], b[end:])
	b = b[:end]
	b[end-1] = ')' // in place of the last comma
	return b
}
