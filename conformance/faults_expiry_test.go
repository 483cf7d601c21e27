package conformance

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

const day = 24 * time.Hour

// finite applies f to what is a length of time.
func finite(f func(time.Duration) time.Duration) func(time.Duration) time.Duration {
	return func(ttl time.Duration) time.Duration {
		if ttl <= 0 || ttl == store.Forever {
			return ttl
		}
		return f(ttl)
	}
}

// keepTTL makes Set keep the expiry of an entry that is there.
func keepTTL(when func(old, ttl time.Duration) bool) func(f *faulty) {
	return func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if old, err := f.ref.TTL(ctx, key); err == nil && when(old, ttl) {
				ttl = old
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
	}
}

// remember makes TTL and GetWithTTL answer the ttl that Set was given.
func remember(f *faulty) map[string]time.Duration {
	given := make(map[string]time.Duration)
	f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		given[key] = ttl
		return f.ref.Set(ctx, key, value, ttl)
	}
	return given
}

// timers makes expiry the work of a timer for each key, which deletes whatever
// is there. stop says which methods stop it.
func timers(stopOnSet, stopOnDelete, stopOnClear bool) func(f *faulty) {
	return func(f *faulty) {
		var mu sync.Mutex
		running := make(map[string]*time.Timer)
		stop := func(key string) {
			mu.Lock()
			defer mu.Unlock()
			if t := running[key]; t != nil {
				t.Stop()
			}
		}
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if stopOnSet {
				stop(key)
			}
			if ttl > 0 && ttl < store.Forever {
				mu.Lock()
				running[key] = time.AfterFunc(ttl, func() { _ = f.ref.Delete(bg, key) })
				mu.Unlock()
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
		f.delete = func(ctx context.Context, key string) error {
			if stopOnDelete {
				stop(key)
			}
			mu.Lock()
			delete(running, key)
			mu.Unlock()
			return f.ref.Delete(ctx, key)
		}
		f.clear = func(ctx context.Context) error {
			if !stopOnClear {
				mu.Lock()
				clear(running)
				mu.Unlock()
			}
			return f.ref.Clear(ctx)
		}
	}
}

var expiryFaults = []fault{
	{what: "nothing expires", caught: "Expiry/LivesItsTTL", plant: func(f *faulty) {
		f.mapTTL(finite(func(time.Duration) time.Duration { return store.Forever }))
	}},
	{what: "entries go early", caught: "Expiry/LivesItsTTL", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration { return max(ttl-ttl/20, 1) }))
	}},
	{what: "an expired entry is read once more", caught: "Expiry/LivesItsTTL", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			f.ref.mu.Lock()
			e, ok := f.ref.entries[key]
			f.ref.mu.Unlock()
			value, err := f.ref.Get(ctx, key)
			if err == store.ErrNotFound && ok {
				return e.live.Bytes()
			}
			return value, err
		}
	}},
	{what: "an entry lives on at its expiry", caught: "Expiry/GoneAtItsEnd", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration { return ttl + 1 }))
	}},
	{what: "a ttl is rounded down", caught: "Expiry/RoundsUp", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration { return max(ttl.Truncate(time.Millisecond), 1) }))
	}},
	{what: "a ttl is rounded to the nearest", caught: "Expiry/RoundsUp", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration { return max(ttl.Round(time.Millisecond), 1) }))
	}},
	{what: "a ttl below a millisecond is the default", caught: "Expiry/Shortest", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration {
			if ttl < time.Millisecond {
				return store.DefaultTTL
			}
			return ttl
		}))
	}},
	{what: "a ttl below a millisecond is refused", caught: "Expiry/Shortest", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if ttl > 0 && ttl < time.Millisecond {
				return store.Errorf("set", key, store.ErrInvalid, "ttl %v is too short", ttl)
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "500 ms become for ever", caught: "Expiry/HalfASecond", plant: func(f *faulty) {
		f.mapTTL(finite(wholeSeconds))
	}},
	{what: "500 ms become an hour", caught: "Expiry/HalfASecond", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration {
			if ttl < time.Second {
				return time.Hour
			}
			return ttl
		}))
	}},
	{what: "ttls are whole seconds", caught: "Expiry/WholeSeconds", plant: func(f *faulty) {
		f.mapTTL(finite(wholeSeconds))
	}},
	{what: "ttls are rounded up to seconds that the step does not tell of", caught: "Expiry/WholeSeconds", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration { return (ttl + time.Second - 1).Truncate(time.Second) }))
	}},
	{what: "Set keeps the expiry", caught: "Expiry/SetReplacesTTL", plant: keepTTL(func(old, ttl time.Duration) bool { return true })},
	{what: "Set keeps the later expiry", caught: "Expiry/SetReplacesTTL", plant: keepTTL(func(old, ttl time.Duration) bool { return old > ttl })},
	{what: "the timer of a replaced entry runs on", caught: "Expiry/SetReplacesTTL", plant: timers(false, true, true)},
	{what: "Set with Forever keeps the expiry", caught: "Expiry/ForeverOverTTL", plant: keepTTL(func(old, ttl time.Duration) bool {
		return ttl == store.Forever
	})},
	{what: "Set leaves an entry without expiry so", caught: "Expiry/TTLOverForever", plant: keepTTL(func(old, ttl time.Duration) bool {
		return old == store.Forever
	})},
	{what: "the timer of a deleted entry runs on", caught: "Expiry/DeleteEndsTTL", plant: timers(true, false, true)},
	{what: "a new entry has the old one's expiry", caught: "Expiry/AfterExpiry", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			f.ref.mu.Lock()
			old, ok := f.ref.entries[key]
			f.ref.mu.Unlock()
			if err := f.ref.Set(ctx, key, value, ttl); err != nil || !ok || old.expires.IsZero() {
				return err
			}
			f.ref.mu.Lock()
			defer f.ref.mu.Unlock()
			f.ref.entries[key] = entry{copyOf(value), old.expires}
			return nil
		}
		f.get = func(ctx context.Context, key string) ([]byte, error) { // does not remove what has expired
			if _, err := f.peek(ctx, key); err != nil {
				return nil, err
			}
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "reading prolongs", caught: "Expiry/ReadsDoNotProlong", plant: func(f *faulty) {
		given := remember(f)
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			if ttl, ok := given[key]; ok {
				_ = f.ref.Touch(ctx, key, ttl)
			}
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "31 days are a date in 1970", caught: "Expiry/Month", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration {
			if ttl > 30*day {
				return 1
			}
			return ttl
		}))
	}},
	{what: "milliseconds overflow 32 bits", caught: "Expiry/Month", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration {
			return max(time.Duration(uint32(ttl.Milliseconds()))*time.Millisecond, 1)
		}))
	}},
	{what: "a century is cut to a year", caught: "Expiry/Month", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration { return min(ttl, 366*day) }))
	}},
	{what: "what has not been used for a month goes", caught: "Expiry/MonthPasses", plant: func(f *faulty) {
		written := time.Now()
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			if time.Since(written) > 30*day {
				return nil, store.ErrNotFound
			}
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "the end of a long ttl overflows", caught: "Expiry/Longest", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration {
			if time.Now().UnixNano() > math.MaxInt64-int64(ttl) {
				return 1
			}
			return ttl
		}))
	}},
	{what: "a long ttl is for ever", caught: "Expiry/Longest", plant: func(f *faulty) {
		f.mapTTL(finite(func(ttl time.Duration) time.Duration {
			if ttl > 200*366*day {
				return store.Forever
			}
			return ttl
		}))
	}},
	{what: "for ever is a year", caught: "Expiry/Forever", plant: func(f *faulty) {
		f.mapTTL(func(ttl time.Duration) time.Duration { return min(ttl, 366*day) })
	}},
	{what: "DefaultTTL keeps the expiry", caught: "Expiry/Default", plant: keepTTL(func(old, ttl time.Duration) bool {
		return ttl == store.DefaultTTL
	})},
	{what: "DefaultTTL is not what was configured", caught: "Expiry/Default", opts: func(o *Options) {
		o.DefaultTTL = time.Hour
	}},
	{what: "a negative ttl is for ever", caught: "Expiry/Negative", plant: func(f *faulty) {
		f.mapTTL(negative(store.Forever))
	}},
	{what: "Add takes UnknownTTL for no ttl", caught: "Expiry/Negative", plant: func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			return f.ref.Add(ctx, key, value, negative(store.DefaultTTL)(ttl))
		}
	}},
	{what: "a negative ttl deletes", caught: "Expiry/Negative", plant: func(f *faulty) {
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			if ttl < 0 {
				_ = f.ref.Delete(ctx, key)
			}
			return f.ref.Touch(ctx, key, ttl)
		}
	}},
	{what: "TTL is the ttl that was given", caught: "TTL/CountsDown", plant: func(f *faulty) {
		given := remember(f)
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			left, err := f.ref.TTL(ctx, key)
			if given[key] > 0 && err == nil {
				left = given[key]
			}
			return left, err
		}
	}},
	{what: "TTL is in whole seconds", caught: "TTL/Exact", plant: func(f *faulty) {
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			left, err := f.ref.TTL(ctx, key)
			return finite(func(left time.Duration) time.Duration { return (left + time.Second - 1).Truncate(time.Second) })(left), err
		}
	}},
	{what: "TTL is cut to whole milliseconds", caught: "TTL/NeverZero", plant: func(f *faulty) {
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			left, err := f.ref.TTL(ctx, key)
			return finite(func(left time.Duration) time.Duration { return left.Truncate(time.Millisecond) })(left), err
		}
	}},
}

// wholeSeconds is what many a store makes of a ttl; 0 is the default then.
func wholeSeconds(ttl time.Duration) time.Duration { return ttl.Truncate(time.Second) }

func negative(instead time.Duration) func(time.Duration) time.Duration {
	return func(ttl time.Duration) time.Duration {
		if ttl < 0 {
			return instead
		}
		return ttl
	}
}

// peek looks at an entry and leaves it where it is, also if it has expired.
func (f *faulty) peek(ctx context.Context, key string) (entry, error) {
	if err := f.ref.begin(ctx, "get", key); err != nil {
		return entry{}, err
	}
	defer f.ref.mu.Unlock()
	e, ok := f.ref.entries[key]
	if !ok || (!e.expires.IsZero() && !f.ref.now().Before(e.expires)) {
		return entry{}, store.ErrNotFound
	}
	return e, nil
}
