package memo

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

const (
	// leaseLife is how long others wait for a process that is gone. A load may
	// take longer, as its lease is renewed three times in this time.
	leaseLife = 3 * time.Second

	// abandonTime is how long a load that failed may be held up by a store
	// that does not answer.
	abandonTime = 250 * time.Millisecond

	// Who waits for the load of another process asks again when it has waited
	// longer by one part in pauseParts, and so is late by no more than that
	// part of the load: after a load of half a second by 10 ms, for which it
	// has asked some 130 times. With a watch all pauses are the longest: that
	// tells of values, and not of a load that has brought none.
	shortestPause = 3 * time.Millisecond
	longestPause  = 250 * time.Millisecond
	pauseParts    = 50
)

// lease is the right of one load to store what it brings for a key; see
// store.LeaseStore. All its fields are of the load's goroutine.
type lease struct {
	at         *site
	key, token string
	ctx        context.Context // with the values of the load's, and no end
	state      leaseState
	seen       uint64 // of the watcher, before the store was asked
	rest       func() // if set: ends what goes on in the background, or gives back a lock
}

// leaseState is what is known about a lease.
type leaseState uint8

const (
	leaseNone    leaseState = iota // it was not granted, or has ended
	leaseUnknown                   // it may have been granted, but the store has not said so
	leaseHeld
	leaseless // the store has none, although it has the method
)

func newLease(ctx context.Context, at *site, key string) *lease {
	return &lease{at: at, key: key, token: rand.Text(), ctx: context.WithoutCancel(ctx)}
}

// leases reports whether loads take leases of the store.
func (m *Memo) leases(at *site) bool { return at.leases.Load() && !m.leaseless }

// leased reports whether a load takes one, which it does if it may be stored.
func (f *Func[K, V]) leased(v *query) bool {
	return f.memo.leases(v.at) && v.generation != nil && !v.failed
}

// leasedRequest is request over a store with leases.
func (f *Func[K, V]) leasedRequest(v *query, key string, k K, s sighting[V], seen flight.Mark, background bool) flight.Request[*outcome[V]] {
	var l *lease
	return flight.Request[*outcome[V]]{
		Key:     key,
		Seen:    seen,
		Epoch:   f.epoch(v),
		Timeout: v.policy.LoadTimeout,
		Guarded: true,
		Load: func(ctx context.Context, _ bool) (o *outcome[V], err error) {
			l = newLease(ctx, v.at, key)
			defer func() {
				if o == nil { // else Fill or Void does it
					f.giveUp(l)
				}
			}()
			return f.loadLeased(ctx, v, l, k, s, background)
		},
		Fill: func(ctx context.Context, o *outcome[V]) {
			switch {
			case l.state != leaseless:
				f.fillLeased(ctx, l, o)
			case l.overtaken():
				defer l.end()
				f.counters.add(loadVoided, 1)
			default:
				defer l.end()
				f.fill(ctx, v, key, o)
			}
		},
		Void: func() {
			f.giveUp(l)
			f.counters.add(loadVoided, 1)
		},
	}
}

// loadLeased loads when nobody else in the fleet does, or returns what somebody
// else has stored. What it loads without the lease is not stored.
func (f *Func[K, V]) loadLeased(ctx context.Context, v *query, l *lease, k K, s sighting[V], background bool) (*outcome[V], error) {
	for began := time.Now(); ; {
		seen := l.at.watch.Load().seen(l.key)
		o, found, err := f.take(ctx, v, l, &s)
		if o != nil {
			return o, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if l.state == leaseless {
			return f.loadLocked(ctx, v, l.key, k, s, &l.rest)
		}
		if err != nil {
			failed := *v
			failed.failed = true
			v = &failed
		}
		if err != nil || found.Lease == store.LeaseBlocked {
			o, loadErr := f.make(ctx, v, l.key, k, s)
			if o != nil {
				o.withhold(err)
			}
			return o, loadErr
		}
		if found.Lease == store.LeaseGranted {
			return f.make(ctx, v, l.key, k, s)
		}
		pause := l.pause(time.Since(began))
		if left := max(found.TTL, time.Millisecond); found.TTL >= 0 && left <= pause {
			pause = left
			began = time.Now().Add(left) // who loads is gone, so another load begins then
		}
		if err := f.await(ctx, l, seen, pause, background); err != nil {
			return nil, err
		}
		v = f.renewed(ctx, v)
	}
}

// take asks for the lease despite what the caller has seen, s, and whatever
// else is stored that the caller does not want. What it does want is the
// outcome.
func (f *Func[K, V]) take(ctx context.Context, v *query, l *lease, s *sighting[V]) (*outcome[V], store.Lookup, error) {
	for {
		l.state, l.seen = leaseUnknown, l.at.watch.Load().seen(l.key)
		found, err := store.GetOrLease(ctx, l.at.Store, l.key, l.token, leaseLife, s.live)
		if err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				l.at.leases.Store(false) // for the next time
				l.state = leaseless
			} else {
				f.reportStore(ctx, "getorlease", err)
			}
			return nil, found, err
		}
		l.state = leaseNone
		if found.Lease == store.LeaseGranted {
			f.hold(ctx, l)
		}
		if found.Lease != store.LeaseNone {
			return nil, found, nil
		}
		now := v.later()
		f.countRead(l.at, found.Live)
		is, err := f.judgeLive(ctx, &now, found.Live)
		if err != nil {
			return nil, found, err
		}
		if !v.refresh {
			if o := f.newer(v, l.key, *s, is); o != nil {
				return o, found, nil
			}
		}
		*s, s.live = is, found.Live
	}
}

// overtaken reports whether the key may have been changed since the store was
// asked, which no lease tells: where there is none, that is known only now, and
// the flight goes by Guarded.
func (l *lease) overtaken() bool { return l.at.watch.Load().seen(l.key) != l.seen }

// withhold keeps what was loaded without a lease out of the store, which has
// failed with err if that is not nil.
func (o *outcome[V]) withhold(err error) {
	o.keep, o.remove = false, false
	if err != nil {
		o.storeErr.Store(&err)
	}
}

// pause is how long to wait before asking again, after having waited.
func (l *lease) pause(waited time.Duration) time.Duration {
	pause := longestPause
	if l.at.watch.Load() == nil {
		pause = min(max(waited/pauseParts, shortestPause), longestPause)
	}
	return pause - mathrand.N(pause/4)
}

// await waits until somebody else's load may have ended, but no longer than
// pause. Nobody waits for one in the background, so it ends with the Memo.
func (f *Func[K, V]) await(ctx context.Context, l *lease, seen uint64, pause time.Duration, background bool) error {
	changed, stop := l.at.watch.Load().wait(l.key, seen)
	defer stop()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var closing <-chan struct{}
	if background {
		closing = f.memo.scope.Closing()
	}
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-closing:
		return ErrClosed
	}
	return nil
}

// renewed is the query of a load that has waited, and is to belong to the
// generation that there is when it begins. If that cannot be read, it stays
// what it was: at worst what is loaded is stored for a generation that is over.
func (f *Func[K, V]) renewed(ctx context.Context, v *query) *query {
	g, err := f.generations.at(ctx, v.at.Store)
	if err != nil {
		f.reportStore(ctx, "get", err)
		return v
	}
	now := *v
	now.generation = g
	return &now
}

// hold keeps the lease until rest is called. When the load's context ends, the
// lease is given up, though the function may go on: the next caller begins
// anew.
func (f *Func[K, V]) hold(ctx context.Context, l *lease) {
	l.state = leaseHeld
	renewed, freed := make(chan struct{}), make(chan struct{})
	renewing, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(leaseLife/3, func() {
		defer close(renewed)
		f.renew(renewing, l)
	})
	stop := context.AfterFunc(ctx, func() {
		defer close(freed)
		f.abandon(l)
	})
	l.rest = func() {
		cancel()
		if !timer.Stop() {
			<-renewed
		}
		if !stop() {
			<-freed
		}
	}
}

// renew renews the lease until ctx ends. Once it is lost, what is being loaded
// is for those alone who wait for it already.
func (f *Func[K, V]) renew(ctx context.Context, l *lease) {
	for {
		bounded, cancel := context.WithTimeout(ctx, leaseLife/6)
		renewed, err := store.RenewLease(bounded, l.at.Store, l.key, l.token, leaseLife)
		cancel()
		pause := leaseLife / 3
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // there is time for another try or two
			f.reportStore(ctx, "renewlease", err)
			pause = leaseLife / 12
		case !renewed:
			f.flights.Changed(l.key)
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// fillLeased stores what was loaded, unless the lease has ended.
func (f *Func[K, V]) fillLeased(ctx context.Context, l *lease, o *outcome[V]) {
	switch {
	case l.state != leaseHeld:
		f.giveUp(l)
	case o.remove:
		l.end()
		err := l.at.Delete(ctx, l.key) // which ends the lease as well
		if err != nil {
			f.reportStore(ctx, "delete", err)
			o.storeErr.Store(&err)
		}
	case o.keep && o.live != nil:
		l.end()
		f.putLeased(ctx, l, o)
	default:
		f.giveUp(l)
	}
}

func (f *Func[K, V]) putLeased(ctx context.Context, l *lease, o *outcome[V]) {
	filled, err := store.Fill(ctx, l.at.Store, l.key, l.token, o.live, o.ttl)
	switch {
	case err != nil:
		if e := (*encodeError)(nil); errors.As(err, &e) {
			f.reportEncode(ctx, e)
		} else {
			f.reportStore(ctx, "fill", err)
			o.storeErr.Store(&err)
		}
		f.abandon(l)
	case filled:
		f.filled(l.at, o)
	default:
		f.flights.Changed(l.key)
		f.counters.add(loadVoided, 1)
	}
}

// end lets the lease rest, and nobody give it up any more.
func (l *lease) end() {
	l.state = leaseNone
	if l.rest != nil {
		l.rest()
		l.rest = nil
	}
}

// giveUp ends the lease without a value, so that others need not wait for its
// end. It does nothing if that has been done, or if l is nil.
func (f *Func[K, V]) giveUp(l *lease) {
	if l == nil {
		return
	}
	state := l.state
	l.end()
	switch state {
	case leaseHeld:
		f.abandon(l)
	case leaseUnknown: // nobody waits for a store that has failed already
		go func() {
			_ = f.memo.scope.Run(l.ctx, func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, abandonTime)
				defer cancel()
				return store.Abandon(ctx, l.at.Store, l.key, l.token)
			})
		}()
	}
}

func (f *Func[K, V]) abandon(l *lease) {
	ctx, cancel := context.WithTimeout(l.ctx, abandonTime)
	defer cancel()
	f.reportStore(ctx, "abandon", store.Abandon(ctx, l.at.Store, l.key, l.token))
}
