package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// An outcome is a call and what came of it. Its methods check it: one that
// does not hold ends the case.
type outcome struct {
	t    *trial
	op   string // as in store.Error
	key  string // of a call that concerns one key
	way  way
	text string // the call as it is shown

	value        any
	err          error
	began, ended moment
}

// call makes a call of a method of Store.
func (c *client) call(op, key, args string, do func() (any, error)) *outcome {
	method := map[string]string{"get": "Get", "set": "Set", "delete": "Delete", "ttl": "TTL", "close": "Close"}[op]
	return c.run(&outcome{t: c.t, op: op, key: key, text: method + "(" + args + ")"}, do)
}

// ability makes a call of a method of another name, in the client's way.
func (c *client) ability(name, key, args string, do func() (any, error)) *outcome {
	o := &outcome{t: c.t, op: strings.ToLower(name), key: key, way: c.way, text: name + "(" + args + ")"}
	if c.way != byMethod {
		o.text = "store." + o.text
	}
	return c.run(o, do)
}

func (c *client) run(o *outcome, do func() (any, error)) *outcome {
	t := c.t
	t.use(o.key)
	if c.name != "" {
		o.text = c.name + ": " + o.text
	}
	switch {
	case c.ctx == nil:
		o.text += " with a nil context"
		o.key = "" // store.Check does not name it then
	case c.ctx.Err() != nil:
		o.text += " with a done context"
	}
	t.mu.Lock()
	t.underWay[o] = true
	t.mu.Unlock()
	o.began = t.now()
	o.value, o.err = do()
	o.ended = t.now()
	t.mu.Lock()
	delete(t.underWay, o)
	t.mu.Unlock()
	t.note("%s = %s", o.text, o.result())
	return o
}

// result is what the call returned, as it is shown.
func (o *outcome) result() string {
	value := show(o.value)
	switch {
	case o.err == nil && value == "":
		return "nil"
	case o.err == nil:
		return value
	case value == "":
		return o.error()
	}
	return value + ", " + o.error()
}

func (o *outcome) error() string {
	switch {
	case o.err == store.ErrNotFound: // the bare sentinel is meant
		return "ErrNotFound"
	case errors.Is(o.err, store.ErrNotFound):
		return fmt.Sprintf("an error that wraps ErrNotFound: %T: %v", o.err, o.err)
	}
	return fmt.Sprintf("%T: %v", o.err, o.err)
}

// wanted fails the case: this is not what should have come of the call.
func (o *outcome) wanted(format string, args ...any) {
	got := o.result()
	if l, ok := o.value.(*store.Live); ok && l != nil {
		b, err := l.Bytes()
		got += " of " + showBytes(b)
		if err != nil {
			got = "a Live that cannot be encoded: " + err.Error()
		}
	}
	o.t.fail(failure{o.text, got, fmt.Sprintf(format, args...)})
}

// ok checks that the call succeeded.
func (o *outcome) ok() *outcome {
	if o.err != nil {
		o.wanted("success (a nil error)")
	}
	return o
}

// is checks the result: a string stands for the bytes of a value.
func (o *outcome) is(want any) *outcome {
	if o.err != nil || !equal(o.value, want) {
		o.wanted("%s%s", show(want), showDifference(o.value, want))
	}
	return o
}

// isWithin checks the result of a read of the entry that the call written
// wrote with this ttl. A read that came too late may miss.
func (o *outcome) isWithin(written *outcome, ttl time.Duration, value string) *outcome {
	if o.late(written, ttl) {
		return o.miss()
	}
	return o.is(value)
}

// late reports whether a read missed an entry that may have expired.
func (o *outcome) late(written *outcome, ttl time.Duration) bool {
	return errors.Is(o.err, store.ErrNotFound) && atMost(written.began, o.ended) >= o.t.suite.life(ttl).low
}

// miss checks for a miss: nothing, and the very sentinel.
func (o *outcome) miss() *outcome {
	switch {
	case o.err != store.ErrNotFound: // the bare sentinel is meant
		o.wanted("a miss: nothing, and store.ErrNotFound itself")
	case !isNothing(o.value):
		o.wanted("a miss: nothing beside store.ErrNotFound")
	}
	return o
}

// fails checks that the call failed in this way: the error matches kind and is
// no miss, it is a *store.Error that names method and key, and there is no
// result beside it (but what a batch could read before).
func (o *outcome) fails(kind error) *outcome {
	var e *store.Error
	switch {
	case !errors.Is(o.err, kind):
		o.wanted("an error matching %q", kind)
	case errors.Is(o.err, store.ErrNotFound):
		o.wanted("an error that is no miss: it must not match store.ErrNotFound")
	case !errors.As(o.err, &e):
		o.wanted("a *store.Error, as by store.Errorf")
	case !slices.Contains(o.ops(), e.Op):
		o.wanted("a *store.Error with Op %q, not %q", o.op, e.Op)
	case o.key != "" && e.Key != o.key:
		o.wanted("a *store.Error with Key %s, not %s", quote(o.key), quote(e.Key))
	case !isNothing(o.value) && o.op != "getmany" && o.op != "getmanywithttl" && o.op != "keys":
		o.wanted("no result beside the error")
	}
	return o
}

// nothing checks that there is no result beside the error, also not in part.
func (o *outcome) nothing() *outcome {
	if !isNothing(o.value) {
		o.wanted("no result beside the error")
	}
	return o
}

// fallbacks are the methods that a function calls where its own is missing.
var fallbacks = map[string][]string{
	"getmany":        {"get"},
	"setmany":        {"set"},
	"deletemany":     {"delete"},
	"getwithttl":     {"get", "ttl"},
	"getmanywithttl": {"getwithttl", "get", "ttl"},
	"getlive":        {"get"},
	"getliveat":      {"getlive", "get"},
	"setlive":        {"set"},
	"clear":          {"keys", "deletemany", "delete"},
	"ping":           {"get"},
}

// ops are the Ops that an error of the call may name.
func (o *outcome) ops() []string {
	if o.t.suite.offersOp(o.op) {
		return []string{o.op}
	}
	return append([]string{o.op}, fallbacks[o.op]...)
}

// lasts checks an answer of TTL, of GetWithTTL or of GetOrLease, or a part of
// one of GetManyWithTTL, for the entry that the call written wrote with this
// ttl: never more than the truth, and not less than time and the store's step
// account for.
func (o *outcome) lasts(written *outcome, ttl time.Duration) *outcome {
	switch {
	case o.late(written, ttl):
		return o.miss()
	case o.err != nil:
		o.wanted("the time that is left of %s", showTTL(ttl))
	}
	got, ok := o.value.(time.Duration)
	switch v := o.value.(type) {
	case valueAndTTL:
		got, ok = v.ttl, true
	case store.Lookup:
		got, ok = v.TTL, true
	}
	s := o.t.suite
	switch life := s.life(ttl); {
	case !ok:
		panic("conformance: lasts is for TTL, GetWithTTL and GetOrLease")
	case !s.knowsTTL:
		if got != store.UnknownTTL {
			o.wanted("UnknownTTL, as this store answered to the first TTL it was asked")
		}
	case life.low == store.Forever:
		if got != store.Forever {
			o.wanted("Forever")
		}
	default:
		high := life.high - o.t.atLeast(written.ended, o.began)
		low := life.low - atMost(written.began, o.ended) - s.opts.TTLStep
		switch {
		case got == store.Forever:
			o.wanted("at most %v, never Forever", high)
		case got > high:
			o.wanted("at most %v: never more than the truth", high)
		case got < low || got <= 0:
			o.wanted("at least %v", max(low, 1))
		}
	}
	return o
}

// of is the part of an answer of GetManyWithTTL that concerns a key, as if
// GetWithTTL had answered it.
func (o *outcome) of(key string) *outcome {
	o.ok()
	one := *o
	one.text += "[" + quote(key) + "]"
	one.value, one.err = nil, store.ErrNotFound
	if e, ok := o.value.(map[string]store.Entry)[key]; ok {
		one.value, one.err = valueAndTTL{e.Value, e.TTL}, nil
	}
	return &one
}

// bytes is the value that a read returned, to be scribbled on.
func (o *outcome) bytes() []byte {
	o.ok()
	switch v := o.value.(type) {
	case []byte:
		return v
	case valueAndTTL:
		return v.value
	}
	panic("conformance: bytes is for Get and GetWithTTL")
}

// isNothing reports whether a result is what a method returns beside an error.
func isNothing(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []byte:
		return v == nil
	case valueAndTTL:
		return v.value == nil && v.ttl == 0
	case time.Duration:
		return v == 0
	case bool:
		return !v
	case map[string][]byte:
		return len(v) == 0
	case map[string]store.Entry:
		return len(v) == 0
	case []string:
		return len(v) == 0
	case *store.Live:
		return v == nil
	case store.Lookup:
		return v == store.Lookup{}
	case store.LockResult:
		return v == store.LockResult{}
	case <-chan struct{}:
		return v == nil
	}
	return false
}

// valuesOf is the values that a read of several keys has returned.
func valuesOf(result any) (values map[string][]byte, ok bool) {
	switch m := result.(type) {
	case map[string][]byte:
		return m, true
	case map[string]store.Entry:
		values = make(map[string][]byte, len(m))
		for key, e := range m {
			values[key] = e.Value
		}
		return values, true
	}
	return nil, false
}

func equal(got, want any) bool {
	switch want := want.(type) {
	case string:
		switch got := got.(type) {
		case []byte:
			return string(got) == want
		case valueAndTTL:
			return string(got.value) == want
		case *store.Live:
			b, err := got.Bytes()
			return err == nil && string(b) == want
		}
	case []byte:
		b, ok := got.([]byte)
		return ok && bytes.Equal(b, want)
	case map[string]string:
		m, ok := valuesOf(got)
		if !ok || len(m) != len(want) {
			return false
		}
		for key, value := range want {
			if b, ok := m[key]; !ok || string(b) != value {
				return false
			}
		}
		return true
	case []string:
		keys, ok := got.([]string)
		return ok && slices.Equal(slices.Compact(slices.Clone(keys)), want)
	}
	return got == want
}
