package store

import (
	"context"
	"errors"
	"time"
)

// LeaseStore is a Store that lets one caller at a time load the value of a key,
// and that stores what was loaded only if the key has not been written since
// the load began: nobody who reads slowly brings back what was deleted. The
// idea is that of the leases in "Scaling Memcache at Facebook" (NSDI 2013).
//
// A lease belongs to a key and a token, which names one load and is used for
// no other: 1 to 64 bytes, such as those of rand.Text in crypto/rand. It ends
// with its life, by Fill and Abandon, and by every write of the key, whatever
// process makes it: Set and all its relatives, Add and CompareAndSwap and
// CompareAndDelete that do something, Delete, Clear. Touch, expiry and eviction
// do not end it. Backends may lose leases, and the fills of these are refused.
//
// A bad token and a life that is not positive are ErrInvalid. All methods may
// be repeated if their answer was lost.
type LeaseStore interface {
	Store

	// GetOrLease reads the entry of key or, if there is none, takes the lease
	// to load it. An entry of the same bytes as despite, if that is not nil,
	// counts as none: it is what the caller has found too old, and it stays
	// readable for others. Asking again with the token of a lease that is
	// alive is granted again and begins its life anew.
	GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *Live) (Lookup, error)

	// Fill stores what was loaded, as SetLive does, and ends the lease. It
	// reports false, and changes nothing, if the lease has ended before, or
	// the entry is neither absent nor the one that it was granted despite. A
	// Fill whose answer was lost has ended its lease, so a second one reports
	// false though the first has stored the value.
	Fill(ctx context.Context, key, token string, l *Live, ttl time.Duration) (filled bool, err error)

	// RenewLease begins the life of the lease anew. It reports false if the
	// lease has ended.
	RenewLease(ctx context.Context, key, token string, life time.Duration) (renewed bool, err error)

	// Abandon ends the lease without a value, so that the next one who asks
	// gets it. It does nothing if the lease has ended.
	Abandon(ctx context.Context, key, token string) error

	// Hold removes the entry of key and ends its lease, and lets nobody fill
	// it until a write of the key or the end of life: whoever asks is told
	// LeaseBlocked. No other method ends it, and a Hold of a key that is held
	// takes the place of that one, with its own life. See [Update].
	Hold(ctx context.Context, key string, life time.Duration) error
}

// Lookup is what GetOrLease has found.
type Lookup struct {
	Lease LeaseState
	Live  *Live         // the entry, read-only, if Lease is LeaseNone
	TTL   time.Duration // of LeaseNone what TTL answers; of the others how long the lease or the Hold lasts
}

// LeaseState says who may load a key.
type LeaseState uint8

const (
	LeaseNone    LeaseState = iota // nobody need: there is an entry
	LeaseGranted                   // the caller
	LeaseTaken                     // somebody else, who does so now
	LeaseBlocked                   // nobody can store what is loaded, as the key is held for a write
)

// String returns the name in lower case, without the prefix.
func (l LeaseState) String() string {
	names := [...]string{"none", "granted", "taken", "blocked"}
	if int(l) < len(names) {
		return names[l]
	}
	return "unknown"
}

const maxToken = 64

// CheckLease returns the error of a bad argument of the methods of LeaseStore
// other than Hold, and of LockStore, whose ttl is the life here. Adapters begin
// with it. Methods that take no life give 1.
func CheckLease(ctx context.Context, op, key, token string, life time.Duration) error {
	if err := CheckHold(ctx, op, key, life); err != nil {
		return err
	}
	if token == "" || len(token) > maxToken {
		return Errorf(op, key, ErrInvalid, "the token has %d bytes; give 1 to %d, of rand.Text for example", len(token), maxToken)
	}
	return nil
}

// CheckHold is CheckLease for Hold, which takes no token.
func CheckHold(ctx context.Context, op, key string, life time.Duration) error {
	if err := Check(ctx, op, key); err != nil {
		return err
	}
	if life <= 0 {
		return Errorf(op, key, ErrInvalid, "the life %v is not positive", life)
	}
	return nil
}

// leases returns s as a LeaseStore, or an error matching
// errors.ErrUnsupported.
func leases(op, key string, s Store) (LeaseStore, error) {
	if err := checkStore(op, s); err != nil {
		return nil, err
	}
	if s, ok := s.(LeaseStore); ok {
		return s, nil
	}
	return nil, noLeases(op, key, s)
}

// noLeases says what a store lacks, also one that has the method and declines.
func noLeases(op, key string, s Store) error {
	return Errorf(op, key, errors.ErrUnsupported, "%T does not offer leases (store.LeaseStore)", base(s))
}

// GetOrLease reads the entry of key or takes the lease to load it; see
// LeaseStore. Without that ability, it and the other four functions return an
// error matching errors.ErrUnsupported.
func GetOrLease(ctx context.Context, s Store, key, token string, life time.Duration, despite *Live) (Lookup, error) {
	const op = "getorlease"
	ls, err := leases(op, key, s)
	if err != nil {
		return Lookup{}, err
	}
	l, err := ls.GetOrLease(ctx, key, token, life, despite)
	if declined(err) {
		err = noLeases(op, key, s)
	}
	return l, err
}

// Fill stores what was loaded under a lease; see LeaseStore.
func Fill(ctx context.Context, s Store, key, token string, l *Live, ttl time.Duration) (filled bool, err error) {
	const op = "fill"
	ls, err := leases(op, key, s)
	if err != nil {
		return false, err
	}
	filled, err = ls.Fill(ctx, key, token, l, ttl)
	if declined(err) {
		err = noLeases(op, key, s)
	}
	return filled, err
}

// RenewLease begins the life of a lease anew; see LeaseStore.
func RenewLease(ctx context.Context, s Store, key, token string, life time.Duration) (renewed bool, err error) {
	const op = "renewlease"
	ls, err := leases(op, key, s)
	if err != nil {
		return false, err
	}
	renewed, err = ls.RenewLease(ctx, key, token, life)
	if declined(err) {
		err = noLeases(op, key, s)
	}
	return renewed, err
}

// Abandon ends a lease without a value; see LeaseStore.
func Abandon(ctx context.Context, s Store, key, token string) error {
	return onLeases("abandon", key, s, func(s LeaseStore) error { return s.Abandon(ctx, key, token) })
}

// Hold removes an entry and lets nobody fill it; see LeaseStore.
func Hold(ctx context.Context, s Store, key string, life time.Duration) error {
	return onLeases("hold", key, s, func(s LeaseStore) error { return s.Hold(ctx, key, life) })
}

func onLeases(op, key string, s Store, call func(LeaseStore) error) error {
	ls, err := leases(op, key, s)
	if err != nil {
		return err
	}
	if err := call(ls); !declined(err) {
		return err
	}
	return noLeases(op, key, s)
}
