package memo

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// keyReader reads the arguments of a key back, by the grammar at the head of
// key.go. That it can be done is why no two values share a key.
type keyReader struct {
	rest  string
	types []reflect.Type // those that may be in interfaces
}

// arguments reads a list of arguments.
func (r *keyReader) arguments(v reflect.Value) {
	for i := range v.NumField() {
		if i > 0 {
			r.expect(",")
		}
		r.read(v.Field(i))
	}
}

// read reads a value of v's type into v, which is settable. It panics if there
// is none.
func (r *keyReader) read(v reflect.Value) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if r.found("nil") {
			return
		}
	}
	if t == timeType {
		v.Set(reflect.ValueOf(r.time()))
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(r.found("true"))
		if !v.Bool() {
			r.expect("false")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(must(strconv.ParseInt(r.word(), 10, t.Bits())))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(must(strconv.ParseUint(r.word(), 10, t.Bits())))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(must(strconv.ParseFloat(r.word(), t.Bits())))
	case reflect.Complex64, reflect.Complex128:
		r.expect("(")
		re := must(strconv.ParseFloat(r.word(), t.Bits()/2))
		r.expect(",")
		im := must(strconv.ParseFloat(r.word(), t.Bits()/2))
		r.expect(")")
		v.SetComplex(complex(re, im))
	case reflect.String:
		v.SetString(r.quoted())
	case reflect.Pointer:
		r.expect("&")
		v.Set(reflect.New(t.Elem()))
		r.read(v.Elem())
	case reflect.Interface:
		r.dynamic(v)
	default:
		r.compound(v)
	}
}

func (r *keyReader) compound(v reflect.Value) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			r.expect("x")
			v.SetBytes(must(hex.DecodeString(r.word())))
			return
		}
		v.Set(reflect.MakeSlice(t, 0, 0))
		r.list("[", "]", func() {
			e := reflect.New(t.Elem()).Elem()
			r.read(e)
			v.Set(reflect.Append(v, e))
		})
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			r.expect("x")
			copy(v.Bytes(), must(hex.DecodeString(r.word())))
			return
		}
		i := 0
		r.list("[", "]", func() { r.read(v.Index(i)); i++ })
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		r.list("map(", ")", func() {
			key, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			r.read(key)
			r.expect(":")
			r.read(e)
			v.SetMapIndex(key, e)
		})
	case reflect.Struct:
		r.list("(", ")", func() {
			name, rest, _ := strings.Cut(r.rest, "=")
			r.rest = rest
			r.read(unrestricted(v.FieldByName(unescape(name))))
		})
	default:
		panic("no form for " + t.String())
	}
}

func (r *keyReader) list(begin, end string, item func()) {
	r.expect(begin)
	if r.found(end) {
		return
	}
	for item(); r.found(","); {
		item()
	}
	r.expect(end)
}

func (r *keyReader) dynamic(v reflect.Value) {
	name, rest, _ := strings.Cut(r.rest, "(")
	r.rest = rest
	for _, t := range r.types {
		if typeName(t) == unescape(name) {
			e := reflect.New(t).Elem()
			r.read(e)
			v.Set(e)
			r.expect(")")
			return
		}
	}
	panic("no type " + name)
}

func (r *keyReader) time() time.Time {
	r.expect("@")
	seconds, nanos, fraction := strings.Cut(r.word(), ".")
	if fraction != (len(nanos) == 9) {
		panic("not nine digits")
	}
	return time.Unix(must(strconv.ParseInt(seconds, 10, 64)), must(strconv.ParseInt("0"+nanos, 10, 64)))
}

// word reads what ends at the next separator.
func (r *keyReader) word() string {
	n := strings.IndexAny(r.rest, ",:)]")
	if n < 0 {
		n = len(r.rest)
	}
	word := r.rest[:n]
	r.rest = r.rest[n:]
	return word
}

func (r *keyReader) quoted() string {
	r.expect(`"`)
	text, rest, ok := strings.Cut(r.rest, `"`)
	if !ok {
		panic("quote without end")
	}
	r.rest = rest
	return unescape(text)
}

func (r *keyReader) found(text string) bool {
	rest, ok := strings.CutPrefix(r.rest, text)
	r.rest = rest
	return ok
}

func (r *keyReader) expect(text string) {
	if !r.found(text) {
		panic(fmt.Sprintf("expected %s at %s", text, r.rest))
	}
}

// unescape is the reverse of appendEscaped.
func unescape(text string) string {
	before, after, escaped := strings.Cut(text, "%")
	if !escaped {
		return before
	}
	return before + string(must(hex.DecodeString(strings.ToLower(after[:2])))) + unescape(after[2:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
