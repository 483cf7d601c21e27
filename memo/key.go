package memo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"sync"
)

// The format of keys
//
// Keys are stored and outlive deployments, and programs of several versions
// share them, so the format is persistent: what a value is written as may never
// change. What is refused today may be given a form later.
//
//	key       = prefix arguments                      if that has at most 200 bytes, else
//	          | prefix head "#" sha256
//	prefix    = namespace ":" name [ "@" version ] ":"
//	arguments = text                                  an only argument of string kind; what KeyFunc returns
//	          | [ value { "," value } ]               any other one; several; none
//	value     = "true" | "false"                      bool
//	          | [ "-" ] digits                        int, uint, and those of fixed size
//	          | float                                 float32, float64
//	          | "(" float "," float ")"               complex64, complex128
//	          | '"' text '"'                          string
//	          | "x" { hex hex }                       slice and array of bytes
//	          | "[" [ value { "," value } ] "]"       other slices and arrays
//	          | "map(" [ entry { "," entry } ] ")"    map; entry = value ":" value
//	          | "(" [ field { "," field } ] ")"       struct; field = fieldname "=" value
//	          | "&" value                             pointer: what it points to
//	          | typename "(" value ")"                interface: the type in it, and its value
//	          | "nil"                                 pointer, slice, map, interface
//	          | "@" seconds [ "." nanoseconds ]       time.Time
//	          | 'k"' text '"'                         type with CacheKey() string
//	          | 't"' text '"'                         some types of the standard library
//
// Text is printable ASCII without spaces. Each byte of it that is not, and each
// of % " # { }, is written as % and two upper-case hexadecimal digits. In
// namespace, name, version, fieldname and typename, : @ ( ) are written so too.
// A key therefore has no byte that Memcached refuses, no braces that Redis
// Cluster would take for a hash tag, and only a hashed key has a #.
//
// In a hashed key, head is the first 32 bytes of the arguments and sha256 the
// digest of the whole key as it would be without the limit, in lower-case
// hexadecimal digits.
//
// What a value is written as follows from its static type. The name of that
// type is no part of the key, so it may be renamed and moved, and an int may
// become an int64. A value in an interface is preceded by the name of its type,
// with the full paths of packages, and there all these are changes. Such a name
// is unique only outside functions.
//
// The rules, for each type the first that applies:
//   - A pointer is what it points to, and an interface the value in it.
//   - A type with a method CacheKey() string is what that returns; the method
//     may be on the pointer. A struct with other fields beside an embedded one
//     that has a CacheKey is refused: the method may be that of the embedded
//     field, which knows nothing of the others.
//   - A time.Time is its instant: Unix seconds, and nine digits of nanoseconds
//     unless they are 0. Location and monotonic clock reading are left out.
//   - big.Int, big.Float, big.Rat, netip.Addr, netip.AddrPort, netip.Prefix and
//     regexp.Regexp are what MarshalText returns. That of other types is not
//     asked: it may return "***" for every token.
//   - Contexts are refused, and with them structs and interfaces of the
//     packages sync, sync/atomic and reflect, and time.Location: they are state
//     that changes while it is read, or no value at all.
//   - A type declared as time.Time is its instant, too.
//   - Funcs, channels, unsafe pointers and uintptr are refused.
//   - Integers are decimal. A float has the fewest digits that give it back, in
//     the form %g, and ".0" after them if it would look like an integer. NaN is
//     refused, and -0 is not 0.
//   - A struct has all its fields but those named _, unexported and embedded
//     ones included, ordered by name. Reordering fields keeps the keys; adding,
//     removing and renaming one changes them, also in a type of another module.
//   - An array of length 0 is "[]", or "x" for bytes, whatever its elements.
//   - The entries of a map are ordered by the bytes that they are written as.
//   - nil is not empty, for slices and maps.
//
// The reason behind these: what a function could tell apart has different keys,
// except for identity, capacity, location, the monotonic clock, and what a
// CacheKey leaves out. The reading of a key is decided at each
// byte by the static type, so no two values are written alike.

const (
	maxPlainKey = 200     // longer keys are hashed
	hashedHead  = 32      // bytes of the arguments that a hashed key shows
	maxPrefix   = 1024    // leaves three quarters of store.MaxKeyLen to stores that add to a key
	maxPooled   = 1 << 14 // bytes; a larger buffer is not kept
)

// keySpace holds the keys of one function.
type keySpace struct {
	name   string
	prefix string // "namespace:name[@version]:", what every key of the function begins with and no other
}

// newKeySpace makes the keys of a function. No version is the empty string. The
// namespace may be empty, and so may the name: keys without a name are apart
// from those of every function that has one.
func newKeySpace(namespace, name, version string) (keySpace, error) {
	b := appendEscaped(nil, namespace, &partBytes)
	b = append(b, ':')
	b = appendEscaped(b, name, &partBytes)
	if version != "" {
		b = append(b, '@')
		b = appendEscaped(b, version, &partBytes)
	}
	b = append(b, ':')
	if len(b) > maxPrefix {
		return keySpace{}, &KeyError{Func: name, wrap: true, Err: fmt.Errorf(
			"namespace, name and version make %d bytes of each key, more than %d; shorten them", len(b), maxPrefix)}
	}
	return keySpace{name: name, prefix: string(b)}, nil
}

// raw returns the key for a text that is unique within the function, such as
// what KeyFunc returns. Different texts have different keys.
func (s *keySpace) raw(text string) string {
	escapes := countEscapes(text)
	length := len(s.prefix) + len(text) + 2*escapes
	if escapes == 0 && length <= maxPlainKey {
		return s.prefix + text
	}
	b := append(make([]byte, 0, length), s.prefix...)
	return s.finish(appendEscaped(b, text, &textBytes))
}

// finish makes the key of its plain form.
func (s *keySpace) finish(plain []byte) string {
	if len(plain) <= maxPlainKey {
		return string(plain)
	}
	head := plain[:min(len(plain), len(s.prefix)+hashedHead)]
	return string(head) + "#" + hexDigest(plain)
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// keyEncoder makes the keys of a function whose argument is a K, which is a
// list of arguments if it is one of the args types. It may be used concurrently.
type keyEncoder[K any] struct {
	keySpace
	encode encodeFunc
	fast   leafKey[K] // nil if an argument is no leaf
	pool   sync.Pool  // of *keyScratch[K]
}

// keyScratch is where the argument is while its key is made: reflection needs
// it in the heap, and a pool saves the allocation.
type keyScratch[K any] struct {
	state keyState
	buf   []byte
	arg   K
	value reflect.Value // of arg
}

// newKeyEncoder inspects the type K once. A type of which no value could be
// encoded, such as one with a func in it, is a *KeyError.
func newKeyEncoder[K any](namespace, name, version string) (*keyEncoder[K], error) {
	space, err := newKeySpace(namespace, name, version)
	if err != nil {
		return nil, err
	}
	encode, fast, refused := argumentsEncoder[K]()
	if refused != nil {
		return nil, refused.keyError(reflect.TypeFor[K](), name, true)
	}
	e := &keyEncoder[K]{keySpace: space, encode: encode, fast: fast}
	e.pool.New = func() any {
		s := new(keyScratch[K])
		s.value = reflect.ValueOf(&s.arg).Elem()
		return s
	}
	return e, nil
}

// key returns the key for k. A value that cannot be encoded, such as NaN or one
// that contains itself, is a *KeyError.
func (e *keyEncoder[K]) key(k K) (string, error) {
	if e.fast != nil {
		if key, ok := e.fast(&e.keySpace, k); ok {
			return key, nil
		}
	}
	s := e.pool.Get().(*keyScratch[K])
	s.arg = k
	plain, refused := e.encode(&s.state, append(s.buf[:0], e.prefix...), s.value)
	if refused != nil {
		return "", refused.keyError(reflect.TypeFor[K](), e.name, false) // s is in an unknown state
	}
	key := e.finish(plain)
	if cap(plain) <= maxPooled {
		var none K
		s.arg, s.buf = none, plain // keep nothing of the caller's alive
		e.pool.Put(s)
	}
	return key, nil
}
