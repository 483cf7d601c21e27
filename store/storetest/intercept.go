package storetest

import (
	"context"
	"iter"
	"time"

	"github.com/cairncache/cairn/store"
)

// Intercept returns s with every call led through around, which may call next,
// once or not at all, and returns the error of the call. A result comes with
// the error of next alone: if around returns another error there is none.
// around may be called concurrently.
func Intercept(s store.Store, around func(ctx context.Context, c Call, next func(context.Context) error) error) store.Store {
	return &interceptor{s, around}
}

type interceptor struct {
	s      store.Store
	around func(ctx context.Context, c Call, next func(context.Context) error) error
}

var (
	_ store.Wrapper               = (*interceptor)(nil)
	_ store.GetManyStore          = (*interceptor)(nil)
	_ store.SetManyStore          = (*interceptor)(nil)
	_ store.DeleteManyStore       = (*interceptor)(nil)
	_ store.GetWithTTLStore       = (*interceptor)(nil)
	_ store.GetManyWithTTLStore   = (*interceptor)(nil)
	_ store.AddStore              = (*interceptor)(nil)
	_ store.CompareAndSwapStore   = (*interceptor)(nil)
	_ store.CompareAndDeleteStore = (*interceptor)(nil)
	_ store.TouchStore            = (*interceptor)(nil)
	_ store.KeysStore             = (*interceptor)(nil)
	_ store.ClearStore            = (*interceptor)(nil)
	_ store.LiveAtStore           = (*interceptor)(nil)
	_ store.WatchStore            = (*interceptor)(nil)
	_ store.LeaseStore            = (*interceptor)(nil)
	_ store.PingStore             = (*interceptor)(nil)
)

// call leads one call through around and keeps its result if it is valid.
func call[T any](ctx context.Context, w *interceptor, c Call, do func(context.Context) (T, error)) (T, error) {
	var (
		result, none T
		failed       error
	)
	err := w.around(ctx, c, func(ctx context.Context) error {
		result, failed = do(ctx)
		return failed
	})
	if err != failed { // the very same error, not one like it
		return none, err
	}
	return result, err
}

// run is call for methods without a result.
func run(ctx context.Context, w *interceptor, c Call, do func(context.Context) error) error {
	return w.around(ctx, c, do)
}

func (w *interceptor) Unwrap() store.Store { return w.s }

func (w *interceptor) Close() error { return store.Close(w.s) }

func (w *interceptor) Get(ctx context.Context, key string) ([]byte, error) {
	return call(ctx, w, Call{"get", []string{key}}, func(ctx context.Context) ([]byte, error) {
		return w.s.Get(ctx, key)
	})
}

func (w *interceptor) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return run(ctx, w, Call{"set", []string{key}}, func(ctx context.Context) error {
		return w.s.Set(ctx, key, value, ttl)
	})
}

func (w *interceptor) Delete(ctx context.Context, key string) error {
	return run(ctx, w, Call{"delete", []string{key}}, func(ctx context.Context) error {
		return w.s.Delete(ctx, key)
	})
}

func (w *interceptor) TTL(ctx context.Context, key string) (time.Duration, error) {
	return call(ctx, w, Call{"ttl", []string{key}}, func(ctx context.Context) (time.Duration, error) {
		return w.s.TTL(ctx, key)
	})
}

func (w *interceptor) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	return call(ctx, w, Call{"getmany", keys}, func(ctx context.Context) (map[string][]byte, error) {
		return store.GetMany(ctx, w.s, keys)
	})
}

func (w *interceptor) SetMany(ctx context.Context, items []store.Item) error {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	return run(ctx, w, Call{"setmany", keys}, func(ctx context.Context) error {
		return store.SetMany(ctx, w.s, items)
	})
}

func (w *interceptor) DeleteMany(ctx context.Context, keys []string) error {
	return run(ctx, w, Call{"deletemany", keys}, func(ctx context.Context) error {
		return store.DeleteMany(ctx, w.s, keys)
	})
}

func (w *interceptor) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	var ttl time.Duration
	value, err := call(ctx, w, Call{"getwithttl", []string{key}}, func(ctx context.Context) (value []byte, err error) {
		value, ttl, err = store.GetWithTTL(ctx, w.s, key)
		return value, err
	})
	if err != nil {
		ttl = 0
	}
	return value, ttl, err
}

func (w *interceptor) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	return call(ctx, w, Call{"getmanywithttl", keys}, func(ctx context.Context) (map[string]store.Entry, error) {
		return store.GetManyWithTTL(ctx, w.s, keys)
	})
}

func (w *interceptor) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return call(ctx, w, Call{"add", []string{key}}, func(ctx context.Context) (bool, error) {
		return store.Add(ctx, w.s, key, value, ttl)
	})
}

func (w *interceptor) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	return call(ctx, w, Call{"compareandswap", []string{key}}, func(ctx context.Context) (bool, error) {
		return store.CompareAndSwap(ctx, w.s, key, old, new, ttl)
	})
}

func (w *interceptor) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	return call(ctx, w, Call{"compareanddelete", []string{key}}, func(ctx context.Context) (bool, error) {
		return store.CompareAndDelete(ctx, w.s, key, old)
	})
}

func (w *interceptor) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return run(ctx, w, Call{"touch", []string{key}}, func(ctx context.Context) error {
		return store.Touch(ctx, w.s, key, ttl)
	})
}

// Keys leads the whole iteration through around as one call; what the loop
// itself did to end it early is no error.
func (w *interceptor) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := run(ctx, w, Call{"keys", []string{prefix}}, func(ctx context.Context) error {
			for key, err := range store.Keys(ctx, w.s, prefix) {
				if err != nil {
					return err
				}
				if !yield(key, nil) {
					yield = nil
					return nil
				}
			}
			return nil
		})
		if err != nil && yield != nil {
			yield("", err)
		}
	}
}

func (w *interceptor) Clear(ctx context.Context) error {
	return run(ctx, w, Call{"clear", nil}, func(ctx context.Context) error {
		return store.Clear(ctx, w.s)
	})
}

func (w *interceptor) GetLive(ctx context.Context, key string) (*store.Live, error) {
	return call(ctx, w, Call{"getlive", []string{key}}, func(ctx context.Context) (*store.Live, error) {
		return store.GetLive(ctx, w.s, key)
	})
}

func (w *interceptor) GetLiveAt(ctx context.Context, key string, now time.Time) (*store.Live, error) {
	return call(ctx, w, Call{"getliveat", []string{key}}, func(ctx context.Context) (*store.Live, error) {
		return store.GetLiveAt(ctx, w.s, key, now)
	})
}

func (w *interceptor) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	return run(ctx, w, Call{"setlive", []string{key}}, func(ctx context.Context) error {
		return store.SetLive(ctx, w.s, key, l, ttl)
	})
}

func (w *interceptor) Ping(ctx context.Context) error {
	return run(ctx, w, Call{"ping", nil}, func(ctx context.Context) error {
		return store.Ping(ctx, w.s)
	})
}

// Watch leads the call alone through around, not what the Watcher is told. It
// ends with the context that next is given.
func (w *interceptor) Watch(ctx context.Context, watcher store.Watcher) error {
	return run(ctx, w, Call{"watch", nil}, func(ctx context.Context) error {
		return store.Watch(ctx, w.s, watcher)
	})
}

func (w *interceptor) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	return call(ctx, w, Call{"getorlease", []string{key}}, func(ctx context.Context) (store.Lookup, error) {
		return store.GetOrLease(ctx, w.s, key, token, life, despite)
	})
}

func (w *interceptor) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
	return call(ctx, w, Call{"fill", []string{key}}, func(ctx context.Context) (bool, error) {
		return store.Fill(ctx, w.s, key, token, l, ttl)
	})
}

func (w *interceptor) RenewLease(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	return call(ctx, w, Call{"renewlease", []string{key}}, func(ctx context.Context) (bool, error) {
		return store.RenewLease(ctx, w.s, key, token, life)
	})
}

func (w *interceptor) Abandon(ctx context.Context, key, token string) error {
	return run(ctx, w, Call{"abandon", []string{key}}, func(ctx context.Context) error {
		return store.Abandon(ctx, w.s, key, token)
	})
}

func (w *interceptor) Hold(ctx context.Context, key string, life time.Duration) error {
	return run(ctx, w, Call{"hold", []string{key}}, func(ctx context.Context) error {
		return store.Hold(ctx, w.s, key, life)
	})
}
