package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The kinds of failure, to be tested with errors.Is. An operation that a store
// does not offer is errors.ErrUnsupported.
var (
	// ErrNotFound is a miss: there is no such entry, or it has expired. It is
	// returned as it is, so that a miss costs no allocation.
	ErrNotFound = errors.New("store: not found")

	// ErrInvalid is a bad argument. Nothing was sent and nothing has changed.
	ErrInvalid = errors.New("invalid argument")

	// ErrTooLarge is a value, or an entry with its key, that the backend does
	// not take. What was stored before under the key is not readable any more.
	ErrTooLarge = errors.New("value too large")

	// ErrClosed is a call after Close.
	ErrClosed = errors.New("store is closed")

	// ErrUnavailable is a backend that cannot be reached, does not answer in
	// time, or refuses to serve. Whether a write happened is then unknown.
	ErrUnavailable = errors.New("store unavailable")
)

// Error is every failure but a miss: what was being done, to which key, and
// why it failed. Err matches one of the kinds above, errors.ErrUnsupported or
// a context's error, and wraps the client's own error where there is one.
type Error struct {
	Op  string // the method in lower case, such as "get" or "compareandswap"
	Key string // empty where it concerns no single key; the redacted URL for "open"
	Err error
}

// Error quotes the key and cuts it at 64 bytes. It shows no values.
func (e *Error) Error() string {
	if e.Key == "" {
		return "store: " + e.Op + ": " + e.Err.Error()
	}
	return "store: " + e.Op + " " + quoteKey(e.Key) + ": " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an *Error of the given kind (one of the sentinels above) whose
// text is made by fmt.Errorf, %w included. The result matches the kind and
// whatever the text wraps; the text alone is shown.
func Errorf(op, key string, kind error, format string, args ...any) error {
	return &Error{Op: op, Key: key, Err: &reason{kind, fmt.Errorf(format, args...)}}
}

// A reason is an error of a kind which need not say the kind's name.
type reason struct{ kind, text error }

func (r *reason) Error() string   { return r.text.Error() }
func (r *reason) Unwrap() []error { return []error{r.kind, r.text} }

const maxQuotedKey = 64

func quoteKey(key string) string {
	if len(key) > maxQuotedKey {
		return strconv.Quote(key[:maxQuotedKey]) + "…"
	}
	return strconv.Quote(key)
}

// unsupported says which ability the store at the bottom of s lacks.
func unsupported(op, key string, s Store, method string) error {
	return Errorf(op, key, errors.ErrUnsupported, "%T does not offer %s (store.%sStore)", base(s), method, method)
}

// declined reports whether a method asked its helper to go on without it.
func declined(err error) bool { return err != nil && errors.Is(err, errors.ErrUnsupported) }

// batchError is what failed in a batch: one error for each call. It is used by
// pointer, as errors are compared.
type batchError []error

func (b *batchError) Unwrap() []error { return *b }

// Error shows a few of the errors and counts the rest.
func (b *batchError) Error() string {
	const shown = 4
	var text strings.Builder
	for i, err := range *b {
		if i == shown {
			fmt.Fprintf(&text, "\nand %d more errors", len(*b)-shown)
			break
		}
		if i > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(err.Error())
	}
	return text.String()
}

// joinErrors returns nil, the one error, or all of them as one.
func joinErrors(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	b := batchError(errs)
	return &b
}
