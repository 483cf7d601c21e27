package gather

import "time"

const (
	// saved is about the time that a request costs, most of it in the system,
	// and that each call saves which goes with another one.
	saved = 8 * time.Microsecond

	// credit bounds what is saved up for worse times. A machine that stops for
	// a moment is no reason to stop gathering.
	credit = 20 * time.Millisecond

	// rest is for how many times the loss everybody goes alone. It bounds the
	// loss to that part of the time.
	rest = 64
)

// An account tells whether letting others go first pays. It does not where
// they have long computations to do.
type account struct {
	balance time.Duration
	closed  time.Time // until when
}

func (a *account) pays(now time.Time) bool { return !now.Before(a.closed) }

// book enters the time that one call has lost by letting others go first, from
// now on, and how many of them it took along.
func (a *account) book(now time.Time, lost time.Duration, others int) {
	a.balance = min(a.balance+saved*time.Duration(others)-lost, credit)
	if a.balance < 0 {
		a.closed = now.Add(lost - rest*a.balance)
		a.balance = 0
	}
}
