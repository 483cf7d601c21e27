package layered

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// GetOrLease asks L2, and fills L1 with the entry that it finds.
func (s *Store) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	const op = "getorlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return store.Lookup{}, err
	}
	if err := s.encode(op, key, despite); err != nil {
		return store.Lookup{}, err
	}
	s.bypassed(1)
	m := s.epochs.mark(key)
	if err := s.believe(ctx, key); err != nil {
		return store.Lookup{}, s.failed(op, err)
	}
	sent := time.Now()
	found, err := guarded(ctx, s.guard, op, key, func(ctx context.Context) (store.Lookup, error) {
		return store.GetOrLease(ctx, s.l2, key, token, life, despite)
	})
	if err != nil {
		return store.Lookup{}, s.failed(op, err)
	}
	switch {
	case found.Lease == store.LeaseNone:
		s.counts.add(farHits)
		s.settle(m, key, reply{live: found.Live, raw: !s.live, sent: sent, life: s.life(found.TTL)})
	case despite == nil: // there is no entry
		s.counts.add(misses)
		s.settle(m, key, reply{})
	}
	return found, nil
}

// Fill asks L2, and drops the key from L1.
func (s *Store) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
	const op = "fill"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return false, err
	}
	if l == nil {
		return false, store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	if err := s.encode(op, key, l); err != nil {
		return false, err
	}
	return s.conditional(ctx, op, key, ttl, func(ctx context.Context) (bool, error) {
		return store.Fill(ctx, s.l2, key, token, l, ttl)
	})
}

// RenewLease asks L2.
func (s *Store) RenewLease(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	const op = "renewlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return false, err
	}
	renewed, err := guarded(ctx, s.guard, op, key, func(ctx context.Context) (bool, error) {
		return store.RenewLease(ctx, s.l2, key, token, life)
	})
	return renewed, s.failedIf(op, err)
}

// Abandon asks L2.
func (s *Store) Abandon(ctx context.Context, key, token string) error {
	const op = "abandon"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return err
	}
	return s.failedIf(op, s.guard.do(ctx, op, key, func(ctx context.Context) error {
		return store.Abandon(ctx, s.l2, key, token)
	}))
}

// Hold asks L2, and drops the key from L1.
func (s *Store) Hold(ctx context.Context, key string, life time.Duration) error {
	const op = "hold"
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	if err := store.CheckHold(ctx, op, key, life); err != nil {
		return err
	}
	return s.overwrite(ctx, op, key, 0, func(ctx context.Context) error {
		return store.Hold(ctx, s.l2, key, life)
	})
}

func (s *Store) checkLease(ctx context.Context, op, key, token string, life time.Duration) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return store.CheckLease(ctx, op, key, token, life)
}

// encode makes the bytes that an L2 outside the process needs, in the caller's
// goroutine: if the user's function panics it is the caller's panic.
func (s *Store) encode(op, key string, l *store.Live) error {
	if l == nil || s.live {
		return nil
	}
	if _, err := l.Bytes(); err != nil {
		return store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
	}
	return nil
}
