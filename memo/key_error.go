package memo

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cairncache/cairn/store"
)

// KeyError says why arguments cannot be made into a key: at Wrap, because of
// their type; at a call, because of their value. It shows types and the names
// of fields, no values, and matches [store.ErrInvalid].
type KeyError struct {
	Func  string // the name that the function was wrapped under
	Arg   int    // which argument it is, from 1; 0 if the function has only one
	Type  string // the type of that argument
	Field string // where in the argument, such as Filter.Match or Items[3].Price; empty if it is the argument itself
	Err   error  // why, and what to do

	wrap bool
}

// Error describes the failure in one line.
func (e *KeyError) Error() string {
	var b strings.Builder
	if e.wrap {
		b.WriteString("memo: wrap ")
	} else {
		b.WriteString("memo: key of ")
	}
	b.WriteString(strconv.Quote(e.Func))
	switch {
	case e.Arg > 0:
		fmt.Fprintf(&b, ": argument %d of type %s", e.Arg, e.Type)
	case e.Type != "":
		b.WriteString(": argument type " + e.Type)
	}
	switch {
	case e.Field == "":
	case e.Field[0] == '[' || e.Field[0] == '(':
		b.WriteString(": at " + e.Field)
	default:
		b.WriteString(": field " + e.Field)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns store.ErrInvalid and e.Err.
func (e *KeyError) Unwrap() []error { return []error{store.ErrInvalid, e.Err} }

// refusal is a KeyError in the making: the steps to where it happened are added
// on the way back, innermost first.
type refusal struct {
	arg   int
	steps []string
	err   error
}

// refuse makes a refusal of a value, for a reason that names the remedy.
func refuse(format string, args ...any) *refusal {
	return &refusal{err: fmt.Errorf(format, args...)}
}

// refuseType makes a refusal of a type.
func refuseType(why string) *refusal {
	return &refusal{err: &typeRefused{why: why}}
}

// typeRefused is why a type is refused. Its remedy depends on whether the type
// is that of a field, which is known when all steps are.
type typeRefused struct {
	why   string
	field bool
}

func (t *typeRefused) Error() string {
	if t.field {
		return t.why + " cannot be part of a key; set KeyFunc or leave the field out"
	}
	return t.why + " cannot be part of a key; set KeyFunc"
}

// in adds a step: ".Field", "[3]" or ".(type)".
func (r *refusal) in(step string) *refusal {
	r.steps = append(r.steps, step)
	return r
}

// keyError completes r for the function name with an argument, or a list of
// arguments, of type t.
func (r *refusal) keyError(t reflect.Type, name string, wrap bool) error {
	if r.arg > 0 {
		t = t.Field(r.arg - 1).Type
	}
	steps := r.steps
	slices.Reverse(steps)
	if t, ok := r.err.(*typeRefused); ok {
		t.field = slices.ContainsFunc(steps, isFieldStep)
	}
	const shown = 12
	if len(steps) > shown {
		steps = append(steps[:shown-2:shown-2], "…", steps[len(steps)-1])
	}
	field := strings.Join(steps, "")
	return &KeyError{Func: name, Arg: r.arg, Type: t.String(), Field: strings.TrimPrefix(field, "."), Err: r.err, wrap: wrap}
}

func isFieldStep(step string) bool { return step[0] == '.' && step[1] != '(' }
