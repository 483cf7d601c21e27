package layered

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// Explanation says how a read of a key would be answered. Its String is for
// people.
type Explanation struct {
	Key string

	InL1  bool
	L1TTL time.Duration // time left, if InL1

	InL2  bool
	L2TTL time.Duration // time left, if InL2; store.Forever and store.UnknownTTL
	L2Err error         // why L2 does not say

	Bypass   string        // why L1 is not asked; empty if it is
	ProofAge time.Duration // as in Stats
	Hidden   bool          // a Delete has failed and is repeated before L2 is believed
	Degraded string        // what reads answer, as L2 does not and Options.Degraded says so; empty if they fail
	Breaker  BreakerState
}

// Explain tells what each layer has under key, and whether L1 may answer. It
// asks both, and changes neither. It fails only if key or ctx are bad, or the
// Store is closed.
func (s *Store) Explain(ctx context.Context, key string) (Explanation, error) {
	const op = "explain"
	if err := s.check(ctx, op, key); err != nil {
		return Explanation{}, err
	}
	now := time.Now()
	x := Explanation{
		Key:      key,
		Bypass:   s.bypass(now),
		ProofAge: s.proofAge(now),
		Hidden:   s.deletes.has(key),
	}
	ttl, err := s.l1.TTL(ctx, key)
	x.InL1, x.L1TTL = err == nil, ttl
	x.L2TTL, err = guarded(ctx, s.guard, op, key, func(ctx context.Context) (time.Duration, error) {
		return s.l2.TTL(ctx, key)
	})
	x.InL2 = err == nil
	if err != store.ErrNotFound {
		x.L2Err = err
	}
	x.Breaker = s.guard.breaker.snapshot().State
	proven := s.fence.provenAt()
	switch _, masked := s.degraded.answer(x.L2Err); {
	case x.InL1 && !x.Hidden && s.degraded.serves(x.L2Err, now, proven):
		x.Degraded = fmt.Sprintf("L1 answers for %v more (%v)", (s.degraded.stale - now.Sub(proven)).Round(time.Millisecond), s.degraded)
	case masked:
		x.Degraded = fmt.Sprintf("reads answer a miss (%v)", s.degraded)
	}
	return x, nil
}

// WatchErr returns why nothing is proved, if L2 says so, as Redis does where
// it is not allowed to watch. It is nil if all is well, or not known.
func (s *Store) WatchErr() error {
	for l2 := s.l2; ; {
		if w, ok := l2.(interface{ WatchErr() error }); ok {
			return w.WatchErr()
		}
		w, ok := l2.(store.Wrapper)
		if !ok {
			return nil
		}
		l2 = w.Unwrap()
	}
}

// bypass is Explanation.Bypass.
func (s *Store) bypass(now time.Time) string {
	switch {
	case s.fence.open(now):
		return ""
	case s.fence.distrusted() != 0:
		return "L1 has failed to drop an entry and has to be cleared first"
	case s.fence.provenAt().IsZero():
		if err := s.WatchErr(); err != nil {
			return fmt.Sprintf("nothing has been proved yet (%v)", err)
		}
		return "nothing has been proved yet"
	}
	return fmt.Sprintf("the last proof is older than %v", s.fence.delta)
}

// String explains in one line.
func (x Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.64q: ", x.Key)
	switch {
	case x.Bypass != "":
		fmt.Fprintf(&b, "L1 is not asked, as %s", x.Bypass)
	case x.InL1:
		b.WriteString("L1 answers")
	default:
		b.WriteString("L2 is asked")
	}
	fmt.Fprintf(&b, "; L1 %s; L2 ", has(x.InL1, x.L1TTL))
	if x.L2Err != nil {
		fmt.Fprintf(&b, "fails: %v", x.L2Err)
	} else {
		b.WriteString(has(x.InL2, x.L2TTL))
	}
	if x.Degraded != "" {
		fmt.Fprintf(&b, ", so %s", x.Degraded)
	}
	if x.ProofAge > 0 {
		fmt.Fprintf(&b, "; proved %v ago", x.ProofAge.Round(time.Millisecond))
	}
	if x.Hidden {
		b.WriteString("; a Delete has failed and comes first")
	}
	if x.Breaker != BreakerClosed {
		fmt.Fprintf(&b, "; breaker %v", x.Breaker)
	}
	return b.String()
}

func has(there bool, left time.Duration) string {
	switch {
	case !there:
		return "has no entry"
	case left == store.Forever:
		return "has it for ever"
	case left == store.UnknownTTL:
		return "has it, for a time that it cannot tell"
	}
	return fmt.Sprintf("has it for %v", left.Round(time.Millisecond))
}
