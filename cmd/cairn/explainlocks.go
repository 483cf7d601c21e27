package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// momentary is the life of a lease or lock that is asked for to see whether
// somebody else has it: the shortest that all servers know.
const momentary = time.Millisecond

// lockEntry begins the key of the entry that package lock makes where the
// store has no locks of its own.
const lockEntry = "lockowner:"

// ask sets Lease and Lock.
func (x *explanation) ask(ctx context.Context, s store.Store, key string) (err error) {
	if !x.Found {
		if x.Lease, err = askLease(ctx, s, key); err != nil {
			return err
		}
	}
	x.Lock, err = askLock(ctx, s, key)
	return err
}

// askLease tells of the lease of a key without an entry.
func askLease(ctx context.Context, s store.Store, key string) (string, error) {
	token := rand.Text()
	found, err := store.GetOrLease(ctx, s, key, token, momentary, nil)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return "none, as this store has no leases", nil
	case err != nil:
		return "", err
	}
	switch found.Lease {
	case store.LeaseGranted:
		return "none", store.Abandon(ctx, s, key, token)
	case store.LeaseTaken:
		return "taken, to load it; ends in " + ttl(found.TTL).String(), nil
	case store.LeaseBlocked:
		return "held, to write it; ends in " + ttl(found.TTL).String(), nil
	}
	return "none, as there is an entry now", nil
}

// askLock tells of the lock of that name.
func askLock(ctx context.Context, s store.Store, name string) (string, error) {
	token := rand.Text()
	if l, ok := s.(store.LockStore); ok {
		r, err := l.TryLock(ctx, name, token, momentary)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			return "", err
		case r.Acquired:
			_, err := l.Unlock(ctx, name, token)
			return "none", err
		default:
			return "taken; ends in " + ttl(r.Remaining).String(), nil
		}
	}
	left, err := s.TTL(ctx, lockEntry+name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "none", nil
	case err != nil:
		return "", err
	}
	return "taken; ends in " + ttl(left).String(), nil
}
