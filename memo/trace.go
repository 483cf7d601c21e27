package memo

import (
	"context"
	"time"
)

// Trace is a set of functions that are told what happens in a Memo. Any of
// them may be nil. They may be called concurrently, are called while no lock
// is held, and delay the caller that they are called for. A panic in one of
// them is dropped. The context is that of the caller, or of the load.
//
// No field of what they are given has a value or an argument in it, but an
// error may: those of a store, and this package's *Error, carry the key.
type Trace struct {
	// LoadStart is called before a function is called.
	LoadStart func(context.Context, LoadStartInfo)

	// LoadDone is called after a function has ended, in whatever way.
	LoadDone func(context.Context, LoadDoneInfo)

	// StoreError is called when the store has failed, whether or not that
	// becomes known to a caller, and when a caller's deadline passed while the
	// store was asked. A miss is no failure, and neither is a cancelled call.
	StoreError func(context.Context, StoreErrorInfo)

	// EncodeError is called when a result cannot be encoded, so that it is not
	// stored, and when an argument cannot be made into a key, so that the
	// function is called without the cache.
	EncodeError func(context.Context, EncodeErrorInfo)

	// DecodeError is called when an entry cannot be read: it is of a format, a
	// codec or a type that is not this function's, or damaged. The entry is a
	// miss, and overwritten.
	DecodeError func(context.Context, DecodeErrorInfo)

	// ETagError is called when FuncOptions.ETag has failed, so that the call
	// goes on as if there were no etag.
	ETagError func(context.Context, ETagErrorInfo)

	// Mismatch is called when a function has returned anything else than what
	// is stored; see Options.Verify.
	Mismatch func(context.Context, MismatchInfo)
}

// LoadStartInfo is a call that begins.
type LoadStartInfo struct {
	Func string // the name that the function was wrapped under
}

// LoadDoneInfo is a call that has ended.
type LoadDoneInfo struct {
	Func     string
	Duration time.Duration
	Err      error // what the function returned; a *PanicError or *GoexitError if it did not
}

// StoreErrorInfo is a store that has failed.
type StoreErrorInfo struct {
	Func string
	Op   string // what was done: "get", "set", "delete", "ttl", "lock", or in lower case the method that was called
	Err  error
}

// EncodeErrorInfo is a result or an argument that cannot be encoded.
type EncodeErrorInfo struct {
	Func string
	Err  error // a *KeyError, or what KeyFunc returned, if it is an argument
}

// DecodeErrorInfo is an entry that cannot be read.
type DecodeErrorInfo struct {
	Func string
	Err  error
}

// ETagErrorInfo is an etag that cannot be made.
type ETagErrorInfo struct {
	Func string
	Err  error
}

// MismatchInfo is a result that differs from what is stored.
type MismatchInfo struct {
	Func string
}

// emit calls a hook.
func emit[T any](ctx context.Context, m *Memo, hook func(context.Context, T), info T) {
	if hook == nil {
		return
	}
	defer func() {
		if recover() != nil {
			m.counters.add(hookPanics, 1)
			m.log.hookPanicked(ctx, "Trace")
		}
	}()
	hook(ctx, info)
}
