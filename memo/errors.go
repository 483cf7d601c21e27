package memo

import (
	"strconv"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// ErrClosed is a call after Close, or one that was cut short by it.
var ErrClosed = flight.ErrClosed

// ErrTimeout is a load that took longer than Policy.LoadTimeout, or a wait that
// was longer than Policy.WaitTimeout.
var ErrTimeout = flight.ErrTimeout

// RememberedError is an error that the function returned earlier and that was
// stored, for Policy.Absent or FuncOptions.CacheError. Only its text is kept,
// whatever the store. It matches store.ErrNotFound if the error did.
type RememberedError struct {
	Text   string
	Absent bool // the function had found no such thing
}

func (e *RememberedError) Error() string { return e.Text }

// Is reports whether target is store.ErrNotFound and the function had found no
// such thing.
func (e *RememberedError) Is(target error) bool { return e.Absent && target == store.ErrNotFound }

// Error is a failure of a call of a memoized function. Err matches, and gives
// by errors.As, what the function itself returned, or a *RememberedError for
// what it returned earlier; or it is ErrClosed, ErrTimeout, store.ErrInvalid,
// the error of the caller's context, a *PanicError, a *GoexitError or a
// *CycleError; or that of the store, in what only the store can do or if the
// Memo is Strict.
type Error struct {
	Op   string // "load" if it is the function that failed, else the method in lower case
	Func string // the name that the function was wrapped under; empty if it is the Memo's
	Key  string // empty if there is none
	Err  error
}

// Error quotes the key and cuts it at 64 bytes.
func (e *Error) Error() string {
	of := e.Key // begins with the name
	if of == "" {
		of = e.Func
	}
	if of == "" { // of the Memo
		return "memo: " + e.Op + ": " + e.Err.Error()
	}
	return "memo: " + e.Op + " " + quote(of) + ": " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

func quote(text string) string {
	const shown = 64
	if len(text) > shown {
		return strconv.Quote(text[:shown]) + "…"
	}
	return strconv.Quote(text)
}

type (
	// PanicError is a function that panicked, for those who had waited for it.
	// In the caller whose Get had called it, the panic goes on with the
	// *PanicError as its value. Its fields are Value any, what panic was
	// called with, and Stack []byte, of the function's goroutine. It wraps
	// Value if that is an error.
	PanicError = flight.PanicError

	// GoexitError is a function that called runtime.Goexit, for those who had
	// waited for it. The caller whose Get had called it exits, too. Its field
	// is Stack []byte.
	GoexitError = flight.GoexitError

	// CycleError is a Get that would wait for itself: the same key of the same
	// function is asked for by the function, or by one that this waits for. It
	// is found if each is called with the context that its caller was given,
	// or one derived from that; with another context it waits until that ends.
	// The field Keys []string has the keys on the way, each loading the next;
	// the last is the first again.
	CycleError = flight.CycleError
)

// invalid is a bad argument. The text says what to do instead.
type invalid string

func (e invalid) Error() string { return string(e) }
func (e invalid) Unwrap() error { return store.ErrInvalid }

const nilContext = "the context is nil; pass context.Background() where there is none"
