package memo

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/cairncache/cairn/store"
)

const (
	maxLogErrors = 4    // of a batch
	maxLogText   = 1024 // bytes of each of them
)

// publicText is the text of err without keys. Of the errors that carry one, and
// of what wraps them, only what is inside is shown: their own text has the key.
// What else a client or a function says is shown as it is.
func publicText(err error) string {
	texts := appendPublic(nil, err)
	shown := texts[:0]
	for _, text := range texts {
		if len(text) > maxLogText {
			text = strings.ToValidUTF8(text[:maxLogText], "") + "…"
		}
		if !slices.Contains(shown, text) {
			shown = append(shown, text)
		}
	}
	if more := len(shown) - maxLogErrors; more > 0 {
		shown = append(shown[:maxLogErrors], fmt.Sprintf("and %d more errors", more))
	}
	return strings.Join(shown, "; ")
}

func appendPublic(texts []string, err error) []string {
	switch e := err.(type) {
	case *store.Error:
		return appendWithout(texts, e.Key, e.Err)
	case *Error:
		if e.Op == "key" { // of a KeyFunc, which may quote its argument
			return append(texts, fmt.Sprintf("KeyFunc returned a %T", e.Err))
		}
		return appendWithout(texts, e.Key, e.Err)
	case *CycleError:
		return append(texts, "the load waits for itself")
	case *PanicError:
		return append(texts, fmt.Sprintf("panic: %v", e.Value)) // its own text may have the stack, too
	}
	if !carriesKey(err) {
		return append(texts, fmt.Sprint(err))
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return appendPublic(texts, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			texts = appendPublic(texts, err)
		}
		return texts
	}
	return append(texts, fmt.Sprintf("an error of type %T", err)) // it has an As method
}

// appendWithout appends the texts of err. A server may have quoted the key in
// its answer.
func appendWithout(texts []string, key string, err error) []string {
	n := len(texts)
	texts = appendPublic(texts, err)
	if key != "" {
		for i, text := range texts[n:] {
			texts[n+i] = strings.ReplaceAll(text, key, "(key)")
		}
	}
	return texts
}

func carriesKey(err error) bool {
	var (
		ofStore *store.Error
		ofMemo  *Error
		ofCycle *CycleError
	)
	return errors.As(err, &ofStore) || errors.As(err, &ofMemo) || errors.As(err, &ofCycle)
}

// foreignError is an error that a user's codec or a method of a user's type has
// returned. It may quote the value.
type foreignError struct{ err error }

func (e *foreignError) Error() string { return e.err.Error() }
func (e *foreignError) Unwrap() error { return e.err }

// codecText is publicText of an error of encoding or decoding, without values.
func codecText(err error) string {
	var (
		wrongType   *json.UnmarshalTypeError
		wrongSyntax *json.SyntaxError
		unsupported *json.UnsupportedTypeError
		nan         *json.UnsupportedValueError
		marshaler   *json.MarshalerError
		panicked    *PanicError
		foreign     *foreignError
	)
	switch {
	case errors.As(err, &panicked):
		if e, ok := panicked.Value.(runtime.Error); ok {
			return "panic: " + e.Error()
		}
		return fmt.Sprintf("panic with a %T", panicked.Value)
	case errors.As(err, &marshaler):
		return fmt.Sprintf("json: a method of %v returned a %T", marshaler.Type, marshaler.Err)
	case errors.As(err, &wrongType):
		kind, _, _ := strings.Cut(wrongType.Value, " ") // of a number it has the number, too
		text := fmt.Sprintf("json: cannot unmarshal %s into a Go value of type %v", kind, wrongType.Type)
		if wrongType.Field != "" {
			text += ", which is " + wrongType.Struct + "." + wrongType.Field
		}
		return text
	case errors.As(err, &wrongSyntax):
		return fmt.Sprintf("json: no valid JSON at byte %d", wrongSyntax.Offset)
	case errors.As(err, &unsupported):
		return unsupported.Error()
	case errors.As(err, &nan):
		return nan.Error()
	case errors.As(err, &foreign):
		return fmt.Sprintf("the codec or a method of the type returned a %T", foreign.err)
	}
	return publicText(err)
}
