package memo

import (
	"cmp"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cairncache/cairn/store"
)

// Policy says how long values are kept, when they are loaded anew, and how
// long that may take. A field that is zero is inherited: what a call leaves
// open is the function's, then that of its Region, of the regions that this
// inherits from, and of the Memo. What is zero everywhere is said at the
// field. A field that is Off says that there shall be none, whatever would be
// inherited. Another negative duration, a fraction that is not between 0 and
// 1, and a number that is not finite are ErrInvalid: of New, of Wrap, or of the
// call that states them. What needs a TTL and finds none is ErrInvalid of Wrap,
// where all levels are known.
type Policy struct {
	// TTL is how long a value is fresh, counted from the end of the load that
	// brought it, however long that took. Zero everywhere is what the store
	// was configured with; Off is no limit, as store.Forever. How long an
	// entry remains in the store is another thing, see Stale and Func.TTL.
	TTL time.Duration

	// Stale is how much longer than TTL a value is kept, so that the store has
	// it for TTL and Stale together. It is then stale: it is answered at once
	// while a load in the background replaces it, and it is answered if the
	// load fails; with SoftTimeout Off only the latter. That there is no such
	// thing (see Absent) is no failure, and removes the value. RFC 5861 calls the
	// two stale-while-revalidate and stale-if-error. Zero everywhere, as Off,
	// is none: after TTL callers wait for the load and get its error.
	//
	// Stale needs a TTL: where only the store knows it, Stale is ErrInvalid,
	// also if each load calls SetTTL. With a TTL that is Off nothing becomes
	// stale by time, unless the load has called SetTTL.
	Stale time.Duration

	// Absent is how long it is remembered that there is no value, which a
	// function says by an error matching store.ErrNotFound, such as
	// fmt.Errorf("%w: %w", ErrNoUser, store.ErrNotFound). Callers get a
	// *RememberedError meanwhile, which matches store.ErrNotFound alone. Zero everywhere, as Off, is not at all.
	Absent time.Duration

	// Jitter shortens TTL, and Absent, by a part that is drawn at random for
	// each entry, up to this fraction of it: with 0.1 a TTL of 10 minutes
	// becomes one between 9 and 10. So entries that were loaded together do
	// not expire together, in whichever layer of the store they are. Nothing
	// gets longer, and a TTL that is no limit, or that only the store knows,
	// stays as it is. Jitter is less than 1, so that something is left. Zero
	// everywhere, as Off, is none.
	Jitter float64

	// RefreshAhead is the fraction of TTL after which the first caller begins
	// a load in the background, and is still answered the fresh value at once,
	// as are the others. With 0.8, a value that is asked for all the time
	// never becomes stale if its load takes less than a fifth of TTL. It is
	// less than 1. Zero everywhere, as Off, is none. It needs a TTL, as Stale
	// does.
	RefreshAhead float64

	// EarlyRefresh lets each caller begin a load in the background with a
	// probability that grows towards the end of TTL, and is the larger the
	// longer the last load took. So one of many processes that share a store
	// mostly refreshes a value before it ends for all of them, without a word
	// between them. It is beta in the XFetch of Vattani, Chierichetti and
	// Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB
	// 2015: 1 is the paper's optimum, more is earlier. It is finite and more
	// than 0. Zero everywhere, as Off, is none. It needs a TTL, as Stale does.
	EarlyRefresh float64

	// SoftTimeout is how long callers wait for a load if there is a stale
	// value. After it they get that, and the load goes on. Off is no limit:
	// callers wait for the load, and get the stale value if it fails or
	// WaitTimeout passes. Zero everywhere is that they do not wait at all; a
	// nanosecond says so where another SoftTimeout would be inherited. It
	// belongs well below the deadlines of the callers: who is gone before it
	// has passed gets no stale value, and does not keep the load going.
	SoftTimeout time.Duration

	// LoadTimeout is how long a load may take. After it the context of the
	// load is cancelled, and its callers get the stale value if there is one,
	// else an error matching ErrTimeout, even if the function goes on. The
	// next caller begins a new load; what the old one may still bring is
	// stored unless that has happened, or the store has leases. To wait for
	// the load of another process counts as loading. Zero everywhere, as Off, is no limit.
	LoadTimeout time.Duration

	// WaitTimeout is how long one caller waits for a load, whoever began it.
	// After it the caller gets the stale value if there is one, else an error
	// matching ErrTimeout; the load goes on, and what it brings is stored.
	// Zero everywhere, as Off, is no limit but the caller's context.
	WaitTimeout time.Duration

	// Retry is the pause after a load that failed while there was a value to
	// answer instead, be it stale or still fresh (see RefreshAhead). It is counted from the end of that load,
	// however long it took, and doubled by each failure in a row, up to 32
	// times itself. Zero everywhere is one second; Off is none. Without a
	// stale value there is no pause: each caller who comes after a failure
	// tries again.
	Retry time.Duration
}

// Off in a field of a Policy says that there shall be none, other than zero,
// which inherits: no limit for TTL and for the time-outs, so that callers wait
// as long as it takes, and nothing of the kind for the others.
const Off = math.MinInt64

// maxDoublings makes the longest pause 32 times Retry.
const maxDoublings = 5

// check reports the first field that is neither zero, Off nor in range.
func (p Policy) check() error {
	for _, d := range [...]struct {
		field string
		value time.Duration
		off   string
	}{
		{"TTL", p.TTL, "for no limit"},
		{"Stale", p.Stale, "for none"},
		{"Absent", p.Absent, "for none"},
		{"SoftTimeout", p.SoftTimeout, "to wait for the load"},
		{"LoadTimeout", p.LoadTimeout, "for no limit"},
		{"WaitTimeout", p.WaitTimeout, "for no limit"},
		{"Retry", p.Retry, "for no pause"},
	} {
		if d.value < 0 && d.value != Off {
			return invalid("Policy." + d.field + ": " + d.value.String() + " is negative; leave it zero to inherit, or write memo.Off " + d.off)
		}
	}
	for _, n := range [...]struct {
		field        string
		value, limit float64
		want         string
	}{
		{"Jitter", p.Jitter, 1, "fraction between 0 and 1; write 0.1 for 10 %"},
		{"RefreshAhead", p.RefreshAhead, 1, "fraction between 0 and 1; write 0.8 for 80 % of TTL"},
		{"EarlyRefresh", p.EarlyRefresh, math.Inf(1), "finite number more than 0; write 1 for the optimum of XFetch"},
	} {
		inRange := n.value >= 0 && n.value < n.limit // never of NaN
		if !inRange && n.value != Off {
			return invalid("Policy." + n.field + ": " + formatFloat(n.value) + " is not a " + n.want + ", leave it zero to inherit, or write memo.Off for none")
		}
	}
	return nil
}

// inherit fills the fields of p that are zero.
func (p Policy) inherit(parent Policy) Policy {
	return Policy{
		TTL:          cmp.Or(p.TTL, parent.TTL),
		Stale:        cmp.Or(p.Stale, parent.Stale),
		Absent:       cmp.Or(p.Absent, parent.Absent),
		Jitter:       cmp.Or(p.Jitter, parent.Jitter),
		RefreshAhead: cmp.Or(p.RefreshAhead, parent.RefreshAhead),
		EarlyRefresh: cmp.Or(p.EarlyRefresh, parent.EarlyRefresh),
		SoftTimeout:  cmp.Or(p.SoftTimeout, parent.SoftTimeout),
		LoadTimeout:  cmp.Or(p.LoadTimeout, parent.LoadTimeout),
		WaitTimeout:  cmp.Or(p.WaitTimeout, parent.WaitTimeout),
		Retry:        cmp.Or(p.Retry, parent.Retry),
	}
}

// settle returns what the fields come to of a Policy that has inherited all it
// can. Zero in a settled Policy is none (or at once, for SoftTimeout and
// Retry), but for TTL: there it is what the store was configured with, and
// store.Forever is no limit. In SoftTimeout, store.Forever stands for Off. A
// settled Policy cannot be inherited from or settled again.
func (p Policy) settle() (Policy, error) {
	if p.TTL == 0 {
		switch {
		case p.Stale > 0:
			return Policy{}, needsTTL("Stale", p.Stale.String())
		case p.RefreshAhead > 0:
			return Policy{}, needsTTL("RefreshAhead", formatFloat(p.RefreshAhead))
		case p.EarlyRefresh > 0:
			return Policy{}, needsTTL("EarlyRefresh", formatFloat(p.EarlyRefresh))
		}
	}
	return Policy{
		TTL:          unlessOff(p.TTL, store.Forever),
		Stale:        unlessOff(p.Stale, 0),
		Absent:       unlessOff(p.Absent, 0),
		Jitter:       unlessOff(p.Jitter, 0),
		RefreshAhead: unlessOff(p.RefreshAhead, 0),
		EarlyRefresh: unlessOff(p.EarlyRefresh, 0),
		SoftTimeout:  unlessOff(p.SoftTimeout, store.Forever),
		LoadTimeout:  unlessOff(p.LoadTimeout, 0),
		WaitTimeout:  unlessOff(p.WaitTimeout, 0),
		Retry:        unlessOff(cmp.Or(p.Retry, time.Second), 0),
	}, nil
}

func unlessOff[T time.Duration | float64](value, off T) T {
	if value == Off {
		return off
	}
	return value
}

// needsTTL does not say where the field was stated, which may be in a region
// or the Memo: there is no TTL in any of them.
func needsTTL(field, value string) error {
	return invalid("Policy." + field + ": " + value + " without a TTL, which only the store knows; state one in the function, its Region or the Memo, or memo.Off for no limit")
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// life is the ttl, as a Store takes it, of an entry that is fresh for ttl and
// then stale. What the store was configured with has no stale time after it.
func (p Policy) life(ttl, stale time.Duration) time.Duration {
	switch {
	case ttl == store.DefaultTTL:
		return store.DefaultTTL
	case ttl > store.Forever-stale:
		return store.Forever
	}
	return ttl + stale
}

// jittered returns ttl shortened by chance, and never to nothing.
// store.DefaultTTL and store.Forever remain.
func (p Policy) jittered(ttl time.Duration) time.Duration {
	if p.Jitter == 0 || ttl == store.DefaultTTL || ttl == store.Forever {
		return ttl
	}
	cut := p.Jitter * rand.Float64() * float64(ttl)
	return max(1, ttl-time.Duration(cut))
}

// pause is how long no refresh is tried after so many that failed in a row.
func (p Policy) pause(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	times := time.Duration(1) << min(failures-1, maxDoublings)
	if p.Retry > store.Forever/times {
		return store.Forever
	}
	return p.Retry * times
}
