package lock

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

const (
	minQuorum    = 3
	minQuorumTTL = 500 * time.Millisecond
	maxRounds    = 10 // of agree
)

// NewQuorum makes a Locker that holds a lock if it holds it in most of stores,
// which are independent servers: it works while most of them do, and none is a
// single point of failure. There are three stores at least, and an odd number
// makes sense. That they are servers of their own is not checked, but for the same
// Store given twice. Each can hold locks, as [New] wants it, and has Add and
// CompareAndSwap; one that does not is an error matching errors.ErrUnsupported.
// The stores stay the caller's. The TTL is half a second at least.
//
// All are asked at once, and one that has not answered after a twentieth of the
// TTL, or 50 milliseconds if that is more, counts as down. Those that did not grant the
// lock are asked again with each renewal, so that the failure of another one
// later is survived.
//
// Their own fences differ. The one of the lease is the largest, or larger, and
// is made known to most of the stores before the lock is answered: each has it
// as the entry "lockfence:" and the name, without expiry. So it is larger than
// all before while no store loses its data; if one has, as far as their clocks
// agree.
//
// A server that restarts without its data has forgotten the locks that it
// had granted. Let it start again only after a TTL has passed; otherwise the
// restarts of a minority can let two hold the lock.
func NewQuorum(stores []store.Store, o *Options) (*Locker, error) {
	const op = "lock"
	if len(stores) < minQuorum {
		return nil, store.Errorf(op, "", store.ErrInvalid, "a quorum of %d stores does not survive the failure of one; give %d at least, or use New", len(stores), minQuorum)
	}
	k, err := newLocker(o)
	if err != nil {
		return nil, err
	}
	if k.ttl < minQuorumTTL {
		return nil, store.Errorf(op, "", store.ErrInvalid, "a TTL of %v is not safe with a quorum; set Options.TTL to %v at least", k.ttl, minQuorumTTL)
	}
	q := &quorum{calls: k.calls, need: len(stores)/2 + 1, timeout: max(50*time.Millisecond, k.ttl/20)}
	for i, s := range stores {
		if s == nil {
			return nil, store.Errorf(op, "", store.ErrInvalid, "store %d of %d is nil", i+1, len(stores))
		}
		if j := slices.IndexFunc(stores[:i], func(other store.Store) bool { return same(s, other) }); j >= 0 {
			return nil, store.Errorf(op, "", store.ErrInvalid, "stores %d and %d of %d are the same; a quorum takes independent servers", j+1, i+1, len(stores))
		}
		n, err := nodeOf(s)
		if err != nil {
			return nil, err
		}
		if !store.Supports[store.AddStore](s) || !store.Supports[store.CompareAndSwapStore](s) {
			return nil, store.Errorf(op, "", errors.ErrUnsupported, "%T has no Add and CompareAndSwap, in which a quorum keeps the fence; use other stores, such as Redis", s)
		}
		w := watcherOf(s)
		if w != nil {
			k.watcher = q
		}
		q.members = append(q.members, member{n, k.undoer(), s, w, new(atomic.Bool)})
	}
	k.backend = q
	return k, nil
}

// same reports whether two stores are known to be the same one.
func same(a, b store.Store) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && a == b
}

// quorum is the backend of several stores.
type quorum struct {
	members []member
	need    int           // how many are most of them
	timeout time.Duration // of one call of one member
	calls   *group
}

type member struct {
	node
	*undoer
	s       store.Store
	watcher watcher      // may be nil
	away    *atomic.Bool // it did not answer the last TryLock
}

// A reply is what one member has answered.
type reply[T any] struct {
	from  member
	value T
	err   error
}

// ask makes a call of all members, in the background and each with its own
// time-out. The channel has room for all replies.
func ask[T any](ctx context.Context, q *quorum, call func(ctx context.Context, m member) (T, error)) <-chan reply[T] {
	replies := make(chan reply[T], len(q.members))
	for _, m := range q.members {
		q.calls.run(func(context.Context) {
			ctx, cancel := context.WithTimeout(ctx, q.timeout)
			defer cancel()
			value, err := call(ctx, m)
			replies <- reply[T]{m, value, err}
		})
	}
	return replies
}

// tryLock does not wait for those who are slower than most: they may grant the
// lock later, or be asked again with the first extension.
func (q *quorum) tryLock(ctx context.Context, name, token string, ttl time.Duration) (store.LockResult, error) {
	there := make(map[*atomic.Bool]bool)
	for _, m := range q.members {
		if !m.away.Load() {
			there[m.away] = true
		}
	}
	replies := ask(context.WithoutCancel(ctx), q, func(ctx context.Context, m member) (store.LockResult, error) {
		r, err := m.TryLock(ctx, name, token, ttl)
		m.away.Store(err != nil)
		return r, err
	})
	e := q.count(ctx, replies, there)
	r, err := q.outcome(ctx, name, e)
	if !r.Acquired {
		q.dissolve(e, replies, name, token)
	}
	return r, err
}

// An election is what the members have answered to tryLock.
type election struct {
	granted, refused, failed []reply[store.LockResult]
	pending                  int
}

// count returns as soon as the outcome is certain, or ctx ends. If others want
// the lock as well, it does not wait for those who did not answer the last time
// either: meanwhile nobody could have it, as each has got a few.
func (q *quorum) count(ctx context.Context, replies <-chan reply[store.LockResult], there map[*atomic.Bool]bool) *election {
	e := &election{pending: len(q.members)}
	split := func() bool {
		return len(there) == 0 && len(e.refused) > 0 && len(e.granted)+len(e.refused) >= q.need
	}
	for e.pending > 0 && len(e.granted) < q.need && !q.lost(len(e.refused)) && !split() {
		select {
		case r := <-replies:
			e.pending--
			delete(there, r.from.away)
			switch {
			case r.err != nil:
				e.failed = append(e.failed, r)
			case r.value.Acquired:
				e.granted = append(e.granted, r)
			default:
				e.refused = append(e.refused, r)
			}
		case <-ctx.Done():
			return e
		}
	}
	return e
}

// lost reports whether most cannot agree, as so many have refused.
func (q *quorum) lost(refused int) bool { return refused > len(q.members)-q.need }

func (q *quorum) outcome(ctx context.Context, name string, e *election) (store.LockResult, error) {
	const op = "trylock"
	switch {
	case len(e.granted) >= q.need:
		var fence uint64
		for _, r := range e.granted {
			fence = max(fence, r.value.Fence)
		}
		fence, err := q.agree(ctx, name, fence)
		return store.LockResult{Acquired: err == nil, Fence: fence}, err
	case q.lost(len(e.refused)), len(e.granted)+len(e.refused) >= q.need:
		return store.LockResult{Remaining: q.remaining(e)}, nil
	case ctx.Err() != nil:
		return store.LockResult{}, store.Errorf(op, name, ctx.Err(), "%w", ctx.Err())
	}
	return store.LockResult{}, q.unavailable(op, name, len(e.failed), errorsOf(e.failed))
}

// remaining is when so many could be free that most would grant the lock.
func (q *quorum) remaining(e *election) time.Duration {
	var left []time.Duration
	for _, r := range e.refused {
		if r.value.Remaining >= 0 {
			left = append(left, r.value.Remaining)
		}
	}
	slices.Sort(left)
	next := store.UnknownTTL
	if i := q.need - len(e.granted) - 1; i < len(left) {
		next = left[i]
	}
	if len(e.granted) > 0 {
		// Perhaps nobody has it, as several have asked at once and each has
		// got a few. Those who come back at different times do not meet again.
		again := 50*time.Millisecond + rand.N(100*time.Millisecond)
		if next < 0 || again < next {
			next = again
		}
	}
	return next
}

// dissolve gives back what was granted, now or later.
func (q *quorum) dissolve(e *election, replies <-chan reply[store.LockResult], name, token string) {
	giveBack := func(r reply[store.LockResult]) {
		if r.err == nil && r.value.Acquired || unknown(r.err) {
			r.from.undo(r.from.node, name, token, r.err != nil)
		}
	}
	for _, r := range slices.Concat(e.granted, e.failed) {
		giveBack(r)
	}
	if e.pending > 0 {
		q.calls.run(func(context.Context) {
			for range e.pending {
				giveBack(<-replies)
			}
		})
	}
}

// agree makes fence, or a larger one, known to most members. Each takes it only
// if it knows none that is as large, and any two majorities have a member in
// common: so every fence is larger than the one that was agreed on before.
func (q *quorum) agree(ctx context.Context, name string, fence uint64) (uint64, error) {
	const op = "trylock"
	for range maxRounds {
		next := fence
		replies := ask(context.WithoutCancel(ctx), q, func(ctx context.Context, m member) (last uint64, err error) {
			for {
				last, raised, err := setFence(ctx, m.s, name, next)
				if raised || last >= next || err != nil {
					return last, err
				}
			}
		})
		var failed []reply[uint64]
		agreed, largest := 0, uint64(0)
		for range q.members {
			select {
			case r := <-replies:
				switch {
				case r.err != nil:
					failed = append(failed, r)
				case r.value >= next:
					largest = max(largest, r.value)
				default:
					agreed++
				}
			case <-ctx.Done():
				return 0, store.Errorf(op, name, ctx.Err(), "%w", ctx.Err())
			}
			if agreed == q.need {
				return next, nil
			}
		}
		if largest == 0 {
			return 0, q.unavailable(op, name, len(failed), errorsOf(failed))
		}
		fence = largest + 1
	}
	return 0, store.Errorf(op, name, store.ErrUnavailable, "the stores do not agree on a fence; is one server among them twice?")
}

// extendLock waits for all, so that nothing is under way when it returns. A
// member that does not have the lock is asked for it, but counts from the next
// time on: others may have held it there meanwhile.
func (q *quorum) extendLock(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	replies := ask(ctx, q, func(ctx context.Context, m member) (bool, error) {
		extended, err := m.ExtendLock(ctx, name, token, ttl)
		if err == nil && !extended {
			_, _ = m.TryLock(ctx, name, token, ttl)
		}
		return extended, err
	})
	var failed []reply[bool]
	extended, refused := 0, 0
	for range q.members {
		switch r := <-replies; {
		case r.err != nil:
			failed = append(failed, r)
		case r.value:
			extended++
		default:
			refused++
		}
	}
	switch {
	case extended >= q.need:
		return true, nil
	case q.lost(refused):
		q.giveBack(name, token) // some have granted it anew, to nobody
		return false, nil
	}
	return false, q.unavailable("extendlock", name, len(failed), errorsOf(failed))
}

// unlock returns when most have answered. A member that does not have the lock
// may be about to grant it.
func (q *quorum) unlock(ctx context.Context, name, token string) (bool, error) {
	const op = "unlock"
	replies := ask(context.WithoutCancel(ctx), q, func(ctx context.Context, m member) (bool, error) {
		unlocked, err := m.Unlock(ctx, name, token)
		if err == nil && !unlocked || unknown(err) {
			m.undo(m.node, name, token, true)
		}
		return unlocked, err
	})
	var failed []reply[bool]
	unlocked, refused := 0, 0
	for range q.members {
		select {
		case r := <-replies:
			switch {
			case r.err != nil:
				failed = append(failed, r)
			case r.value:
				unlocked++
			default:
				refused++
			}
		case <-ctx.Done():
			return false, store.Errorf(op, name, ctx.Err(), "%w", ctx.Err())
		}
		if unlocked >= q.need || q.lost(refused) {
			return unlocked >= q.need, nil
		}
	}
	return false, q.unavailable(op, name, len(failed), errorsOf(failed))
}

func (q *quorum) giveBack(name, token string) {
	for _, m := range q.members {
		m.undo(m.node, name, token, true)
	}
}

func (q *quorum) unavailable(op, name string, failed int, err error) error {
	return store.Errorf(op, name, store.ErrUnavailable, "%d of %d stores have failed, and %d are needed: %w", failed, len(q.members), q.need, err)
}

func errorsOf[T any](failed []reply[T]) error {
	errs := make([]error, len(failed))
	for i, r := range failed {
		errs[i] = r.err
	}
	return errors.Join(errs...)
}

// WatchLock receives when any member tells, and a little later than it, at
// random: those who wait would else come all at once, and each get a few.
func (q *quorum) WatchLock(ctx context.Context, name string) (<-chan struct{}, error) {
	told := make(chan struct{}, 1)
	for _, m := range q.members {
		if m.watcher == nil {
			continue
		}
		freed, err := m.watcher.WatchLock(ctx, name)
		if err != nil {
			continue // the stores are asked every now and then
		}
		q.calls.run(func(context.Context) {
			for {
				select {
				case <-freed:
				case <-ctx.Done():
					return
				}
				if !sleep(ctx, 5*time.Millisecond+rand.N(45*time.Millisecond)) {
					return
				}
				select {
				case told <- struct{}{}:
				default:
				}
			}
		})
	}
	return told, nil
}
