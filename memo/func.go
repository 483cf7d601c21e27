package memo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// Func is a memoized function. Make one with Wrap. Its methods may be called
// concurrently, and all of them mean the same key in the same store.
//
// A nil context is ErrInvalid, and a call after the Memo was closed ErrClosed.
type Func[K, V any] struct {
	memo   *Memo
	name   string
	fn     func(context.Context, K) (V, error)
	keyOf  func(K) (string, error)
	shared bool
	ttl    time.Duration // of an entry, as a Store takes it
	format[V]
	flights *flight.Group[result[V]]
}

// FuncOptions configures a function. The zero value is the default.
type FuncOptions[K, V any] struct {
	// Policy overrides that of the Memo.
	Policy Policy

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
	if err := o.Policy.check(); err != nil {
		return nil, fmt.Errorf("memo: wrap %s: FuncOptions.%w", quote(name), err)
	}
	keyOf, err := keysOf(m.namespace, name, o)
	if err != nil {
		return nil, err
	}
	if !m.reserve(name) {
		return nil, invalid("memo: wrap " + quote(name) + ": there is a function of this name in the Memo already; take another name, or another Memo with a Namespace of its own")
	}
	return &Func[K, V]{
		memo:    m,
		name:    name,
		fn:      fn,
		keyOf:   keyOf,
		shared:  o.Shared,
		ttl:     o.Policy.inherit(m.policy).storeTTL(),
		format:  newFormat[V](),
		flights: flight.NewGroup[result[V]](m.scope),
	}, nil
}

// keysOf returns what makes the keys of a function.
func keysOf[K, V any](namespace, name string, o *FuncOptions[K, V]) (func(K) (string, error), error) {
	if o.KeyFunc == nil {
		keys, err := newKeyEncoder[K](namespace, name, o.Version)
		if err != nil {
			return nil, err
		}
		return keys.key, nil
	}
	space, err := newKeySpace(namespace, name, o.Version)
	if err != nil {
		return nil, err
	}
	return func(k K) (string, error) {
		text, err := o.KeyFunc(k)
		if err != nil {
			return "", &Error{"key", name, "", err}
		}
		return space.raw(text), nil
	}, nil
}

// Must returns f, and panics if err is not nil. It is for functions that are
// wrapped when a program starts:
//
//	var users = memo.Must(memo.Wrap(m, "user", fetchUser, nil))
func Must[K, V any](f *Func[K, V], err error) *Func[K, V] {
	if err != nil {
		panic(err)
	}
	return f
}

// Get returns the value for k, from the store or from the function. It is a
// func(context.Context, K) (V, error) as the wrapped one is.
//
// If ctx ends while Get waits, the error matches ctx.Err(). An error of the
// function is an *Error that wraps it. A function that panics makes the Get
// panic that called it, with a *PanicError, which those who had waited for it
// get as an error; runtime.Goexit does the like with a *GoexitError. A Get
// that would wait for itself is a *CycleError.
//
// An argument that cannot be made into a key, NaN for example, is given to the
// function without the cache. A result that cannot be encoded, or not decoded
// again, is returned; those who waited for it then call the function
// themselves, as they cannot be given copies.
func (f *Func[K, V]) Get(ctx context.Context, k K) (V, error) {
	if err := f.check(ctx, "get"); err != nil {
		var none V
		return none, err
	}
	key, err := f.keyOf(k)
	if err != nil {
		emit(ctx, f.memo.trace.EncodeError, EncodeErrorInfo{f.name, err})
		return f.direct(ctx, "", k)
	}
	seen := f.flights.Mark()
	if v, _, ok := f.find(ctx, key); ok {
		return v, nil
	}
	return f.load(ctx, key, k, seen)
}

// Delete removes the value for k. When it has returned nil, no Get that begins
// then returns a value from a load that began before, and none such is in the
// store, whatever loads are under way; those who had waited for one get its
// value. The package comment names what is beyond this.
//
// An error is that of the store, and the value may then still be there; or it
// matches ctx.Err(); or k cannot be made into a key.
func (f *Func[K, V]) Delete(ctx context.Context, k K) error {
	const op = "delete"
	key, err := f.key(ctx, op, k)
	if err != nil {
		return err
	}
	change := f.flights.Invalidate(key)
	defer change.Done()
	if err := change.Wait(ctx); err != nil {
		return &Error{op, f.name, key, err}
	}
	err = f.memo.store.Delete(ctx, key)
	f.report(ctx, op, err)
	return err
}

// Has reports whether there is an entry for k, without reading it. It is no
// use of the entry. Errors are as in Delete.
func (f *Func[K, V]) Has(ctx context.Context, k K) (bool, error) {
	_, err := f.timeLeft(ctx, "has", k)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// TTL returns how long the entry for k will still live: store.Forever if it
// has no limit, store.UnknownTTL if the store cannot tell. If there is no
// entry the error is the bare store.ErrNotFound; others are as in Delete.
func (f *Func[K, V]) TTL(ctx context.Context, k K) (time.Duration, error) {
	return f.timeLeft(ctx, "ttl", k)
}

// Key returns the key under which the value for k is stored. The error is why
// k cannot be made into one.
func (f *Func[K, V]) Key(k K) (string, error) { return f.keyOf(k) }

func (f *Func[K, V]) timeLeft(ctx context.Context, op string, k K) (time.Duration, error) {
	key, err := f.key(ctx, op, k)
	if err != nil {
		return 0, err
	}
	ttl, err := f.memo.store.TTL(ctx, key)
	f.report(ctx, "ttl", err)
	return ttl, err
}

// key checks a call and returns its key.
func (f *Func[K, V]) key(ctx context.Context, op string, k K) (string, error) {
	if err := f.check(ctx, op); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", &Error{op, f.name, "", err}
	}
	return f.keyOf(k)
}

func (f *Func[K, V]) check(ctx context.Context, op string) error {
	switch {
	case ctx == nil:
		return &Error{op, f.name, "", invalid(nilContext)}
	case f.memo.scope.Closed():
		return &Error{op, f.name, "", ErrClosed}
	}
	return nil
}

// report tells Trace of a failure of the store, to which it belongs that a
// deadline passed while it was asked.
func (f *Func[K, V]) report(ctx context.Context, op string, err error) {
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, store.ErrNotFound) {
		emit(ctx, f.memo.trace.StoreError, StoreErrorInfo{f.name, op, err})
	}
}
