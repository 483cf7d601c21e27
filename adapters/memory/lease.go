package memory

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/cairncache/cairn/store"
)

// leases are the leases and Holds there are, one for a key. What is known of a
// key is read and changed in the locked Slot of the key, together with the
// entry; the table has a lock of its own below that.
type leases struct {
	n      atomic.Int64 // len(of); 0 is all that a write finds where nobody has a lease
	mu     sync.Mutex
	of     map[string]lease
	sweep  func()      // calls sweepLeases, and does not keep the Store in memory
	timer  *time.Timer // set while there are leases
	closed bool
}

type lease struct {
	token string // "" is a Hold, as no lease has that
	ends  int64  // as Store.now counts
}

// sweepLeasesEvery is about how long the memory of a lease that is over stays.
const sweepLeasesEvery = 100 * time.Millisecond

// initLeases lets the timer sweep without keeping s in memory.
func (s *Store) initLeases() {
	w := weak.Make(s)
	s.leases.sweep = func() {
		if s := w.Value(); s != nil {
			s.sweepLeases()
		}
	}
}

// get returns the lease or the Hold of key that has not ended by now.
func (t *leases) get(key string, now int64) (l lease, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok = t.of[key]
	return l, ok && l.ends > now
}

// has is whether token has the lease of key.
func (t *leases) has(key, token string, now int64) bool {
	l, ok := t.get(key, now)
	return ok && l.token == token
}

// put begins a lease, or a Hold if the token is empty, in the place of any
// other of key.
func (t *leases) put(key string, l lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if t.of == nil {
		t.of = make(map[string]lease)
	}
	t.of[key] = l
	t.n.Store(int64(len(t.of)))
	if t.timer == nil {
		t.timer = time.AfterFunc(sweepLeasesEvery, t.sweep)
	}
}

// end drops what there is of key.
func (t *leases) end(key string) {
	if t.n.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, key)
	t.n.Store(int64(len(t.of)))
}

// sweepLeases drops the leases that are over. There are never more of them than
// loads in the last seconds, so that it may look at all.
func (s *Store) sweepLeases() {
	t := &s.leases
	now := s.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.of {
		if l.ends <= now {
			delete(t.of, key)
		}
	}
	t.n.Store(int64(len(t.of)))
	t.timer = nil
	if len(t.of) > 0 {
		t.timer = time.AfterFunc(sweepLeasesEvery, t.sweep)
	}
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
	if t.timer != nil {
		t.timer.Stop()
	}
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
		if e, found := s.cache.Get(key); found {
			if ttl, live := s.timeLeft(e); live {
				same, err := sameBytes(e.Value, despite)
				if err != nil {
					return store.Lookup{}, encodeError(op, key, err)
				}
				if !same {
					s.hit(key, e.Value)
					return store.Lookup{Live: e.Value, TTL: ttl}, nil
				}
				none = e.Value
			}
		}
		lookup, ok, err := s.lease(op, key, token, life, none)
		if err != nil {
			return store.Lookup{}, err
		}
		if ok {
			s.missed(key)
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
	err = s.alter(op, key, 0, func(old entry, live bool) (entry, Cause) {
		if ok = !live || old.Value == none; !ok {
			return entry{}, kept
		}
		now := s.now()
		l, taken := s.leases.get(key, now)
		if !taken || l.token == token {
			found = store.Lookup{Lease: store.LeaseGranted, TTL: life}
			s.leases.put(key, lease{token, s.cache.After(life)})
			return entry{}, kept
		}
		found = store.Lookup{Lease: store.LeaseTaken, TTL: time.Duration(l.ends - now)}
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
	err = s.write(op, key, l, ttl, func(entry, bool) Cause {
		if filled = s.leases.has(key, token, s.now()); !filled {
			return kept
		}
		return Replaced
	})
	return filled && err == nil, err
}

// RenewLease implements store.LeaseStore.
func (s *Store) RenewLease(ctx context.Context, key, token string, life time.Duration) (renewed bool, err error) {
	const op = "renewlease"
	if err := s.checkLease(ctx, op, key, token, life); err != nil {
		return false, err
	}
	err = s.alter(op, key, 0, func(entry, bool) (entry, Cause) {
		if renewed = s.leases.has(key, token, s.now()); renewed {
			s.leases.put(key, lease{token, s.cache.After(life)})
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
	return s.alter(op, key, 0, func(entry, bool) (entry, Cause) {
		if s.leases.has(key, token, s.now()) {
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
	return s.alter(op, key, 0, func(entry, bool) (entry, Cause) {
		s.leases.put(key, lease{ends: s.cache.After(life)})
		return entry{}, Deleted
	})
}

func (s *Store) checkLease(ctx context.Context, op, key, token string, life time.Duration) error {
	if err := store.CheckLease(ctx, op, key, token, life); err != nil {
		return err
	}
	return s.check(ctx, op, key)
}
