package flight

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// ErrClosed is a load that is refused, or was cut short, because its Scope was
// closed.
var ErrClosed = errors.New("closed by Close")

// ErrTimeout is a load that took longer than it may.
var ErrTimeout = errors.New("the load timed out")

// ErrPatience is a wait that was longer than the caller's patience.
var ErrPatience = errors.New("the load takes longer than the caller waits")

// errAbandoned is the cause for which the context of a load is cancelled.
var errAbandoned = errors.New("nobody waits for the load any more")

// A cutError is the error of a load that ended after it was cancelled for a
// reason.
type cutError struct{ reason, err error }

func (e *cutError) Error() string   { return e.reason.Error() + ": " + e.err.Error() }
func (e *cutError) Unwrap() []error { return []error{e.reason, e.err} }

// PanicError is a load that panicked.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine that panicked, as by debug.Stack

	resumed bool // it is the value of a panic itself
}

// Error shows the value. As the value of a panic it shows the stack too, since
// an uncaught panic shows nothing else.
func (e *PanicError) Error() string {
	if e.resumed {
		return fmt.Sprintf("panic: %v\n\n%s", e.Value, e.Stack)
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

func (e *PanicError) resume() { Repanic(e) }

// Repanic lets the panic that e describes go on in this goroutine.
func Repanic(e *PanicError) { panic(&PanicError{e.Value, e.Stack, true}) }

// GoexitError is a load that called runtime.Goexit, as testing.T.FailNow does.
type GoexitError struct {
	Stack []byte // of the goroutine that ended, as by debug.Stack
}

func (e *GoexitError) Error() string { return "runtime.Goexit was called" }

func (e *GoexitError) resume() { runtime.Goexit() }

// aborted is how a load ended that did not return.
type aborted interface {
	error
	resume() // does in this goroutine what the load did in its own
}

// abort is called by a deferred function with what recover returned there.
func abort(recovered any) aborted {
	switch recovered := recovered.(type) {
	case nil:
		return &GoexitError{debug.Stack()}
	case *PanicError:
		// Of a load that this one had led, or noted on its way here: its stack
		// says more.
		return &PanicError{Value: recovered.Value, Stack: recovered.Stack}
	default:
		return &PanicError{Value: recovered, Stack: debug.Stack()}
	}
}

// CycleError is a load that would wait for itself.
type CycleError struct {
	Keys []string // each loads the next; the last is the first again
}

func (e *CycleError) Error() string {
	var text strings.Builder
	text.WriteString("the load waits for itself: ")
	for i, key := range e.Keys {
		if i > 0 {
			text.WriteString(" → ")
		}
		const shown = 64
		if len(key) > shown {
			text.WriteString(strconv.Quote(key[:shown]) + "…")
		} else {
			text.WriteString(strconv.Quote(key))
		}
	}
	return text.String()
}
