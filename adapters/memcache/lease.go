package memcache

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/store"
)

var _ store.LeaseStore = (*Store)(nil)

// GetOrLease implements store.LeaseStore in one round trip where there is an
// entry or somebody else's lease, and in two where it takes the lease. The
// lease is kept in the item of the key. Where there is an entry, which a lease
// is taken despite, the item is written again with both: that is ErrTooLarge
// if the server takes the entry only without, by some 80 bytes, and
// errors.ErrUnsupported if another program has written it.
func (s *Store) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	const op = "getorlease"
	if err := store.CheckLease(ctx, op, key, token, life); err != nil {
		return store.Lookup{}, err
	}
	var old []byte
	if despite != nil {
		var err error
		if old, err = despite.Bytes(); err != nil {
			return store.Lookup{}, store.Errorf(op, key, store.ErrInvalid, "encode despite: %w", err)
		}
	}
	n := s.name(key)
	return onLease(ctx, s, op, n, func(e entry, there *memcache.Item) (store.Lookup, error) {
		last := left(time.Now(), e.lease.deadline)
		switch {
		case e.live && (despite == nil || !bytes.Equal(e.value, old)):
			return store.Lookup{Live: store.LiveBytes(e.value), TTL: e.ttl}, nil
		case e.lease.kind == onHold:
			return store.Lookup{Lease: store.LeaseBlocked, TTL: max(last, 0)}, nil
		case e.lease.kind == toFill && e.lease.token != token:
			return store.Lookup{Lease: store.LeaseTaken, TTL: max(last, 0)}, nil
		case e.foreign:
			return store.Lookup{}, errForeign
		}
		return store.Lookup{Lease: store.LeaseGranted, TTL: life}, s.lend(n, e, there, token, life)
	})
}

// lend writes an item with a lease, or begins the life of the one that is
// there anew.
func (s *Store) lend(n name, e entry, there *memcache.Item, token string, life time.Duration) error {
	now := time.Now()
	e.lease = lease{toFill, deadline(now, life), token}
	item := n.itemOf(e, now)
	if there != nil {
		return s.client.swap(there, item)
	}
	if s.client.versions.Load() == 0 {
		s.client.get(s.generation.keys[0]) // any item will do
	}
	if s.client.versions.Load() == uncounted { // a Fill would not be possible
		return errNoVersions
	}
	return s.client.Add(item)
}

// Fill implements store.LeaseStore in two round trips. A value that is too
// large for the server is ErrTooLarge, and changes nothing.
func (s *Store) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (filled bool, err error) {
	const op = "fill"
	if err := store.CheckLease(ctx, op, key, token, 1); err != nil {
		return false, err
	}
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return false, err
	}
	if l == nil {
		return false, store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	value, err := l.Bytes()
	if err != nil {
		return false, store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
	}
	n := s.name(key)
	return onLease(ctx, s, op, n, func(e entry, there *memcache.Item) (bool, error) {
		if !e.lease.of(token) {
			return false, nil
		}
		item := n.item(value)
		s.dateIn(e.generation, item, ttl)
		return true, s.client.swap(there, item)
	})
}

// RenewLease implements store.LeaseStore in two round trips.
func (s *Store) RenewLease(ctx context.Context, key, token string, life time.Duration) (renewed bool, err error) {
	const op = "renewlease"
	if err := store.CheckLease(ctx, op, key, token, life); err != nil {
		return false, err
	}
	n := s.name(key)
	return onLease(ctx, s, op, n, func(e entry, there *memcache.Item) (bool, error) {
		if !e.lease.of(token) {
			return false, nil
		}
		return true, s.lend(n, e, there, token, life)
	})
}

// Abandon implements store.LeaseStore in two round trips.
func (s *Store) Abandon(ctx context.Context, key, token string) error {
	const op = "abandon"
	if err := store.CheckLease(ctx, op, key, token, 1); err != nil {
		return err
	}
	n := s.name(key)
	_, err := onLease(ctx, s, op, n, func(e entry, there *memcache.Item) (struct{}, error) {
		switch {
		case !e.lease.of(token):
			return struct{}{}, nil
		case e.live:
			e.lease = lease{}
			return struct{}{}, s.client.swap(there, n.itemOf(e, time.Now()))
		}
		return struct{}{}, s.client.swap(there, &memcache.Item{Key: n.native, Expiration: gone})
	})
	return err
}

// Hold implements store.LeaseStore in one round trip.
func (s *Store) Hold(ctx context.Context, key string, life time.Duration) error {
	const op = "hold"
	if err := store.CheckHold(ctx, op, key, life); err != nil {
		return err
	}
	n := s.name(key)
	return run(ctx, s, op, []string{key}, 0, func() error {
		return s.client.retry(func() error {
			generation, err := s.generation.current(0)
			if err != nil {
				return err
			}
			now := time.Now()
			return s.client.Set(n.itemOf(entry{generation: generation, lease: lease{onHold, deadline(now, life), ""}}, now))
		})
	})
}

// onLease makes a call with what it has read of a key, again if others write
// the key meanwhile, or the answer is lost.
func onLease[T any](ctx context.Context, s *Store, op string, n name, call func(entry, *memcache.Item) (T, error)) (T, error) {
	return do(ctx, s, op, []string{n.key}, 0, func() (result T, err error) {
		var none T
		for range maxConflicts {
			err := s.client.retry(func() error {
				e, there, err := s.read(n)
				if err == nil || errors.Is(err, store.ErrNotFound) {
					result, err = call(e, there)
				}
				return err
			})
			if err == nil {
				return result, nil
			}
			if !isConflict(err) {
				return none, err
			}
		}
		return none, errContended
	})
}

// of reports whether l is the lease of token, and no Hold.
func (l lease) of(token string) bool { return l.kind == toFill && l.token == token }

var errForeign = errors.New("another program has written the entry, so no lease can be taken despite it")
