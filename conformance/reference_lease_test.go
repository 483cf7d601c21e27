package conformance

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// A lease is one that a key has in a reference, or its Hold.
type lease struct {
	token string
	ends  time.Time
	held  bool
}

// leased returns the lease or the Hold of key, if it has not ended.
func (r *reference) leased(key string) (lease, bool) {
	l, ok := r.leases[key]
	if ok && !r.now().Before(l.ends) {
		delete(r.leases, key)
		return lease{}, false
	}
	return l, ok
}

// holds reports whether the token is that of the lease.
func (r *reference) holds(key, token string) bool {
	l, ok := r.leased(key)
	return ok && l.token == token && !l.held
}

func (r *reference) beginLease(ctx context.Context, op, key, token string, life time.Duration) error {
	if err := store.CheckLease(ctx, op, key, token, life); err != nil {
		return err
	}
	return r.begin(ctx, op, key)
}

func (r *reference) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	if err := r.beginLease(ctx, "getorlease", key, token, life); err != nil {
		return store.Lookup{}, err
	}
	defer r.mu.Unlock()
	if e, left, ok := r.findWithTTL(key); ok {
		if despite == nil {
			return store.Lookup{Live: e.live, TTL: left}, nil
		}
		if b, err := despite.Bytes(); err != nil || !e.is(b) {
			return store.Lookup{Live: e.live, TTL: left}, err
		}
	}
	l := r.leases[key]
	switch left := l.ends.Sub(r.now()); {
	case left > 0 && l.held:
		return store.Lookup{Lease: store.LeaseBlocked, TTL: left}, nil
	case left > 0 && l.token != token:
		return store.Lookup{Lease: store.LeaseTaken, TTL: left}, nil
	}
	r.leases[key] = lease{token, r.now().Add(life), false}
	return store.Lookup{Lease: store.LeaseGranted, TTL: life}, nil
}

func (r *reference) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
	if err := store.CheckTTL("fill", key, ttl); err != nil {
		return false, err
	}
	if l == nil {
		return false, store.Errorf("fill", key, store.ErrInvalid, "the Live is nil")
	}
	if err := r.beginLease(ctx, "fill", key, token, 1); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if !r.holds(key, token) {
		return false, nil
	}
	err := r.put("fill", key, l, ttl)
	return err == nil, err
}

func (r *reference) RenewLease(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	if err := r.beginLease(ctx, "renewlease", key, token, life); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if !r.holds(key, token) {
		return false, nil
	}
	r.leases[key] = lease{token, r.now().Add(life), false}
	return true, nil
}

func (r *reference) Abandon(ctx context.Context, key, token string) error {
	if err := r.beginLease(ctx, "abandon", key, token, 1); err != nil {
		return err
	}
	defer r.mu.Unlock()
	if r.holds(key, token) {
		delete(r.leases, key)
	}
	return nil
}

func (r *reference) Hold(ctx context.Context, key string, life time.Duration) error {
	if err := store.CheckHold(ctx, "hold", key, life); err != nil {
		return err
	}
	if err := r.begin(ctx, "hold", key); err != nil {
		return err
	}
	defer r.mu.Unlock()
	r.remove(key)
	r.leases[key] = lease{"", r.now().Add(life), true}
	return nil
}
