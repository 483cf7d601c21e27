package layered

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cairncache/cairn/store"
)

// A reply is what L2 has said of a key.
type reply struct {
	live *store.Live   // nil if there is no entry
	raw  bool          // live was made of bytes
	sent time.Time     // before L2 was asked
	ttl  time.Duration // time left in L2, from sent; UnknownTTL and Forever
	life time.Duration // how long it may be kept in L1, from sent; not at all if not positive

	degraded bool // L2 has not said it: it is what Options.Degraded answers instead
}

// Get returns a copy of the value's bytes.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	const op = "get"
	if s.fence.openAfter(time.Since(s.fence.start)) {
		value, err := s.l1.Get(ctx, key)
		if err == nil {
			s.counts.add(nearHits)
			return value, nil
		}
		s.nearFailed(ctx, err)
	}
	a, err := s.far(ctx, op, key, s.ask)
	if err != nil {
		return nil, err
	}
	b, err := a.live.Bytes()
	if err != nil {
		return nil, store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
	}
	return append([]byte{}, b...), nil
}

// GetLive returns the entry of L1, without an allocation, or else that of L2,
// which L1 shares from then on: it is decoded once.
func (s *Store) GetLive(ctx context.Context, key string) (*store.Live, error) {
	if since := time.Since(s.fence.start); s.fence.openAfter(since) {
		// start.Add(since) is now without the wall clock, whose reading costs as
		// much again.
		if l, ok := s.nearLive(ctx, key, s.fence.start.Add(since)); ok {
			return l, nil
		}
	}
	a, err := s.far(ctx, "getlive", key, s.ask)
	return a.live, err
}

// GetLiveAt implements store.LiveAtStore. What has expired in L2 by L2's own
// clock is absent as well.
func (s *Store) GetLiveAt(ctx context.Context, key string, now time.Time) (*store.Live, error) {
	if l, ok := s.near(ctx, key, now); ok {
		return l, nil
	}
	a, err := s.far(ctx, "getliveat", key, s.ask)
	if a.ttl > 0 && a.ttl != store.Forever && now.Sub(a.sent) >= a.ttl {
		return nil, store.ErrNotFound
	}
	return a.live, err
}

// GetWithTTL asks L2, which alone knows how long the entry will live. For what
// ServeStale answers it is store.UnknownTTL.
func (s *Store) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	a, err := s.far(ctx, "getwithttl", key, s.askBytes)
	if err != nil {
		return nil, 0, err
	}
	b, err := a.live.Bytes()
	return append([]byte{}, b...), a.ttl, err
}

// TTL asks L2.
func (s *Store) TTL(ctx context.Context, key string) (time.Duration, error) {
	const op = "ttl"
	if err := s.check(ctx, op, key); err != nil {
		return 0, err
	}
	if err := s.believe(ctx, key); err != nil {
		return 0, s.failed(op, err)
	}
	ttl, err := guarded(ctx, s.guard, op, key, func(ctx context.Context) (time.Duration, error) {
		return s.l2.TTL(ctx, key)
	})
	if err == store.ErrNotFound {
		s.touch(key) // Get must not find it any more
		return 0, err
	}
	if err != nil {
		return 0, s.failed(op, err)
	}
	return ttl, nil
}

// near reads L1. It takes no lock and does not allocate.
func (s *Store) near(ctx context.Context, key string, now time.Time) (*store.Live, bool) {
	if !s.fence.open(now) {
		return nil, false
	}
	return s.nearLive(ctx, key, now)
}

// nearLive is near behind the fence.
func (s *Store) nearLive(ctx context.Context, key string, now time.Time) (*store.Live, bool) {
	err := errors.ErrUnsupported
	var l *store.Live
	if s.l1At != nil {
		l, err = s.l1At.GetLiveAt(ctx, key, now)
	}
	if err != nil && err != store.ErrNotFound {
		l, err = store.GetLiveAt(ctx, s.l1, key, now)
	}
	if err != nil {
		s.nearFailed(ctx, err)
		return nil, false
	}
	s.counts.add(nearHits)
	return l, true
}

// nearFailed counts what is L1's fault.
func (s *Store) nearFailed(ctx context.Context, err error) {
	if err != store.ErrNotFound && ctx != nil && ctx.Err() == nil && !errors.Is(err, store.ErrInvalid) {
		s.counts.add(nearErrors)
	}
}

// far reads L2 with ask, and settles with L1 what it has answered. The answer
// that comes without an error has an entry.
func (s *Store) far(ctx context.Context, op, key string, ask func(ctx context.Context, op, key string) (reply, error)) (reply, error) {
	if err := s.check(ctx, op, key); err != nil {
		return reply{}, err
	}
	s.bypassed(1)
	m := s.epochs.mark(key) // first: what happens from here on keeps the answer out
	err := s.believe(ctx, key)
	var a reply
	if err == nil {
		a, err = ask(ctx, op, key)
	}
	switch {
	case a.degraded:
		s.counts.add(a.counter())
		return a, err
	case err == nil:
		s.counts.add(farHits)
	case err == store.ErrNotFound:
		s.counts.add(misses)
	default:
		return s.away(ctx, key, s.failed(op, err))
	}
	s.settle(m, key, a)
	return a, err
}

// ask reads an entry of L2 with its time to live, in one call where that is a
// round trip.
func (s *Store) ask(ctx context.Context, op, key string) (reply, error) {
	switch {
	case s.nested != nil:
		return s.askNested(ctx, key)
	case s.live:
		return guarded(ctx, s.guard, op, key, func(ctx context.Context) (reply, error) { return s.askLive(ctx, key) })
	}
	return s.askBytes(ctx, op, key)
}

// askBytes asks the last level, which alone knows the time to live.
func (s *Store) askBytes(ctx context.Context, op, key string) (reply, error) {
	if s.nested != nil {
		a, err := s.nested.far(ctx, op, key, s.nested.askBytes)
		a.life = min(a.life, s.life(store.Forever))
		return a, err
	}
	return guarded(ctx, s.guard, op, key, func(ctx context.Context) (a reply, err error) {
		a.sent, a.raw = time.Now(), true
		value, ttl, err := store.GetWithTTL(ctx, s.l2, key)
		if err != nil {
			return a, err
		}
		a.live, a.ttl, a.life = store.LiveBytes(value), ttl, s.life(ttl)
		return a, nil
	})
}

// askLive asks twice, as L2 is in the process. If the entry was replaced in
// between, the time to live is that of the new one; but that it was replaced
// is told, or bounds the old one's life here.
func (s *Store) askLive(ctx context.Context, key string) (a reply, err error) {
	a.sent = time.Now()
	l, err := store.GetLive(ctx, s.l2, key)
	if err != nil {
		return a, err
	}
	a.live = l
	ttl, err := s.l2.TTL(ctx, key)
	switch err {
	case nil:
		a.ttl, a.life = ttl, s.life(ttl)
	case store.ErrNotFound: // it is gone by now: for this caller alone
		err = nil
	}
	return a, err
}

func (s *Store) askNested(ctx context.Context, key string) (reply, error) {
	a, err := s.nested.outer(ctx, key)
	a.life = min(a.life, s.life(store.Forever))
	return a, err
}

// outer is GetLive for a Store of which s is the L2. The life of the answer is
// how long s itself may keep the entry, so that no level prolongs it.
func (s *Store) outer(ctx context.Context, key string) (reply, error) {
	if a, ok := s.nearReply(ctx, key); ok {
		return a, nil
	}
	return s.far(ctx, "getlive", key, s.ask)
}

func (s *Store) nearReply(ctx context.Context, key string) (reply, bool) {
	sent := time.Now()
	l, ok := s.near(ctx, key, sent)
	if !ok {
		return reply{}, false
	}
	left, err := s.l1.TTL(ctx, key)
	return reply{live: l, sent: sent, ttl: left, life: left}, err == nil && left > 0
}

// life is how long L1 may keep an entry that has ttl left in L2.
func (s *Store) life(ttl time.Duration) time.Duration {
	life := s.maxTTL
	if life != store.Forever {
		life -= time.Duration(s.jitter * rand.Float64() * float64(life))
	}
	if ttl == store.UnknownTTL {
		ttl = s.unknown
	}
	return min(life, ttl)
}

// believe returns nil if L2 can be believed for key, after it has repeated a
// Delete that had failed.
func (s *Store) believe(ctx context.Context, key string) error {
	if !s.deletes.has(key) {
		return nil
	}
	return s.deletes.settle(ctx, key, func(ctx context.Context) error { return s.remove(ctx, key) })
}

// remove deletes key in L2.
func (s *Store) remove(ctx context.Context, key string) error {
	return s.guard.do(ctx, "delete", key, func(ctx context.Context) error { return s.l2.Delete(ctx, key) })
}

// removeLater is remove for the background, where nobody can recover a panic.
func (s *Store) removeLater(ctx context.Context, key string) (err error) {
	defer func() {
		if recover() != nil {
			s.counts.add(farErrors)
			err = errPanic
		}
	}()
	return s.remove(ctx, key)
}

// away answers a read that L2 has failed.
func (s *Store) away(ctx context.Context, key string, err error) (reply, error) {
	a := reply{ttl: store.UnknownTTL}
	if s.degraded.serves(err, time.Now(), s.fence.provenAt()) {
		if l, near := store.GetLive(ctx, s.l1, key); near == nil {
			a.live, a.degraded, err = l, true, nil
		}
	}
	if err != nil {
		err, a.degraded = s.degraded.answer(err)
	}
	if a.degraded {
		s.counts.add(a.counter())
	}
	return a, err
}

// counter is what counts a degraded answer.
func (a reply) counter() counter {
	if a.live == nil {
		return maskedMisses
	}
	return stale
}

// failed counts an error of L2, if it is L2's.
func (s *Store) failed(op string, err error) error {
	if !isContextError(err) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, store.ErrInvalid) {
		s.counts.add(farErrors)
	}
	return named(op, err)
}

// bypassed counts reads that go to L2 because L1 must not be served, and mends
// L1 if that is why.
func (s *Store) bypassed(reads uint64) {
	if s.fence.open(time.Now()) {
		return
	}
	s.counts.addN(bypassed, reads)
	if s.fence.distrusted() != 0 {
		s.repair()
	}
}
