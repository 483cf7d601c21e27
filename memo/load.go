package memo

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// result is what a flight brings.
type result[V any] struct {
	value V           // for the caller that led
	live  *store.Live // what is stored, and others make their copies of; nil if it cannot be encoded
	found bool        // it was in the store
}

// find returns the value that is stored under key. Whatever keeps it from
// doing so is reported.
func (f *Func[K, V]) find(ctx context.Context, key string) (v V, live *store.Live, ok bool) {
	if ctx.Err() != nil {
		return v, nil, false
	}
	live, err := store.GetLive(ctx, f.memo.store, key)
	if err != nil {
		f.report(ctx, "get", err)
		return v, nil, false
	}
	v, err = f.open(ctx, live)
	return v, live, err == nil
}

// open returns the value in live: the same for all if it may be shared, else a
// new one. An error is reported.
func (f *Func[K, V]) open(ctx context.Context, live *store.Live) (v V, err error) {
	var e *entry[V]
	if f.shared {
		e, err = store.LiveValue(live, f.decode)
	} else {
		var b []byte
		if b, err = live.Bytes(); err == nil {
			e, err = f.decode(b)
		}
	}
	if err != nil {
		emit(ctx, f.memo.trace.DecodeError, DecodeErrorInfo{f.name, err})
		return v, err
	}
	return e.value, nil
}

// load returns the value from the function, called now or by somebody else
// already. seen was taken before the store was asked in vain.
func (f *Func[K, V]) load(ctx context.Context, key string, k K, seen flight.Mark) (v V, err error) {
	r, led, err := f.flights.Do(ctx, key, seen,
		func(ctx context.Context, again bool) (result[V], error) {
			if again {
				if v, live, ok := f.find(ctx, key); ok {
					return result[V]{v, live, true}, nil
				}
			}
			return f.make(ctx, key, k)
		},
		func(ctx context.Context, r result[V]) { f.keep(ctx, key, r) },
	)
	if err != nil {
		if _, ok := err.(*Error); ok { // what the function returned is in an *Error already
			return v, err
		}
		op := "get"
		switch err.(type) { // what a flight itself returns
		case *PanicError, *GoexitError:
			op = "load"
		}
		return v, &Error{op, f.name, key, err}
	}
	if led {
		return r.value, nil
	}
	if r.live != nil {
		if v, err := f.open(ctx, r.live); err == nil {
			return v, nil
		}
	}
	return f.direct(ctx, key, k)
}

// make calls the function and makes an entry of its value.
func (f *Func[K, V]) make(ctx context.Context, key string, k K) (result[V], error) {
	v, took, err := f.call(ctx, k)
	if err != nil {
		return result[V]{}, &Error{"load", f.name, key, err}
	}
	e := f.newEntry(v, took, f.ttl)
	if f.shared {
		return result[V]{value: v, live: store.NewLive(e, e.encode)}, nil
	}
	b, err := e.encode()
	if err != nil {
		emit(ctx, f.memo.trace.EncodeError, EncodeErrorInfo{f.name, err})
		return result[V]{value: v}, nil
	}
	return result[V]{value: v, live: store.LiveBytes(b)}, nil
}

// keep stores what was loaded.
func (f *Func[K, V]) keep(ctx context.Context, key string, r result[V]) {
	if r.found || r.live == nil {
		return
	}
	err := store.SetLive(ctx, f.memo.store, key, r.live, f.ttl)
	if e := (*encodeError)(nil); errors.As(err, &e) {
		emit(ctx, f.memo.trace.EncodeError, EncodeErrorInfo{f.name, e})
		return
	}
	f.report(ctx, "set", err)
}

// direct calls the function for this caller alone.
func (f *Func[K, V]) direct(ctx context.Context, key string, k K) (v V, err error) {
	if err := ctx.Err(); err != nil {
		return v, &Error{"get", f.name, key, err}
	}
	var value V
	err = f.memo.scope.Run(ctx, func(ctx context.Context) (err error) {
		value, _, err = f.call(ctx, k)
		return err
	})
	if err != nil {
		return v, &Error{"load", f.name, key, err}
	}
	return value, nil
}

// call calls the function and measures it.
func (f *Func[K, V]) call(ctx context.Context, k K) (v V, took time.Duration, err error) {
	emit(ctx, f.memo.trace.LoadStart, LoadStartInfo{f.name})
	start := time.Now()
	returned := false
	defer func() {
		took = time.Since(start)
		var panicked *PanicError
		if !returned {
			if p := recover(); p != nil {
				panicked = &PanicError{Value: p, Stack: debug.Stack()}
				err = panicked
			} else {
				err = &GoexitError{Stack: debug.Stack()}
			}
		}
		emit(ctx, f.memo.trace.LoadDone, LoadDoneInfo{f.name, took, err})
		if panicked != nil {
			flight.Repanic(panicked)
		}
	}()
	v, err = f.fn(ctx, k)
	returned = true
	return v, took, err
}
