package memo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// FuncOptions configures a function. The zero value is the default.
type FuncOptions[K, V any] struct {
	// Policy precedes that of the Region and the Memo.
	Policy Policy

	// Region names one of Options.Regions, for what is not stated here. Empty
	// is the Memo itself.
	Region string

	// Namespace replaces that of the Region or the Memo in the keys. Empty
	// inherits.
	Namespace string

	// Store replaces that of the Region or the Memo. Nil inherits.
	Store store.Store

	// Version is a part of the keys: with another one, nothing is found of
	// what was stored before. Change it when the function changes its results;
	// as long as it stays, entries outlive deployments.
	Version string

	// KeyFunc returns the part of the key that stands for the argument: a text
	// that differs where results differ. It is needed for arguments that have
	// no key of their own, such as a struct with a func in it, and useful
	// where only a part of the argument matters. It may be called
	// concurrently.
	KeyFunc func(K) (string, error)

	// Shared promises that nobody changes a V, or anything that it points to,
	// after the function has returned it. All callers are then given the same
	// one, and a store that keeps live values (store.LiveStore) answers
	// without copying or decoding. Otherwise each caller gets a value of its
	// own.
	Shared bool

	// FillMany loads several arguments at once, for GetMany: it is given those
	// that are missing, each once, in the order in which GetMany was, and calls
	// put for each that it has found, in any order. What it does not put is
	// absent, as if the function had returned store.ErrNotFound, unless
	// FillMany returns an error; that is then the error of all that were not
	// put, as if the function had returned it for each. To put what was not asked for is such
	// an error, too. Of two values for an argument the later counts. put may be
	// called concurrently, and does nothing after FillMany has returned. The
	// context is like that of the function.
	//
	// Without FillMany, GetMany calls the function for each, 16 at a time.
	FillMany func(ctx context.Context, ks []K, put func(K, V)) error

	// ETag returns the version of what the value for an argument is made of,
	// such as the modification time of a file. It is called for each call,
	// before the store is asked; a value that was stored with another etag, or
	// with none, is then loaded anew. The empty string is an etag like any
	// other. If ETag returns an error the call goes on as if there were none,
	// and Trace is told; so what is stored remains when a file is removed,
	// unless ETag returns an etag for that.
	ETag func(context.Context, K) (string, error)

	// Tags returns the tags of the value for an argument, before it is loaded;
	// see [Memo.InvalidateTags].
	Tags func(K) []string

	// ShouldStore tells whether a value that was loaded is to be stored. Nil
	// stores all. If it is not, what was stored before it is removed. It is
	// not asked for what is Set.
	ShouldStore func(K, V) bool

	// CacheError tells for how long an error of the function is remembered: it
	// is stored, and returned as a *RememberedError; 0 is not at all. It is
	// not asked for errors that match store.ErrNotFound, see Policy.Absent, nor
	// while there is a stale value to answer instead, nor of a load that was
	// cancelled.
	CacheError func(error) time.Duration

	// Codec encodes the values where they are stored as bytes. Nil is JSON.
	Codec Codec[V]

	// Compression precedes that of the Memo. Nil inherits.
	Compression *Compression
}

// Wrap makes a memoized function of fn. The name is a part of the keys, and
// taken once in a Memo. fn is called from a goroutine of its own, concurrently
// for different arguments. Its context has the values of the context of the
// call that led to it, not its deadline, and is cancelled when no caller waits
// for it any more. If fn returns an error its value is dropped.
//
// A bad argument, or a type K that cannot be made into a key, is ErrInvalid.
func Wrap[K, V any](m *Memo, name string, fn func(context.Context, K) (V, error), o *FuncOptions[K, V]) (*Func[K, V], error) {
	if o == nil {
		o = new(FuncOptions[K, V])
	}
	switch {
	case m == nil:
		return nil, invalid("memo: wrap " + quote(name) + ": the Memo is nil; make one with memo.New")
	case name == "":
		return nil, invalid("memo: wrap: the name is empty; give each function one of its own")
	case fn == nil:
		return nil, invalid("memo: wrap " + quote(name) + ": the function is nil")
	}
	f, err := newFunc(m, name, fn, o)
	if e := (*KeyError)(nil); errors.As(err, &e) {
		return nil, err // says so itself
	}
	if err != nil {
		return nil, fmt.Errorf("memo: wrap %s: %w", quote(name), err)
	}
	if !m.reserve(name, f) {
		return nil, invalid("memo: wrap " + quote(name) + ": there is a function of this name in the Memo already; take another name, or another Memo with a Namespace of its own")
	}
	return f, nil
}

// newFunc resolves the options of a function, once for all its methods.
func newFunc[K, V any](m *Memo, name string, fn func(context.Context, K) (V, error), o *FuncOptions[K, V]) (*Func[K, V], error) {
	r := m.root
	if o.Region != "" {
		var ok bool
		if r, ok = m.regions[o.Region]; !ok {
			return nil, fmt.Errorf("FuncOptions.Region: %w", unknownRegion(o.Region, m.regions))
		}
	}
	if o.Store == Later {
		return nil, invalid("FuncOptions.Store: it is Later, which Bind could not find; declare a Region with Later as its store, and name it here")
	}
	if err := o.Policy.check(); err != nil {
		return nil, fmt.Errorf("FuncOptions.%w", err)
	}
	if err := o.Compression.check(); err != nil {
		return nil, fmt.Errorf("FuncOptions.%w", err)
	}
	r = r.child(name, Region{Policy: o.Policy, Namespace: o.Namespace, Store: o.Store})
	policy, err := r.policy.settle()
	if err != nil {
		return nil, err
	}
	space, keyOf, err := keysOf(r.namespace, name, o)
	if err != nil {
		return nil, err
	}
	compression := o.Compression
	if compression == nil {
		compression = m.compression
	}
	f := &Func[K, V]{
		memo:        m,
		name:        name,
		fn:          fn,
		fillMany:    o.FillMany,
		keyOf:       keyOf,
		etag:        o.ETag,
		tags:        o.Tags,
		shouldStore: o.ShouldStore,
		cacheError:  o.CacheError,
		shared:      o.Shared,
		place:       r.place,
		inherited:   r.policy,
		plain:       ask{op: "get", policy: policy, skip: m.skip},
		indirect:    o.ETag != nil || m.verify || m.skip,
		simple:      o.Shared && m.since == 0 && policy.RefreshAhead == 0 && policy.EarlyRefresh == 0,
		format:      newFormat(o.Codec, compression),
		flights:     flight.NewGroup[*outcome[V]](m.scope),
		counters:    newCounters(),
		generations: generations{key: space.prefix + "#", moment: m.momentKey(), reads: m.versions},
	}
	m.adopt(f.place, f.counters)
	return f, nil
}

// keysOf returns what makes the keys of a function.
func keysOf[K, V any](namespace, name string, o *FuncOptions[K, V]) (keySpace, func(K) (string, error), error) {
	if o.KeyFunc == nil {
		keys, err := newKeyEncoder[K](namespace, name, o.Version)
		if err != nil {
			return keySpace{}, nil, err
		}
		return keys.keySpace, keys.key, nil
	}
	space, err := newKeySpace(namespace, name, o.Version)
	if err != nil {
		return keySpace{}, nil, err
	}
	return space, func(k K) (string, error) {
		text, err := o.KeyFunc(k)
		if err != nil {
			return "", &Error{"key", name, "", err}
		}
		return space.raw(text), nil
	}, nil
}

// Must returns v, and panics if err is not nil. It is for what is made when a
// program starts:
//
//	var users = memo.Must(memo.Wrap(m, "user", fetchUser, nil))
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
