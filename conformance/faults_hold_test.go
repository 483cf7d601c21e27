package conformance

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/cairncache/cairn/store"
)

// reheld replaces Hold.
func reheld(hold func(f *faulty, ctx context.Context, key string, life time.Duration) error) func(f *faulty) {
	return func(f *faulty) {
		f.hold = func(ctx context.Context, key string, life time.Duration) error {
			if err := store.CheckHold(ctx, "hold", key, life); err != nil {
				return err
			}
			return hold(f, ctx, key, life)
		}
	}
}

// put puts a lease or a Hold into the reference.
func (f *faulty) put(key string, l lease) {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	f.ref.leases[key] = l
}

// holdFaults are those in time and in Hold.
var holdFaults = []fault{
	{what: "a lease lasts until Fill", caught: "Lease/LifeEnds", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			return f.ref.GetOrLease(ctx, key, token, finite(func(life time.Duration) time.Duration { return 1000 * life })(life), despite)
		}
	}},
	{what: "Fill is late and nobody else has asked", caught: "Lease/LifeEnds", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		filled, err := f.ref.Fill(ctx, key, token, l, ttl)
		if _, taken := f.leasesOf([]string{key})[key]; !filled && !taken {
			return true, f.ref.SetLive(ctx, key, l, ttl)
		}
		return filled, err
	})},
	{what: "RenewLease does nothing", caught: "Lease/Renew", plant: func(f *faulty) {
		f.renew = func(ctx context.Context, key, token string, life time.Duration) (bool, error) {
			before := f.leasesOf([]string{key})
			renewed, err := f.ref.RenewLease(ctx, key, token, life)
			if renewed {
				f.put(key, before[key])
			}
			return renewed, err
		}
	}},
	{what: "a lease is renewed for ever", caught: "Lease/Renew", plant: func(f *faulty) {
		f.renew = func(ctx context.Context, key, token string, life time.Duration) (bool, error) {
			return f.ref.RenewLease(ctx, key, token, finite(func(life time.Duration) time.Duration { return 1000 * life })(life))
		}
	}},
	{what: "the holder who asks again is told that the lease is taken", caught: "Lease/AskAgain", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			before, taken := f.leasesOf([]string{key})[key]
			found, err := f.ref.GetOrLease(ctx, key, token, life, despite)
			if taken && before.token == token && found.Lease == store.LeaseGranted {
				found.Lease = store.LeaseTaken
			}
			return found, err
		}
	}},
	{what: "asking again does not prolong", caught: "Lease/AskAgain", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			before, taken := f.leasesOf([]string{key})[key]
			found, err := f.ref.GetOrLease(ctx, key, token, life, despite)
			if taken && before.token == token && found.Lease == store.LeaseGranted {
				f.put(key, before)
			}
			return found, err
		}
	}},
	{what: "Abandon does nothing", caught: "Lease/Abandon", plant: func(f *faulty) {
		f.abandon = func(ctx context.Context, key, token string) error {
			return store.CheckLease(ctx, "abandon", key, token, 1)
		}
	}},
	{what: "Abandon removes the entry", caught: "Lease/Abandon", plant: func(f *faulty) {
		f.abandon = func(ctx context.Context, key, token string) error {
			if l, ok := f.leasesOf([]string{key})[key]; ok && l.token == token {
				return f.ref.Delete(ctx, key)
			}
			return f.ref.Abandon(ctx, key, token)
		}
	}},
	{what: "a lease is read as an empty value", caught: "Lease/Hidden", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			b, err := f.ref.Get(ctx, key)
			if l, ok := f.leasesOf([]string{key})[key]; err == store.ErrNotFound && ok && !l.held {
				return []byte{}, nil
			}
			return b, err
		}
	}},
	{what: "a Hold is found by GetMany", caught: "Lease/Hidden", plant: func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			found, err := f.ref.GetMany(ctx, keys)
			for key := range f.leasesOf(keys) {
				if found != nil && found[key] == nil {
					found[key] = []byte{}
				}
			}
			return found, err
		}
	}},
	{what: "TTL answers for a lease", caught: "Lease/Hidden", plant: func(f *faulty) {
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			left, err := f.ref.TTL(ctx, key)
			if l, ok := f.leasesOf([]string{key})[key]; err == store.ErrNotFound && ok {
				return time.Until(l.ends), nil
			}
			return left, err
		}
	}},
	{what: "the mark of a lease can be compared with", caught: "Lease/Hidden", plant: func(f *faulty) {
		f.remove = func(ctx context.Context, key string, old []byte) (bool, error) {
			_, leased := f.leasesOf([]string{key})[key]
			deleted, err := f.ref.CompareAndDelete(ctx, key, old)
			return deleted || err == nil && leased && bytes.Equal(old, nil), err
		}
	}},
	{what: "leases are listed", caught: "Lease/Hidden", plant: func(f *faulty) {
		f.keys = func(ctx context.Context, prefix string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for key := range f.leasesOf([]string{"leased"}) {
					if !yield("lease:"+key, nil) {
						return
					}
				}
				f.ref.Keys(ctx, prefix)(yield)
			}
		}
	}},
	{what: "Hold leaves the entry", caught: "Lease/Hold", plant: reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
		b, missed := f.ref.Get(ctx, key)
		err := f.ref.Hold(ctx, key, life)
		if held := f.leasesOf([]string{key}); err == nil && missed == nil {
			_ = f.ref.Set(ctx, key, b, store.Forever)
			f.put(key, held[key])
		}
		return err
	})},
	{what: "Hold is Delete", caught: "Lease/Hold", plant: reheld(func(f *faulty, ctx context.Context, key string, _ time.Duration) error {
		return f.ref.Delete(ctx, key)
	})},
	{what: "a Fill is not looked at during a Hold", caught: "Lease/Hold", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		if f.leasesOf([]string{key})[key].held {
			return true, f.ref.SetLive(ctx, key, l, ttl)
		}
		return f.ref.Fill(ctx, key, token, l, ttl)
	})},
	{what: "the lease is back after the Hold", caught: "Lease/HoldVoids", plant: func(f *faulty) {
		before := make(map[string]lease)
		reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
			if l, ok := f.leasesOf([]string{key})[key]; ok && !l.held {
				before[key] = l
			}
			return f.ref.Hold(ctx, key, life)
		})(f)
		filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
			if l, ok := before[key]; ok && len(f.leasesOf([]string{key})) == 0 {
				f.put(key, l)
			}
			return f.ref.Fill(ctx, key, token, l, ttl)
		})(f)
	}},
	{what: "a Hold lasts until a write", caught: "Lease/HoldEnds", plant: reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
		return f.ref.Hold(ctx, key, 1000*life)
	})},
	{what: "the first Hold says how long", caught: "Lease/HoldAgain", plant: reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
		before, ok := f.leasesOf([]string{key})[key]
		err := f.ref.Hold(ctx, key, life)
		if ok && before.held {
			f.put(key, before)
		}
		return err
	})},
	{what: "Abandon ends a Hold", caught: "Lease/HoldIsNoLease", plant: func(f *faulty) {
		f.abandon = func(ctx context.Context, key, token string) error {
			if f.leasesOf([]string{key})[key].held {
				f.forget(key)
			}
			return f.ref.Abandon(ctx, key, token)
		}
	}},
	{what: "a Hold is a lease with a token of its own", caught: "Lease/HoldIsNoLease", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		if token == "hold" && f.leasesOf([]string{key})[key].held {
			return true, f.ref.SetLive(ctx, key, l, ttl)
		}
		return f.ref.Fill(ctx, key, token, l, ttl)
	})},
	{what: "a lease with that token is a Hold", caught: "Lease/HoldIsNoLease", plant: asked(func(f *faulty, key, token string, _ time.Duration, found store.Lookup) store.Lookup {
		if found.Lease == store.LeaseTaken && f.owner(key, token) == "hold" {
			found.Lease = store.LeaseBlocked
		}
		return found
	})},
	{what: "Set does not end a Hold", caught: "Lease/HoldWrites", plant: keepLeases("Set")},
	{what: "Delete does not end a Hold", caught: "Lease/HoldWrites", plant: keepLeases("Delete")},
	{what: "Hold does not remove", caught: "Lease/Update", plant: reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
		f.put(key, lease{"", f.ref.now().Add(life), true})
		return nil
	})},
	{what: "a load that began before is stored", caught: "Lease/UpdateDuringLoad", plant: reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
		before := f.leasesOf([]string{key})
		err := f.ref.Hold(ctx, key, life)
		if l, ok := before[key]; ok {
			f.put(key, l)
		}
		return err
	})},
	{what: "a Hold outlasts the Delete that ends an Update", caught: "Lease/UpdateFails", plant: keepLeases("Delete")},
}
