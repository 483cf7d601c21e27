package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// Options tell the suite about the store under test. All are optional; nil and
// the zero Options stand for the defaults. A bad option fails the run before
// the first case.
type Options struct {
	// Want names the abilities that the adapter means to offer: the extension
	// interfaces without "Store" (GetMany, SetMany, DeleteMany, GetWithTTL,
	// GetManyWithTTL, Add, CompareAndSwap, CompareAndDelete, Touch, Keys, Clear,
	// Live, LiveAt, Watch, Lease, Lock, WatchLock, Ping). One that is missing,
	// and one that is offered but not named, is then a failure of the case
	// Abilities/Want; an empty, non-nil Want means none. With a nil Want the
	// abilities are found by store.Supports and reported.
	Want []string

	// Skip leaves out cases, by id, each with the reason, which the report
	// shows. An id that is not one of a case, or an empty reason, is an error.
	Skip map[string]string

	// TTLStep is the resolution of the store's expiry: an entry may live up to
	// one step longer than its ttl. The default is 1 ms.
	TTLStep time.Duration

	// DefaultTTL is the ttl that the stores which open returns are configured
	// with, and which DefaultTTL must therefore stand for. If it is 0 the
	// suite takes whatever the store answers to TTL, and holds it to that.
	DefaultTTL time.Duration

	// MaxValue is the largest value in bytes that the backend surely takes
	// under a short key; it must refuse one of twice the length. 0 means that
	// there is no limit or that it is not known: then nothing large is tried.
	MaxValue int

	// MaxKey is the length of the longest key in bytes that the store takes.
	// It is store.MaxKeyLen by default, as for every Store; less for a view
	// made with store.Prefix, whose prefix counts.
	MaxKey int

	// Advance moves the clock of the stores under test, and is called instead
	// of sleeping. The cases then run one after another.
	Advance func(time.Duration)

	// Bubble runs each case, with the store that open returns for it, in a
	// bubble of testing/synctest, so that sleeping takes no time and expiry is
	// judged to the nanosecond. It is for stores without a network, and for
	// Run and Fuzz only. open is then called inside the bubble.
	Bubble bool

	// Reopen returns a second handle on the data of s, a store that open
	// returned in the same test t: it stands for a second process. Run uses
	// it; without it the cases of the group Reopen are skipped.
	Reopen func(t *testing.T, s store.Store) store.Store

	// CheckReopen is Reopen for Check, where there is no *testing.T.
	CheckReopen func(ctx context.Context, s store.Store) (store.Store, error)

	// Fault breaks the backend on request. Without it the cases that need a
	// broken backend are skipped. Those cases run alone, before the others.
	Fault *Fault

	// Tidy deletes, at the end of each case, the entries that it may have left in
	// the stores that open returned, key by key: for a backend that keeps what
	// is not deleted, and serves others. What a store that the case has closed
	// or broken still holds is left, and so are locks, until their ttl.
	Tidy bool

	// Progress is told by Check of each case that has ended, how many have and
	// how many there are in all. It is called by one goroutine at a time, and
	// the cases wait while it runs. Run does not call it.
	Progress func(done, total int, ended Case)

	// Report is given the report at the end of the run, also when cases have
	// failed. Run logs the report's text in any case.
	Report func(Report)
}

// A Fault controls the backend of all stores under test. A nil function means
// that the fault cannot be made, and skips the cases that need it.
type Fault struct {
	Break   func() // makes the backend unreachable: calls to it fail soon
	Hang    func() // makes the backend silent: calls to it wait
	Restore func() // ends either; called after each case that broke the backend, also a failed one
}

// resolve returns a copy with the defaults filled in, or what is wrong.
func (o *Options) resolve() (Options, error) {
	if o == nil {
		o = new(Options)
	}
	opts := *o
	if opts.TTLStep == 0 {
		opts.TTLStep = time.Millisecond
	}
	if opts.MaxKey == 0 {
		opts.MaxKey = store.MaxKeyLen
	}
	return opts, errors.Join(opts.problems()...)
}

func (o *Options) problems() (errs []error) {
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("conformance: Options."+format, args...))
	}
	for _, name := range o.Want {
		if _, ok := findAbility(name); !ok {
			bad("Want: no ability is called %q; there are %s", name, strings.Join(abilityNames(), ", "))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(o.Skip)) {
		switch {
		case !slices.ContainsFunc(allCases, func(c testCase) bool { return c.id == id }):
			bad("Skip: no case has the id %q; the report lists them", id)
		case strings.TrimSpace(o.Skip[id]) == "":
			bad("Skip: %s has no reason; say why the store may break this rule", id)
		}
	}
	if o.TTLStep < 0 {
		bad("TTLStep: %v is negative; leave it 0 for 1ms", o.TTLStep)
	}
	if o.DefaultTTL < 0 {
		bad("DefaultTTL: %v is negative; leave it 0 if the store has none", o.DefaultTTL)
	}
	if o.MaxValue < 0 {
		bad("MaxValue: %d is negative; leave it 0 if there is no limit", o.MaxValue)
	}
	if o.MaxKey < minMaxKey || o.MaxKey > store.MaxKeyLen {
		bad("MaxKey: %d is not between %d and store.MaxKeyLen (%d)", o.MaxKey, minMaxKey, store.MaxKeyLen)
	}
	if o.Bubble && o.Advance != nil {
		bad("Bubble and Advance exclude each other: in a bubble the clock is moved by sleeping; leave out one of them")
	}
	if o.Fault != nil && o.Fault.Restore == nil {
		bad("Fault: Restore is nil; without it one broken case breaks all others")
	}
	return errs
}

// minMaxKey leaves room for the keys of the cases that are not about length.
const minMaxKey = 512
