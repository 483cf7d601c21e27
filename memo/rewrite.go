package memo

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// Expire makes the value for k stale at once, as if its ttl had passed now.
// Those who ask for it get it as they get any other stale value, while it is
// loaded anew or if that fails, for Policy.Stale from now on; without Stale it
// is deleted. A pause after loads that failed ends. What is said of Delete
// holds for loads under way. It is no error if there is none. Errors are as in
// Set.
func (f *Func[K, V]) Expire(ctx context.Context, k K) error {
	const op = "expire"
	v, key, err := f.begins(ctx, op, k, nil)
	if err != nil {
		return err
	}
	err = f.alone(ctx, op, key, func() error {
		return f.rewrite(ctx, &v, key, true, func(s sighting[V], h *header) (time.Duration, error) {
			left := v.policy.Stale
			if h.has(flagStale) {
				left = span(h.fresh, h.stale)
			}
			switch {
			case s.entry.negative() || left == 0:
				return 0, errRemove
			case h.fresh != 0 && h.fresh <= v.now:
				return 0, errLeave
			}
			h.fresh = v.now
			h.stale = after(v.now, left) // where it counts
			return left, nil
		})
	})
	if err == store.ErrNotFound {
		return nil
	}
	return err
}

// span is the time between two of an envelope.
func span(from, until int64) time.Duration {
	if until == 0 {
		return store.Forever
	}
	return time.Duration(until - from)
}

// Touch begins the ttl of the value for k anew, as if it had been loaded now,
// and the stale time after it, both as the policy has them. Its age remains. If
// there is no value, fresh or stale, the error is the bare store.ErrNotFound;
// others are as in Set.
//
// What is loaded meanwhile replaces the value. Only if the store cannot compare
// and swap, or has leases, is it not stored.
func (f *Func[K, V]) Touch(ctx context.Context, k K) error {
	return f.touch(ctx, "touch", k, func(v *query) (time.Duration, error) {
		return v.policy.jittered(v.policy.TTL), nil
	})
}

// TouchAt lets the value for k be fresh until t, and stale afterwards. It is
// as Touch otherwise. A t that is not after the present is ErrInvalid.
func (f *Func[K, V]) TouchAt(ctx context.Context, k K, t time.Time) error {
	return f.touch(ctx, "touchat", k, func(v *query) (time.Duration, error) {
		ttl := t.Sub(time.Unix(0, v.now))
		if ttl <= 0 {
			return 0, invalid("the time is not after the present; call Expire to make the value stale")
		}
		return ttl, nil
	})
}

func (f *Func[K, V]) touch(ctx context.Context, op string, k K, ttlOf func(*query) (time.Duration, error)) error {
	v, key, err := f.begins(ctx, op, k, nil)
	if err != nil {
		return err
	}
	if _, err := ttlOf(&v); err != nil {
		return &Error{op, f.name, key, err}
	}
	edit := func(s sighting[V], h *header) (time.Duration, error) {
		if s.verdict < stale || s.entry.negative() {
			return 0, store.ErrNotFound
		}
		ttl, err := ttlOf(&v)
		if err != nil {
			return 0, &Error{op, f.name, key, err}
		}
		h.fresh = after(v.now, ttl)
		h.flags &^= flagStale
		return v.policy.life(ttl, v.policy.Stale), nil
	}
	err = f.rewrite(ctx, &v, key, false, edit)
	if errors.Is(err, errors.ErrUnsupported) {
		return f.alone(ctx, op, key, func() error { return f.rewrite(ctx, &v, key, true, edit) })
	}
	f.reportStore(ctx, op, err)
	return err
}

// alone does something to what is stored under key, while nothing else in this
// process changes it.
func (f *Func[K, V]) alone(ctx context.Context, op, key string, do func() error) error {
	change, err := f.flights.Exclude(ctx, key)
	if err != nil {
		return &Error{op, f.name, key, err}
	}
	defer change.Done()
	err = do()
	f.pauses.forget(key)
	f.reportStore(ctx, op, err)
	return err
}

// What an edit returns instead of another ttl.
var (
	errLeave  = errors.New("the entry may stay as it is")
	errRemove = errors.New("the entry is to go")
)

// rewrite changes the header of an entry, and not the value. edit returns the
// ttl to store it with. What has been stored in between is not overwritten, but
// edited in its turn. Where the store cannot compare and swap, that holds for
// what this process stores, if alone says that it stores nothing now; else the
// error is that this is not supported.
func (f *Func[K, V]) rewrite(ctx context.Context, v *query, key string, alone bool, edit func(sighting[V], *header) (time.Duration, error)) error {
	for {
		old, err := v.at.Get(ctx, key)
		if err != nil {
			return err
		}
		v.now = time.Now().UnixNano()
		s, err := f.judgeLive(ctx, v, store.LiveBytes(old))
		if err != nil {
			return err
		}
		if s.entry == nil || s.verdict == missing {
			return store.ErrNotFound
		}
		h, payload, err := parseEnvelope(old)
		if err != nil {
			return err
		}
		ttl, err := edit(s, &h)
		switch err {
		case nil:
		case errLeave:
			return nil
		case errRemove:
			return v.at.Delete(ctx, key)
		default:
			return err
		}
		edited := append(h.append(make([]byte, 0, len(old)+8)), payload...)
		swapped, err := store.CompareAndSwap(ctx, v.at.Store, key, old, edited, ttl)
		if alone && errors.Is(err, errors.ErrUnsupported) {
			return v.at.Set(ctx, key, edited, ttl)
		}
		if err != nil || swapped {
			return err
		}
	}
}
