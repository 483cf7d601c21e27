package memo

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// Call is what one call wants otherwise than its function. It goes to those
// methods that take one; at most one may be given.
//
// A load belongs to the caller that begins it: TTL, tags and NoStore of those
// who join it are without effect.
type Call struct {
	// Policy overrides that of the function, and of what precedes it.
	Policy Policy

	// MaxAge is how old a value may be for this caller, counted from the end
	// of its load; zero is no limit. A value that is older is loaded anew, for
	// all, and is no substitute if that fails.
	MaxAge time.Duration

	// Refresh loads the value whatever is stored, with a load that begins
	// after the call. If that fails its error is returned, whatever is stored.
	Refresh bool

	// Skip calls the function for this caller alone. Nothing is read from the
	// store, not even an etag is asked for, and nothing is stored; of Call and
	// the policy, LoadTimeout and WaitTimeout count. Skip together with Refresh
	// is ErrInvalid.
	Skip bool

	// StaleOK answers any value that is still there at once, also where
	// MaxAge, the etag or the policy would not, and refreshes it in the
	// background.
	StaleOK bool

	// NoStore does not store what is loaded.
	NoStore bool

	// ETag is the version of what the value is made of; see
	// [FuncOptions].ETag, which it precedes. Nil is none.
	ETag *string

	// Tags are for what is loaded or set; see [Memo.InvalidateTags].
	Tags []string
}

// Source is where a Result comes from.
type Source uint8

const (
	SourceNone     Source = iota // there is no value
	SourceMemory                 // a store that keeps values in the process, or has a layer there, whichever layer has answered
	SourceStore                  // any other store
	SourceLoaded                 // the function, called for this caller
	SourceShared                 // the function, called for another caller
	SourceStale                  // a store, though its ttl has passed, or MaxAge or the etag forbade it but for StaleOK or a load that failed
	SourceNegative               // a store, which remembers that there is no such thing, or an error
)

// String returns the name in lower case.
func (s Source) String() string {
	names := [...]string{"none", "memory", "store", "loaded", "shared", "stale", "negative"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Result is an answer with what is known about it.
type Result[V any] struct {
	Value  V
	Source Source

	// Age is the time since the end of the load. With clocks that differ
	// between processes it is only as right as they are.
	Age time.Duration

	// TTL is how long the value, or the error of SourceNegative, stays fresh: 0
	// with SourceStale and if it was not stored, store.Forever without a
	// limit, store.UnknownTTL, which is negative, if only the store knows.
	TTL time.Duration

	// ETag is that of the entry, empty if it has none.
	ETag string

	// Err is why there is no value, if there is none, as by the method's
	// error. With SourceStale it is the error of the last load of this process
	// that should have replaced the value, nil if that has not failed.
	Err error
}

// Meta is what is known about an entry besides its value.
type Meta struct {
	Created    time.Time     // the end of the load
	FreshUntil time.Time     // zero without a limit, or if only the store knows it
	StaleUntil time.Time     // zero if it is not answered after FreshUntil
	TTL        time.Duration // how long the store will still keep it, as by Func.TTL; 0 from Previous
	LoadTime   time.Duration // to the microsecond
	ETag       *string       // nil if there is none
	Tags       []string
	Size       int  // of the entry in the store, in bytes
	Absent     bool // it says that there is no such thing
	Failure    bool // it is an error, remembered for CacheError
}

// ask is what a call wants, all told. It is not changed after it was made.
type ask struct {
	op      string
	policy  Policy // settled
	maxAge  time.Duration
	refresh bool
	skip    bool
	staleOK bool
	noStore bool
	etag    *string
	tags    []string // of the call
}

// apply adds what call wants, of a function with this policy.
func (a *ask) apply(call *Call, function Policy) error {
	if call.Policy != (Policy{}) {
		if err := call.Policy.check(); err != nil {
			return prefixed{"Call.", err}
		}
		policy, err := call.Policy.inherit(function).settle()
		if err != nil {
			return prefixed{"Call.", err}
		}
		a.policy = policy
	}
	if call.MaxAge < 0 {
		return invalid("Call.MaxAge: " + call.MaxAge.String() + " is negative; leave it zero for no limit, or set Refresh for a new value")
	}
	for _, tag := range call.Tags {
		if tag == "" {
			return invalid("Call.Tags: a tag is empty; name it or leave it out")
		}
	}
	switch {
	case call.Refresh && call.Skip:
		return invalid("Call.Skip: it is set together with Refresh; set one of them")
	case call.Refresh || call.Skip:
		a.refresh, a.skip = call.Refresh, call.Skip
	}
	a.maxAge, a.staleOK, a.noStore = call.MaxAge, call.StaleOK, call.NoStore
	a.tags = call.Tags
	if call.ETag != nil {
		a.etag = call.ETag
	}
	return nil
}

// prefixed is an error with something before its text.
type prefixed struct {
	prefix string
	err    error
}

func (e prefixed) Error() string { return e.prefix + e.err.Error() }
func (e prefixed) Unwrap() error { return e.err }

// timeLeft is the ttl in a Result of an entry that is fresh until then.
func timeLeft(until, now int64, ttl time.Duration) time.Duration {
	switch {
	case until != 0:
		return max(time.Duration(until-now), 0)
	case ttl == store.Forever:
		return store.Forever
	}
	return store.UnknownTTL
}

// ask returns what a call wants.
func (f *Func[K, V]) ask(ctx context.Context, op string, calls []Call) (*ask, error) {
	in := modeOf(ctx)
	if len(calls) == 0 && in == usual && op == f.plain.op {
		return &f.plain, nil
	}
	if len(calls) > 1 {
		return nil, invalid("more than one Call; put all into one")
	}
	a := f.plain
	a.op, a.refresh, a.skip = op, in == refreshing, in == skipping
	if len(calls) == 1 {
		if err := a.apply(&calls[0], f.inherited); err != nil {
			return nil, err
		}
	}
	if f.memo.skip {
		a.refresh, a.skip = false, true
	}
	return &a, nil
}

// withETag adds that of the function, unless the call has one.
func (f *Func[K, V]) withETag(ctx context.Context, a *ask, k K) *ask {
	if f.etag == nil || a.etag != nil {
		return a
	}
	etag, err := f.etag(ctx, k)
	if err != nil {
		f.reportETag(ctx, err)
		return a
	}
	with := *a
	with.etag = &etag
	return &with
}
