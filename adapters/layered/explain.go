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

	// L2 is what L2 says if it is itself a *Store, or nil. InL2, L2TTL, L2Err
	// and Breaker are then those of the last level.
	L2 *Explanation

	Bypass   string        // why L1 is not asked; empty if it is
	ProofAge time.Duration // as in Stats
	Hidden   bool          // a Delete has failed and is repeated before L2 is believed
	Degraded string        // what reads answer, as L2 does not and Options.Degraded says so; empty if they fail
	Breaker  BreakerState
}

// Explain tells what each level has under key, and whether L1 may answer. It
// asks all, and changes none. It fails only if key or ctx are bad, or the
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
	if s.nested != nil {
		s.explainNested(ctx, &x)
	} else {
		s.explainLast(ctx, op, &x)
	}
	if x.L2 == nil || !x.L2.answers() {
		x.Degraded = s.explainDegraded(now, &x)
	}
	return x, nil
}

func (s *Store) explainNested(ctx context.Context, x *Explanation) {
	l2, err := s.nested.Explain(ctx, x.Key)
	if err != nil { // closed, for example
		x.L2Err = err
		return
	}
	x.L2 = &l2
	x.InL2, x.L2TTL, x.L2Err, x.Breaker = l2.InL2, l2.L2TTL, l2.L2Err, l2.Breaker
}

func (s *Store) explainLast(ctx context.Context, op string, x *Explanation) {
	ttl, err := guarded(ctx, s.guard, op, x.Key, func(ctx context.Context) (time.Duration, error) {
		return s.l2.TTL(ctx, x.Key)
	})
	x.InL2, x.L2TTL = err == nil, ttl
	if err != store.ErrNotFound {
		x.L2Err = err
	}
	x.Breaker = s.guard.breaker.snapshot().State
}

// explainDegraded is Explanation.Degraded.
func (s *Store) explainDegraded(now time.Time, x *Explanation) string {
	proven := s.fence.provenAt()
	switch _, masked := s.degraded.answer(x.L2Err); {
	case x.InL1 && !x.Hidden && s.degraded.serves(x.L2Err, now, proven):
		return fmt.Sprintf("the near entry is answered for %v more (%v)", (s.degraded.stale - now.Sub(proven)).Round(time.Millisecond), s.degraded)
	case masked:
		return fmt.Sprintf("reads answer a miss (%v)", s.degraded)
	}
	return ""
}

// answers reports whether a read gets an answer, be it a miss.
func (x *Explanation) answers() bool {
	return x.L2Err == nil || x.Degraded != "" || x.InL1 && x.Bypass == ""
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
		return "it has failed to drop an entry and has to be cleared first"
	case s.fence.provenAt().IsZero():
		if err := s.WatchErr(); err != nil {
			return fmt.Sprintf("nothing has been proved yet (%v)", err)
		}
		return "nothing has been proved yet"
	}
	return fmt.Sprintf("the last proof is older than %v", s.fence.delta)
}

// String explains in one line. The levels are L1, L2 and so on, the nearest
// first.
func (x Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.64q: ", x.Key)
	x.write(&b, 1)
	return b.String()
}

// write explains from the given level on.
func (x *Explanation) write(b *strings.Builder, level int) {
	switch {
	case x.Bypass != "":
		fmt.Fprintf(b, "L%d is not asked, as %s", level, x.Bypass)
	case x.InL1:
		fmt.Fprintf(b, "L%d answers", level)
	default:
		fmt.Fprintf(b, "L%d is asked", level+1)
	}
	fmt.Fprintf(b, "; L%d %s; ", level, has(x.InL1, x.L1TTL))
	switch {
	case x.L2 != nil:
		x.L2.write(b, level+1)
	case x.L2Err != nil:
		fmt.Fprintf(b, "L%d fails: %v", level+1, x.L2Err)
	default:
		fmt.Fprintf(b, "L%d %s", level+1, has(x.InL2, x.L2TTL))
	}
	if x.Degraded != "" {
		fmt.Fprintf(b, ", so %s", x.Degraded)
	}
	if x.ProofAge > 0 {
		fmt.Fprintf(b, "; L%d proved %v ago", level, x.ProofAge.Round(time.Millisecond))
	}
	if x.Hidden {
		b.WriteString("; a Delete has failed and comes first")
	}
	if x.L2 == nil && x.Breaker != BreakerClosed {
		fmt.Fprintf(b, "; breaker %v", x.Breaker)
	}
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
