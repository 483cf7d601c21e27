package lock

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/cairncache/cairn/store"
)

// TryLock takes the lock of name if nobody holds it, and else returns a
// *HeldError, which matches ErrHeld. It asks the store once and does not wait,
// nor heed who waits in Lock. A name is a key of the store (store.MaxKeyLen), where
// an entry holds the lock or its fence one that is ten bytes shorter. With a ctx
// that has ended nothing is tried.
//
// After any other error it is not known whether the lock was taken. It is then
// freed in the background, which is tried for a TTL.
func (k *Locker) TryLock(ctx context.Context, name string) (*Lease, error) {
	const op = "trylock"
	start := time.Now()
	if err := k.begin(ctx, op, name); err != nil {
		return nil, err
	}
	defer k.calls.leave()
	lease, retry, err := k.attempt(ctx, op, name, start)
	if err == errLate {
		return nil, k.late(op, name)
	}
	if lease == nil && err == nil {
		if retry < 0 {
			retry = pollEvery
		}
		return nil, &HeldError{Name: name, RetryAfter: retry}
	}
	return lease, err
}

// Lock takes the lock of name, and waits until it is free. If ctx ends while it
// waits, the error matches ErrHeld and ctx.Err(); if it ends while the store is
// asked, ctx.Err() alone. With a ctx that has ended already nothing is tried. An
// error of the store ends the wait; so does one that does not answer for a TTL.
//
// Those who wait in one Locker get the lock in the order in which they came. The
// first of them contends with those of other Lockers, among whom no order is
// promised, and makes a last attempt just before the deadline of its ctx. A lock
// is not reentrant: who holds it and locks it again waits for himself.
//
// After an error it is not known whether the lock was taken. It is then freed in
// the background, which is tried for a TTL.
func (k *Locker) Lock(ctx context.Context, name string) (*Lease, error) {
	const op = "lock"
	start := time.Now()
	if err := k.begin(ctx, op, name); err != nil {
		return nil, err
	}
	defer k.calls.leave()
	k.counts.waiting.Add(1)
	defer func() {
		k.counts.waiting.Add(-1)
		k.counts.waitTime.Add(int64(time.Since(start)))
	}()
	p := k.join(name)
	defer k.leave(p)
	select {
	case <-p.turn:
	case <-ctx.Done():
		return nil, k.gaveUp(ctx, name)
	case <-k.open.Done():
		return nil, closed(op, name)
	}
	return k.contend(ctx, op, p, start)
}

// contend is what the first in line does.
func (k *Locker) contend(ctx context.Context, op string, p *place, start time.Time) (*Lease, error) {
	for {
		var retry, took time.Duration
		if !k.heldHere(p.line) {
			if err := ctx.Err(); err != nil {
				return nil, k.gaveUp(ctx, p.name)
			}
			sent := time.Now()
			lease, left, err := k.attempt(ctx, op, p.name, start)
			if err == errLate {
				continue
			}
			if lease != nil || err != nil {
				return lease, err
			}
			if k.startWatch(p) {
				continue
			}
			retry, took = left, time.Since(sent)
		}
		if err := k.wait(ctx, p, retry, took); err != nil {
			return nil, err
		}
	}
}

// errLate is an acquisition that was answered when it was over already, as the
// process was paused or the store took that long. It has been given back.
var errLate = errors.New("lock: acquired too late")

// attempt asks the store once. Without a lease and an error, another holds the
// lock, for left at most.
func (k *Locker) attempt(ctx context.Context, op, name string, start time.Time) (l *Lease, left time.Duration, err error) {
	token := rand.Text()
	sent := time.Now()
	until := sent.Add(validity(k.ttl))
	try, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	defer context.AfterFunc(k.open, cancel)()
	r, err := k.backend.tryLock(try, name, token, k.ttl)
	late := !time.Now().Before(until)
	switch {
	case err != nil && ctx.Err() == nil && k.open.Err() != nil:
		return nil, 0, closed(op, name)
	case err != nil && ctx.Err() == nil && late:
		return nil, 0, k.late(op, name)
	case err != nil:
		return nil, 0, err
	case !r.Acquired:
		k.counts.refused.Add(1)
		return nil, r.Remaining, nil
	case late:
		k.backend.giveBack(name, token)
		return nil, 0, errLate
	}
	l = k.newLease(ctx, name, token, r.Fence, sent)
	emit(l.ctx, k.trace.Acquired, AcquiredInfo{name, r.Fence, time.Since(start)})
	return l, 0, nil
}

func (k *Locker) late(op, name string) error {
	return store.Errorf(op, name, store.ErrUnavailable, "the store has not answered within the TTL of %v; if that is usual, raise Options.TTL", k.ttl)
}

func (k *Locker) gaveUp(ctx context.Context, name string) error {
	return store.Errorf("lock", name, ErrHeld, "waited for another who holds it: %w", ctx.Err())
}

// untilNext is how long to wait before the next attempt, unless something
// happens before: as long as the lock is held at most, or a second, and a little
// more, so that processes do not come all at once; but not longer than until
// just before the deadline of ctx.
func untilNext(ctx context.Context, retry, took time.Duration) time.Duration {
	next := pollEvery
	if retry >= 0 && retry < next {
		next = max(retry, pollPause) // a store may tell it in seconds, rounded down
	}
	next += mathrand.N(next/10 + time.Millisecond)
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline) - max(lastMargin, 2*took)
		if left > 0 && left < next {
			return left
		}
	}
	return next
}

// pollPause is the least time between two attempts that nothing has called for.
const pollPause = 10 * time.Millisecond

// lastMargin is the least time before a deadline that the last attempt has.
const lastMargin = 5 * time.Millisecond
