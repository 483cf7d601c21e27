package conformance

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// asked changes what GetOrLease answers.
func asked(change func(f *faulty, key, token string, life time.Duration, found store.Lookup) store.Lookup) func(f *faulty) {
	return func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			found, err := f.ref.GetOrLease(ctx, key, token, life, despite)
			if err == nil {
				found = change(f, key, token, life, found)
			}
			return found, err
		}
	}
}

// filling replaces Fill by one that is called with good arguments alone.
func filling(fill func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error)) func(f *faulty) {
	return func(f *faulty) {
		f.fill = func(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
			if store.CheckLease(ctx, "fill", key, token, 1) != nil || l == nil || ttl < 0 {
				return f.ref.Fill(ctx, key, token, l, ttl)
			}
			return fill(f, ctx, key, token, l, ttl)
		}
	}
}

// owner is the token of the lease, or the one that was given.
func (f *faulty) owner(key, token string) string {
	if l, ok := f.leasesOf([]string{key})[key]; ok {
		return l.token
	}
	return token
}

var leaseFaults = []fault{
	{what: "Hold writes and declines", caught: "Lease/Unsupported", plant: halfDone("Lease")},
	{what: "an entry comes without its ttl", caught: "Lease/Found", plant: asked(func(_ *faulty, _, _ string, _ time.Duration, found store.Lookup) store.Lookup {
		found.TTL = 0
		return found
	})},
	{what: "a hit takes the lease too", caught: "Lease/Found", plant: asked(func(f *faulty, key, token string, life time.Duration, found store.Lookup) store.Lookup {
		f.ref.mu.Lock()
		defer f.ref.mu.Unlock()
		f.ref.leases[key] = lease{token, f.ref.now().Add(life), false}
		return found
	})},
	{what: "everybody gets the lease", caught: "Lease/OneLoads", plant: asked(func(_ *faulty, _, _ string, _ time.Duration, found store.Lookup) store.Lookup {
		if found.Lease == store.LeaseTaken {
			found.Lease = store.LeaseGranted
		}
		return found
	})},
	{what: "a lease lasts as long as the next one asks for", caught: "Lease/OneLoads", plant: asked(func(_ *faulty, _, _ string, life time.Duration, found store.Lookup) store.Lookup {
		if found.Live == nil {
			found.TTL = life
		}
		return found
	})},
	{what: "the store has one lease", caught: "Lease/OneLoads", plant: asked(func(f *faulty, key, _ string, _ time.Duration, found store.Lookup) store.Lookup {
		if found.Lease == store.LeaseGranted && key == "other" {
			found.Lease = store.LeaseTaken
		}
		return found
	})},
	{what: "Fill keeps the lease", caught: "Lease/Fill", plant: keepLeases("Fill")},
	{what: "Fill reports that it has stored and does not", caught: "Lease/Fill", plant: filling(func(f *faulty, ctx context.Context, key, token string, _ *store.Live, _ time.Duration) (bool, error) {
		renewed, err := f.ref.RenewLease(ctx, key, token, 1)
		return renewed, err
	})},
	{what: "a refused Fill stores", caught: "Lease/Fill", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		filled, err := f.ref.Fill(ctx, key, token, l, ttl)
		if !filled {
			_ = f.ref.SetLive(ctx, key, l, ttl)
		}
		return filled, err
	})},
	{what: "Fill forgets the ttl", caught: "Lease/FillTTL", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, _ time.Duration) (bool, error) {
		return f.ref.Fill(ctx, key, token, l, store.Forever)
	})},
	{what: "Fill makes bytes of the value", caught: "Lease/FillLive", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		b, _ := l.Bytes()
		return f.ref.Fill(ctx, key, token, store.LiveBytes(b), ttl)
	})},
	{what: "Fill does not look at the token", caught: "Lease/Strangers", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		return f.ref.Fill(ctx, key, f.owner(key, token), l, ttl)
	})},
	{what: "Fill looks at the token alone", caught: "Lease/Strangers", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		if f.owner("k", "") == token {
			return true, f.ref.SetLive(ctx, key, l, ttl)
		}
		return f.ref.Fill(ctx, key, token, l, ttl)
	})},
	{what: "RenewLease does not look at the token", caught: "Lease/Strangers", plant: func(f *faulty) {
		f.renew = func(ctx context.Context, key, token string, life time.Duration) (bool, error) {
			return f.ref.RenewLease(ctx, key, f.owner(key, token), life)
		}
	}},
	{what: "Abandon does not look at the token", caught: "Lease/Strangers", plant: func(f *faulty) {
		f.abandon = func(ctx context.Context, key, token string) error {
			return f.ref.Abandon(ctx, key, f.owner(key, token))
		}
	}},
	{what: "tokens are compared without case", caught: "Lease/Strangers", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		return f.ref.Fill(ctx, key, strings.ToLower(token), l, ttl)
	})},
	{what: "Set leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("Set")},
	{what: "Delete leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("Delete")},
	{what: "Delete of what is not there leaves the lease", caught: "Lease/WritesVoid", plant: func(f *faulty) {
		f.delete = func(ctx context.Context, key string) error {
			if _, err := f.ref.Get(ctx, key); err == store.ErrNotFound {
				return nil
			}
			return f.ref.Delete(ctx, key)
		}
	}},
	{what: "SetMany leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("SetMany")},
	{what: "DeleteMany leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("DeleteMany")},
	{what: "Add leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("Add")},
	{what: "CompareAndSwap leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("CompareAndSwap")},
	{what: "CompareAndDelete leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("CompareAndDelete")},
	{what: "SetLive leaves the lease", caught: "Lease/WritesVoid", plant: keepLeases("SetLive")},
	{what: "a Set by another process leaves the lease", caught: "Lease/OthersVoid", second: keepLeases("Set")},
	{what: "a Delete by another process leaves the lease", caught: "Lease/OthersVoid", second: keepLeases("Delete")},
	{what: "Clear leaves the leases", caught: "Lease/ClearVoids", plant: keepLeases("Clear")},
	{what: "Touch ends the lease", caught: "Lease/OthersDoNot", plant: endLeases("Touch")},
	{what: "an Add that does nothing ends the lease", caught: "Lease/OthersDoNot", plant: endLeases("Add")},
	{what: "a CompareAndSwap that does nothing ends the lease", caught: "Lease/OthersDoNot", plant: endLeases("CompareAndSwap")},
	{what: "a CompareAndDelete that does nothing ends the lease", caught: "Lease/OthersDoNot", plant: endLeases("CompareAndDelete")},
	{what: "a lease despite an entry ends when that expires", caught: "Lease/OthersDoNot", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		if _, err := f.ref.Get(ctx, key); err != nil && key == "expires" {
			f.forget(key)
		}
		return f.ref.Fill(ctx, key, token, l, ttl)
	})},
	{what: "an entry is found despite", caught: "Lease/Despite", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, _ *store.Live) (store.Lookup, error) {
			return f.ref.GetOrLease(ctx, key, token, life, nil)
		}
	}},
	{what: "any entry counts as none", caught: "Lease/Despite", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			if b, err := f.ref.Get(ctx, key); err == nil && despite != nil {
				despite = store.LiveBytes(b)
			}
			return f.ref.GetOrLease(ctx, key, token, life, despite)
		}
	}},
	{what: "an entry that is too old is removed", caught: "Lease/Despite", plant: asked(func(f *faulty, key, _ string, _ time.Duration, found store.Lookup) store.Lookup {
		if found.Lease == store.LeaseGranted {
			f.ref.mu.Lock()
			defer f.ref.mu.Unlock()
			delete(f.ref.entries, key)
		}
		return found
	})},
	{what: "the same bytes are the same entry", caught: "Lease/DespiteReplaced", plant: func(f *faulty) {
		keep := func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			before := f.leasesOf([]string{key})
			err := f.ref.Set(ctx, key, value, ttl)
			if l, ok := before[key]; ok && string(value) == "old" {
				f.ref.mu.Lock()
				defer f.ref.mu.Unlock()
				f.ref.leases[key] = l
			}
			return err
		}
		f.set = keep
	}},
	{what: "GetOrLease looks and takes in two steps", caught: "Lease/Exclusion", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			if _, ok := f.leasesOf([]string{key})[key]; ok {
				return f.ref.GetOrLease(ctx, key, token, life, despite)
			}
			for range 5 {
				runtime.Gosched()
			}
			f.forget(key)
			return f.ref.GetOrLease(ctx, key, token, life, despite)
		}
	}},
	{what: "a lease despite an entry looks and takes in two steps", caught: "Lease/Exclusion", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			if _, ok := f.leasesOf([]string{key})[key]; ok || despite == nil {
				return f.ref.GetOrLease(ctx, key, token, life, despite)
			}
			for range 5 {
				runtime.Gosched()
			}
			f.forget(key)
			return f.ref.GetOrLease(ctx, key, token, life, despite)
		}
	}},
	{what: "each process has leases of its own", caught: "Lease/Exclusion", second: func(f *faulty) {
		f.ref.leases = make(map[string]lease)
	}},
	{what: "Fill looks and stores in two steps", caught: "Lease/LoadOrWrite", plant: filling(func(f *faulty, ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		if ok, err := f.ref.RenewLease(ctx, key, token, time.Second); !ok {
			return false, err
		}
		for range 3 {
			runtime.Gosched()
		}
		return true, f.ref.SetLive(ctx, key, l, ttl)
	})},
	{what: "Set writes and ends the lease in two steps", caught: "Lease/LoadOrWrite", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			before := f.leasesOf([]string{key})
			err := f.ref.Set(ctx, key, value, ttl)
			if l, ok := before[key]; ok {
				f.put(key, l)
				for range 5 {
					runtime.Gosched()
				}
				f.forget(key)
			}
			return err
		}
	}},
	{what: "Hold removes and marks in two steps", caught: "Lease/LoadOrWrite", plant: reheld(func(f *faulty, ctx context.Context, key string, life time.Duration) error {
		before := f.leasesOf([]string{key})
		_ = f.ref.Delete(ctx, key)
		if l, ok := before[key]; ok {
			f.put(key, l)
			for range 5 {
				runtime.Gosched()
			}
		}
		f.put(key, lease{"", f.ref.now().Add(life), true})
		return nil
	})},
	{what: "GetOrLease takes the place of a Hold that comes meanwhile", caught: "Lease/LoadOrWrite", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			if f.leasesOf([]string{key})[key].held {
				return f.ref.GetOrLease(ctx, key, token, life, despite)
			}
			for range 5 {
				runtime.Gosched()
			}
			if f.leasesOf([]string{key})[key].held {
				f.forget(key)
			}
			return f.ref.GetOrLease(ctx, key, token, life, despite)
		}
	}},
	{what: "another process writes in two steps", caught: "Lease/LoadOrWrite", second: func(f *faulty) {
		f.delete = func(ctx context.Context, key string) error {
			before := f.leasesOf([]string{key})
			err := f.ref.Delete(ctx, key)
			if l, ok := before[key]; ok {
				f.put(key, l)
				for range 5 {
					runtime.Gosched()
				}
				f.forget(key)
			}
			return err
		}
	}},
	{what: "long keys share a lease", caught: "Lease/OddKeys", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			if len(key) > 250 && len(key) <= store.MaxKeyLen {
				if found, err := f.ref.GetOrLease(ctx, key[:250], token, life, nil); err != nil || found.Lease == store.LeaseTaken {
					return found, err
				}
			}
			return f.ref.GetOrLease(ctx, key, token, life, despite)
		}
	}},
	{what: "a long token is cut", caught: "Lease/BadArguments", plant: func(f *faulty) {
		f.abandon = func(ctx context.Context, key, token string) error {
			return f.ref.Abandon(ctx, key, token[:min(len(token), 64)])
		}
	}},
	{what: "a life of 0 is a default", caught: "Lease/BadArguments", plant: func(f *faulty) {
		f.hold = func(ctx context.Context, key string, life time.Duration) error {
			if life == 0 {
				life = time.Second
			}
			return f.ref.Hold(ctx, key, life)
		}
	}},
	{what: "a Fill with a nil Live is an Abandon", caught: "Lease/BadArguments", plant: func(f *faulty) {
		f.fill = func(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
			if l == nil {
				return false, f.ref.Abandon(ctx, key, token)
			}
			return f.ref.Fill(ctx, key, token, l, ttl)
		}
	}},
	{what: "a token is text", caught: "Lease/BadArguments", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			if strings.ContainsAny(token, "\x00\r\n") {
				return store.Lookup{}, store.Errorf("getorlease", key, store.ErrInvalid, "the token is no text")
			}
			return f.ref.GetOrLease(ctx, key, token, life, despite)
		}
	}},
}
