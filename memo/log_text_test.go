package memo

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// oddError has a text, and wraps what its text does not show.
type oddError struct{ errs []error }

func (e *oddError) Error() string   { return "odd" }
func (e *oddError) Unwrap() []error { return e.errs }

type panickingError struct{}

func (panickingError) Error() string { panic("in Error") }

func TestPublicText(t *testing.T) {
	const key = "app:user:secret"
	keyed := func(text string) error { return &store.Error{Op: "get", Key: key, Err: errors.New(text)} }
	many := make([]error, 9)
	for i := range many {
		many[i] = keyed(fmt.Sprint("failure ", i))
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, "<nil>"},
		{errors.New("plain"), "plain"},
		{errDown, "connection refused"},
		{fmt.Errorf("read %s: %w", key, errDown), "connection refused"},
		{store.Errorf("get", "v2:"+key, store.ErrUnavailable, "second level: %w", keyed("refused")), "store unavailable; refused"},
		{&Error{"get", "user", key, keyed("refused")}, "refused"},
		{&Error{"load", "user", key, fmt.Errorf("no such database")}, "no such database"},
		{errors.Join(keyed("one"), keyed("two"), keyed("one")), "one; two"},
		{fmt.Errorf("%w and %w", keyed("one"), errors.New("two")), "one; two"},
		{errors.Join(many...), "failure 0; failure 1; failure 2; failure 3; and 5 more errors"},
		{&oddError{many[:2]}, "failure 0; failure 1"},
		{&oddError{[]error{errors.New("hidden")}}, "odd"},
		{keyed(`unexpected response: "VALUE app:user:secret 0 1"`), `unexpected response: "VALUE (key) 0 1"`},
		{&Error{"get", "user", key, &CycleError{Keys: []string{key, key}}}, "the load waits for itself"},
		{&Error{"load", "user", key, &PanicError{Value: "boom", Stack: []byte("stack")}}, "panic: boom"},
		{&Error{"key", "user", "", fmt.Errorf("bad id %s", "secret")}, "KeyFunc returned a *errors.errorString"},
		{keyed(strings.Repeat("ä", maxLogText)), strings.Repeat("ä", maxLogText/2) + "…"},
		{keyed(""), ""},
		{&store.Error{Op: "get", Key: key}, "<nil>"},
		{panickingError{}, "%!v(PANIC=Error method: in Error)"},
	} {
		got := publicText(test.err)
		if got != test.want {
			t.Errorf("%T is shown as %q\nwant %q", test.err, got, test.want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%q has the key in it", got)
		}
	}
}

// quoting quotes its value in errors.
type quoting struct{}

func (quoting) MarshalJSON() ([]byte, error) { return nil, errors.New("bad secret") }

func (*quoting) UnmarshalJSON([]byte) error {
	_, err := time.Parse(time.RFC3339, "secret")
	return err
}

func TestCodecText(t *testing.T) {
	type row struct {
		ID   int8
		When quoting
	}
	decode := func(text string) error {
		return &foreignError{json.Unmarshal([]byte(text), new(row))}
	}
	encode := func(v any) error {
		_, err := json.Marshal(v)
		return &encodeError{&foreignError{err}}
	}
	outOfRange := func() (err error) {
		defer func() { err = &PanicError{Value: recover()} }()
		return fmt.Errorf("%v", []int{}[len("secret")])
	}
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"ours", errors.New("the entry was cut"), "the entry was cut"},
		{"number", decode(`{"ID":4711}`), "json: cannot unmarshal number into a Go value of type int8, which is row.ID"},
		{"text", decode(`{"ID":"secret"}`), "json: cannot unmarshal string into a Go value of type int8, which is row.ID"},
		{"not wrapped", json.Unmarshal([]byte("4711"), new(int8)), "json: cannot unmarshal number into a Go value of type int8"},
		{"syntax", decode(`{"ID":secret}`), "json: no valid JSON at byte 7"},
		{"UnmarshalJSON", decode(`{"When":"secret"}`), "the codec or a method of the type returned a *time.ParseError"},
		{"MarshalJSON", encode(quoting{}), "json: a method of memo.quoting returned a *errors.errorString"},
		{"type", encode(func() {}), "json: unsupported type: func()"},
		{"codec", &foreignError{errors.New("bad secret")}, "the codec or a method of the type returned a *errors.errorString"},
		{"panic", fmt.Errorf("the codec panicked: %w", &PanicError{Value: "secret"}), "panic with a string"},
		{"runtime panic", outOfRange(), "panic: runtime error: index out of range [6] with length 0"},
		{"KeyFunc", &Error{"key", "user", "", errors.New("bad secret")}, "KeyFunc returned a *errors.errorString"},
		{
			"argument", &KeyError{Func: "user", Type: "memo.row", Field: "Price", Err: errors.New("NaN cannot be part of a key")},
			`memo: key of "user": argument type memo.row: field Price: NaN cannot be part of a key`,
		},
		{"through the store", store.Errorf("setlive", "app:user:secret", store.ErrInvalid, "encode: %w", encode(func() {})), "json: unsupported type: func()"},
	} {
		got := codecText(test.err)
		if got != test.want {
			t.Errorf("%s: %q is shown as %q\nwant %q", test.name, test.err, got, test.want)
		}
		if strings.Contains(got, "secret") || strings.Contains(got, "4711") {
			t.Errorf("%s: %q has the value in it", test.name, got)
		}
	}
}
