package conformance

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// tried changes what TryLock answers to good arguments.
func tried(change func(f *faulty, key, token string, ttl time.Duration, r store.LockResult) store.LockResult) func(f *faulty) {
	return func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			r, err := f.ref.TryLock(ctx, key, token, ttl)
			if err == nil {
				r = change(f, key, token, ttl, r)
			}
			return r, err
		}
	}
}

// asHolder is the token of who holds the lock, or the one that was given.
func (f *faulty) asHolder(key, token string) string {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	if l, ok := f.ref.locks.of[key]; ok && token != "" {
		return l.token
	}
	return token
}

// changeLock changes the lock of a key, if it is held.
func (f *faulty) changeLock(key string, change func(l *heldLock)) {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	if l, ok := f.ref.locks.of[key]; ok {
		change(&l)
		f.ref.locks.of[key] = l
	}
}

func (f *faulty) dropLocks(keys ...string) {
	f.ref.mu.Lock()
	defer f.ref.mu.Unlock()
	for _, key := range keys {
		delete(f.ref.locks.of, key)
	}
}

// endLocks makes calls of a method end the locks of their keys.
func endLocks(name string) func(f *faulty) {
	return func(f *faulty) {
		f.around(name, func(call func(), keys ...string) {
			call()
			f.dropLocks(keys...)
		})
	}
}

// storing makes each lock that is taken an entry as well, at the key that name
// makes of its own.
func storing(name func(key string) string) func(f *faulty) {
	return tried(func(f *faulty, key, token string, _ time.Duration, r store.LockResult) store.LockResult {
		if r.Acquired {
			f.ref.mu.Lock()
			defer f.ref.mu.Unlock()
			f.ref.entries[name(key)] = entry{copyOf([]byte(token)), time.Time{}}
		}
		return r
	})
}

var lockFaults = []fault{
	{what: "a refused TryLock writes", caught: "Lock/Unsupported", plant: func(f *faulty) {
		f.lock.decline("Lock")
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			if store.CheckLease(ctx, "trylock", key, token, ttl) == nil {
				_ = f.ref.Set(ctx, key, []byte("harm"), ttl)
			}
			return store.LockResult{}, errors.ErrUnsupported
		}
	}},
	{what: "a TryLock that declines acquires", caught: "Lock/Unsupported", plant: func(f *faulty) {
		f.lock.decline("Lock")
		f.lock.try = func(context.Context, string, string, time.Duration) (store.LockResult, error) {
			return store.LockResult{Acquired: true}, errors.ErrUnsupported
		}
	}},
	{what: "everybody gets the lock", caught: "Lock/OneHolds", plant: tried(func(_ *faulty, _, _ string, _ time.Duration, r store.LockResult) store.LockResult {
		return store.LockResult{Acquired: true, Fence: r.Fence + 1}
	})},
	{what: "there is no fence", caught: "Lock/OneHolds", plant: tried(func(_ *faulty, _, _ string, _ time.Duration, r store.LockResult) store.LockResult {
		r.Fence = 0
		return r
	})},
	{what: "who is refused gets the holder's fence", caught: "Lock/OneHolds", plant: tried(func(f *faulty, key, _ string, _ time.Duration, r store.LockResult) store.LockResult {
		f.changeLock(key, func(l *heldLock) { r.Fence = l.fence })
		return r
	})},
	{what: "the store has one lock", caught: "Lock/OneHolds", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			return f.ref.TryLock(ctx, key[:min(len(key), 0)]+"k", token, ttl)
		}
	}},
	{what: "each process has locks of its own", caught: "Lock/OneHolds", second: func(f *faulty) { f.ref.locks = newLockTable() }},
	{what: "TryLock looks and takes in two steps", caught: "Lock/Exclusion", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			f.ref.mu.Lock()
			_, held := f.ref.lock(key)
			f.ref.mu.Unlock()
			if held {
				return f.ref.TryLock(ctx, key, token, ttl)
			}
			for range 5 {
				runtime.Gosched()
			}
			f.dropLocks(key)
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "Unlock is repeated, and frees the next one's lock", caught: "Lock/Exclusion", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			unlocked, err := f.ref.Unlock(ctx, key, token)
			time.Sleep(3 * time.Millisecond)
			f.dropLocks(key)
			return unlocked, err
		}
	}},
	{what: "Unlock does not look at the token", caught: "Lock/Strangers", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			return f.ref.Unlock(ctx, key, f.asHolder(key, token))
		}
	}},
	{what: "ExtendLock does not look at the token", caught: "Lock/Strangers", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			return f.ref.ExtendLock(ctx, key, f.asHolder(key, token), ttl)
		}
	}},
	{what: "a refused TryLock prolongs the lock", caught: "Lock/Strangers", plant: tried(func(f *faulty, key, _ string, ttl time.Duration, r store.LockResult) store.LockResult {
		if !r.Acquired {
			f.changeLock(key, func(l *heldLock) { l.ends = l.ends.Add(ttl) })
		}
		return r
	})},
	{what: "tokens are compared without case", caught: "Lock/Strangers", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			return f.ref.Unlock(ctx, key, strings.ToLower(token))
		}
	}},
	{what: "a token that ends like the holder's is enough", caught: "Lock/Strangers", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			if holder := f.asHolder(key, token); strings.HasSuffix(holder, token) && token != "" {
				token = holder
			}
			return f.ref.Unlock(ctx, key, token)
		}
	}},
	{what: "Unlock always says that it has freed the lock", caught: "Lock/Unlock", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			_, err := f.ref.Unlock(ctx, key, token)
			return err == nil, err
		}
	}},
	{what: "Unlock frees nothing", caught: "Lock/Unlock", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			return f.ref.ExtendLock(ctx, key, token, time.Hour)
		}
	}},
	{what: "a lock lasts twice as long", caught: "Lock/Expiry", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			return f.ref.TryLock(ctx, key, token, 2*ttl)
		}
	}},
	{what: "a lock lasts half as long", caught: "Lock/Expiry", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			return f.ref.TryLock(ctx, key, token, (ttl+1)/2)
		}
	}},
	{what: "what has expired is extended", caught: "Lock/Lost", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			extended, err := f.ref.ExtendLock(ctx, key, token, ttl)
			if err == nil && !extended && f.asHolder(key, token) == token {
				r, err := f.ref.TryLock(ctx, key, token, ttl)
				return r.Acquired, err
			}
			return extended, err
		}
	}},
	{what: "what has expired is freed", caught: "Lock/Lost", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			f.changeLock(key, func(l *heldLock) { l.ends = l.ends.Add(24 * time.Hour) })
			return f.ref.Unlock(ctx, key, token)
		}
	}},
	{what: "ExtendLock does nothing", caught: "Lock/Extend", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			if err := store.CheckLease(ctx, "extendlock", key, token, ttl); err != nil {
				return false, err
			}
			return f.asHolder(key, token) == token, nil
		}
	}},
	{what: "ExtendLock adds to the ttl", caught: "Lock/Extend", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			f.changeLock(key, func(l *heldLock) {
				if ttl > 0 {
					ttl += l.ends.Sub(f.ref.now())
				}
			})
			return f.ref.ExtendLock(ctx, key, token, ttl)
		}
	}},
	{what: "ExtendLock never shortens", caught: "Lock/Extend", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			f.changeLock(key, func(l *heldLock) {
				if ttl > 0 {
					ttl = max(ttl, l.ends.Sub(f.ref.now()))
				}
			})
			return f.ref.ExtendLock(ctx, key, token, ttl)
		}
	}},
	{what: "the holder's own lock is a stranger's", caught: "Lock/Again", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			f.ref.mu.Lock()
			l, held := f.ref.lock(key)
			f.ref.mu.Unlock()
			if held && l.token == token {
				token = "another"
			}
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "asking again takes a new fence", caught: "Lock/Again", plant: tried(func(f *faulty, key, _ string, _ time.Duration, r store.LockResult) store.LockResult {
		if r.Acquired {
			f.changeLock(key, func(l *heldLock) { l.fence++; r.Fence = l.fence })
		}
		return r
	})},
	{what: "asking again leaves the ttl as it was", caught: "Lock/Again", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			f.ref.mu.Lock()
			l, held := f.ref.lock(key)
			f.ref.mu.Unlock()
			if held && l.token == token && ttl > 0 {
				return store.LockResult{Acquired: true, Fence: l.fence}, nil
			}
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "all fences are one", caught: "Lock/Fences", plant: tried(func(_ *faulty, _, _ string, _ time.Duration, r store.LockResult) store.LockResult {
		r.Fence = min(r.Fence, 1)
		return r
	})},
	{what: "each process counts fences for itself", caught: "Lock/Fences", plant: func(f *faulty) {
		fence := uint64(0)
		tried(func(_ *faulty, _, _ string, _ time.Duration, r store.LockResult) store.LockResult {
			if r.Acquired {
				fence++
				r.Fence = fence
			}
			return r
		})(f)
	}},
	{what: "the fence is forgotten with an expired lock", caught: "Lock/Fences", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			f.ref.mu.Lock()
			_, there := f.ref.locks.of[key]
			if _, held := f.ref.lock(key); there && !held {
				f.ref.locks.fence = 0
			}
			f.ref.mu.Unlock()
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "Remaining is too short", caught: "Lock/Remaining", plant: tried(func(_ *faulty, _, _ string, _ time.Duration, r store.LockResult) store.LockResult {
		r.Remaining = (r.Remaining + 1) / 2
		return r
	})},
	{what: "Remaining is what the next one asks for", caught: "Lock/Remaining", plant: tried(func(_ *faulty, _, _ string, ttl time.Duration, r store.LockResult) store.LockResult {
		if !r.Acquired {
			r.Remaining = ttl
		}
		return r
	})},
	{what: "long keys share a lock", caught: "Lock/OddKeys", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			if len(key) > 250 && len(key) <= store.MaxKeyLen {
				key = key[:250]
			}
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "the long key is not checked", caught: "Lock/OddKeys", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			if len(key) > 250 && len(key) <= store.MaxKeyLen {
				return false, nil
			}
			return f.ref.Unlock(ctx, key, token)
		}
	}},
	{what: "a long token is cut", caught: "Lock/BadArguments", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			return f.ref.Unlock(ctx, key, token[:min(len(token), 64)])
		}
	}},
	{what: "a ttl of 0 is a default", caught: "Lock/BadArguments", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			if ttl == 0 {
				ttl = time.Minute
			}
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "a negative ttl ends the lock", caught: "Lock/BadArguments", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			if ttl < 0 {
				return f.ref.Unlock(ctx, key, token)
			}
			return f.ref.ExtendLock(ctx, key, token, ttl)
		}
	}},
	{what: "a token is text", caught: "Lock/BadArguments", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			if strings.ContainsAny(token, "\x00\r\n") {
				return store.LockResult{}, store.Errorf("trylock", key, store.ErrInvalid, "the token is no text")
			}
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "TryLock takes the lock and then finds that the context has ended", caught: "Lock/DoneContext", plant: func(f *faulty) {
		f.lock.try = func(ctx context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
			if ctx != nil && ctx.Err() != nil {
				_, _ = f.ref.TryLock(context.WithoutCancel(ctx), key, token, ttl)
			}
			return f.ref.TryLock(ctx, key, token, ttl)
		}
	}},
	{what: "Unlock frees and then finds that the context has ended", caught: "Lock/DoneContext", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			if ctx != nil && ctx.Err() != nil {
				_, _ = f.ref.Unlock(context.WithoutCancel(ctx), key, token)
			}
			return f.ref.Unlock(ctx, key, token)
		}
	}},
	{what: "ExtendLock prolongs though the context has ended", caught: "Lock/DoneContext", plant: func(f *faulty) {
		f.lock.extend = func(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
			if ctx != nil && ctx.Err() != nil {
				_, _ = f.ref.ExtendLock(context.WithoutCancel(ctx), key, token, ttl)
			}
			return f.ref.ExtendLock(ctx, key, token, ttl)
		}
	}},
	{what: "the lock is the entry of its key", caught: "Lock/NoEntries", plant: storing(func(key string) string { return key })},
	{what: "locks are entries beside the others", caught: "Lock/NoEntries", plant: storing(func(key string) string { return "lock:" + key })},
	{what: "Set ends the lock", caught: "Lock/EntriesDoNot", plant: endLocks("Set")},
	{what: "Delete ends the lock", caught: "Lock/EntriesDoNot", plant: endLocks("Delete")},
	{what: "SetMany ends the lock", caught: "Lock/EntriesDoNot", plant: endLocks("SetMany")},
	{what: "DeleteMany ends the lock", caught: "Lock/EntriesDoNot", plant: endLocks("DeleteMany")},
	{what: "the lock ends with the entry", caught: "Lock/EntriesDoNot", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			value, err := f.ref.Get(ctx, key)
			if err == store.ErrNotFound {
				f.dropLocks(key)
			}
			return value, err
		}
	}},
	{what: "Clear ends locks", caught: "Lock/ClearDoesNot", plant: endLocks("Clear")},
	{what: "Unlock removes the entry", caught: "Lock/LocksDoNot", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			unlocked, err := f.ref.Unlock(ctx, key, token)
			if unlocked {
				_ = f.ref.Delete(ctx, key)
			}
			return unlocked, err
		}
	}},
	{what: "TryLock gives the entry the ttl of the lock", caught: "Lock/LocksDoNot", plant: tried(func(f *faulty, key, _ string, ttl time.Duration, r store.LockResult) store.LockResult {
		_ = f.ref.Touch(context.Background(), key, ttl)
		return r
	})},
	{what: "a lock and a lease are one", caught: "Lock/LocksDoNot", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			unlocked, err := f.ref.Unlock(ctx, key, token)
			if unlocked {
				f.forget(key)
			}
			return unlocked, err
		}
	}},
}
