package memory

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// leases are the leases and Holds there are, one for a key. What is known of a
// key is read and changed under otter's lock for it, together with the entry;
// the table has a lock of its own below that.
type leases struct {
	expiry *expiry
	n      atomic.Int64 // len(of); 0 is all that a write finds where nobody has a lease
	mu     sync.Mutex
	of     map[string]*lease
	closed bool
}

type lease struct {
	token string // "" is a Hold, as no lease has that
	due   *due   // in leases.expiry as long as the lease is in the table
	// filled is a lease that Fill has ended. It stays in the table until the
	// value is in otter's, in order that Clear comes by there.
	filled bool
}

// get returns the lease or the Hold of key that has not ended by now, or nil.
func (t *leases) get(key string, now int64) *lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[key]
	if l == nil || l.filled || l.due.at <= now {
		return nil
	}
	return l
}

// find returns the lease of token, if it has not ended.
func (t *leases) find(key, token string) *lease {
	l := t.get(key, t.expiry.now())
	if l == nil || l.token != token {
		return nil
	}
	return l
}

// put begins a lease, or a Hold if the token is empty, in the place of any
// other of key.
func (t *leases) put(key, token string, life time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if t.of == nil {
		t.of = make(map[string]*lease)
	}
	if old := t.of[key]; old != nil {
		t.remove(key, old)
	}
	l := &lease{token: token, due: &due{at: t.expiry.after(life), key: key}}
	t.of[key] = l
	t.n.Add(1)
	t.expiry.add(l.due)
}

// end drops what there is of key, and expire if its life is over at now.
func (t *leases) end(key string) { t.expire(key, never) }

func (t *leases) expire(key string, now int64) {
	if t.n.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.of[key]; l != nil && l.due.at <= now {
		t.remove(key, l)
	}
}

// drop drops l, unless something else has taken its place.
func (t *leases) drop(key string, l *lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[key] == l {
		t.remove(key, l)
	}
}

// remove is called under t.mu.
func (t *leases) remove(key string, l *lease) {
	delete(t.of, key)
	t.n.Add(-1)
	t.expiry.remove(l.due)
}

func (t *leases) keys() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]string, 0, len(t.of))
	for key := range t.of {
		keys = append(keys, key)
	}
	return keys
}

// close drops everything for good.
func (t *leases) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.of = nil
	t.n.Store(0)
}

// GetOrLease implements store.LeaseStore. An entry of the same *Live as despite
// is of the same bytes; otherwise both are encoded in order to be compared, and
// if that fails the error is ErrInvalid. What it finds counts as a use and as a
// hit, and an entry that counts as none as a miss.
//
// Leases take no part in MaxEntries, MaxBytes, Len, Keys and Stats. Their lives
// are kept as exactly as the ttls of entries.
func (s *Store) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	const op = "getorlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return store.Lookup{}, err
	}
	for {
		var none *store.Live
		e, found := s.cache.GetIfPresent(key)
		if ttl, live := s.timeLeft(e); found && live {
			same, err := sameBytes(e.live, despite)
			if err != nil {
				return store.Lookup{}, encodeError(op, key, err)
			}
			if !same {
				s.counts.add(hits)
				return store.Lookup{Live: e.live, TTL: ttl}, nil
			}
			none = e.live
		}
		lookup, ok, err := s.lease(op, key, token, life, none)
		if err != nil {
			return store.Lookup{}, err
		}
		if ok {
			s.counts.add(misses)
			return lookup, nil
		}
	}
}

// sameBytes compares outside all locks, as that may encode a live value.
func sameBytes(l, despite *store.Live) (bool, error) {
	if despite == nil || l == despite {
		return l == despite, nil
	}
	a, err := l.Bytes()
	if err != nil {
		return false, err
	}
	b, err := despite.Bytes()
	return bytes.Equal(a, b), err
}

// lease takes the lease of key, or says who has it. It reports false if there
// is an entry by now that is not none.
func (s *Store) lease(op, key, token string, life time.Duration, none *store.Live) (found store.Lookup, ok bool, err error) {
	err = s.alter(op, key, false, func(old entry, live bool) (entry, Cause) {
		if ok = !live || old.live == none; !ok {
			return entry{}, kept
		}
		now := s.expiry.now()
		l := s.leases.get(key, now)
		if l == nil || l.token == token {
			found = store.Lookup{Lease: store.LeaseGranted, TTL: life}
			s.leases.put(key, token, life)
			return entry{}, kept
		}
		found = store.Lookup{Lease: store.LeaseTaken, TTL: time.Duration(l.due.at - now)}
		if l.token == "" {
			found.Lease = store.LeaseBlocked
		}
		return entry{}, kept
	})
	return found, ok, err
}

// Fill implements store.LeaseStore. It stores l itself. An l that is too large
// for MaxBytes is ErrTooLarge, or ErrInvalid if it cannot be encoded, and
// neither ends the lease nor removes an entry.
func (s *Store) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (filled bool, err error) {
	const op = "fill"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return false, err
	}
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return false, err
	}
	if l == nil {
		return false, store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	e, err := s.newEntry(op, key, l, ttl)
	if err != nil {
		return false, err
	}
	var mine *lease
	defer func() {
		if mine != nil {
			s.leases.drop(key, mine)
		}
	}()
	err = s.alter(op, key, false, func(entry, bool) (entry, Cause) {
		if mine = s.leases.find(key, token); mine == nil {
			return entry{}, kept
		}
		mine.filled = true
		return e, Replaced
	})
	if mine == nil {
		return false, err
	}
	s.counts.add(sets)
	return true, nil
}

// RenewLease implements store.LeaseStore.
func (s *Store) RenewLease(ctx context.Context, key, token string, life time.Duration) (renewed bool, err error) {
	const op = "renewlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return false, err
	}
	err = s.alter(op, key, false, func(entry, bool) (entry, Cause) {
		if renewed = s.leases.find(key, token) != nil; renewed {
			s.leases.put(key, token, life)
		}
		return entry{}, kept
	})
	return renewed, err
}

// Abandon implements store.LeaseStore.
func (s *Store) Abandon(ctx context.Context, key, token string) error {
	const op = "abandon"
	if err := s.checkLease(ctx, op, key, token, 1); err != nil {
		return err
	}
	return s.alter(op, key, false, func(entry, bool) (entry, Cause) {
		if s.leases.find(key, token) != nil {
			s.leases.end(key)
		}
		return entry{}, kept
	})
}

// Hold implements store.LeaseStore. It is a removal for OnRemove, and a change
// for watchers, also if there was no entry.
func (s *Store) Hold(ctx context.Context, key string, life time.Duration) error {
	const op = "hold"
	if err := store.CheckHold(ctx, op, key, life); err != nil {
		return err
	}
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return s.alter(op, key, false, func(entry, bool) (entry, Cause) {
		s.leases.put(key, "", life)
		return entry{}, Deleted
	})
}

func (s *Store) checkLease(ctx context.Context, op, key, token string, life time.Duration) error {
	if err := store.CheckLease(ctx, op, key, token, life); err != nil {
		return err
	}
	return s.check(ctx, op, key)
}
