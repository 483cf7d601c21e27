package layered

import (
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/store"
)

// Degraded says what reads answer while L2 is unavailable: it cannot be
// reached, does not answer in time, or is not asked because the breaker is
// open. The zero Degraded is that they fail, with ErrUnavailable. Writes,
// conditional operations and leases fail whatever it says.
//
// The others are [AnswerMiss] and [ServeStale].
type Degraded struct {
	miss  bool
	stale time.Duration
	set   bool // by ServeStale, whose argument may be wrong
}

// AnswerMiss makes reads answer ErrNotFound while L2 is unavailable, for
// programs that treat every error of a cache as the end.
//
// It gives up the promise that a failure never looks like a miss: the caller
// cannot tell "there is no such entry" from "nobody knows", and who computes
// what is missing computes everything while L2 is away. Stats count these
// answers apart from misses. Package memo needs none of this, as it loads the
// value when the store fails.
func AnswerMiss() Degraded { return Degraded{miss: true} }

// ServeStale makes reads answer from L1 while L2 is unavailable, for at most
// max after the last proof that L1 was up to date, instead of the delta of
// Watch. It needs Watch, as without it there is no such proof. What L1 does
// not hold fails; so does what this process has written or deleted since, as
// that has left L1, and what has expired. When L2 tells of changes again, L1
// gives up everything first if it may have missed some.
//
// The bound on staleness is then max instead of delta while L2 is
// unavailable. Stats count these answers.
func ServeStale(max time.Duration) Degraded { return Degraded{stale: max, set: true} }

// String returns the form that URLs have it in: fail, miss, or serve:10s.
func (d Degraded) String() string {
	switch {
	case d.miss:
		return "miss"
	case d.set:
		return "serve:" + d.stale.String()
	}
	return "fail"
}

// problem says what is wrong with d, or "". delta is that of Watch, or 0.
func (d Degraded) problem(delta time.Duration) string {
	switch {
	case !d.set:
		return ""
	case d.stale <= 0:
		return fmt.Sprintf("Degraded: ServeStale(%v) is not positive", d.stale)
	case delta == 0:
		return "Degraded: ServeStale needs Watch; with Bounded, L1 answers for its whole bound anyway"
	case d.stale <= delta:
		return fmt.Sprintf("Degraded: ServeStale(%v) is not longer than the %v that Watch allows anyway", d.stale, delta)
	}
	return ""
}

// serves reports whether L1 may answer at the time now although L2 has failed
// with err, if it was proven up to date at the time proven.
func (d Degraded) serves(err error, now, proven time.Time) bool {
	return d.set && errors.Is(err, store.ErrUnavailable) && !proven.IsZero() && now.Sub(proven) <= d.stale
}

// answer is the error of a read that neither L1 nor L2 has answered, and
// whether it is a miss in place of err.
func (d Degraded) answer(err error) (_ error, masked bool) {
	if d.miss && errors.Is(err, store.ErrUnavailable) {
		return store.ErrNotFound, true
	}
	return err, false
}
