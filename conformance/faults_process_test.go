package conformance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// processFaults are those that show when calls end early, fail, overlap, or
// come from several handles.
var processFaults = []fault{
	{what: "a nil context panics", caught: "Context/Nil", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "a nil context is none", caught: "Context/Nil", plant: func(f *faulty) {
		f.deleteMany = func(ctx context.Context, keys []string) error {
			if ctx == nil {
				ctx = bg
			}
			return f.ref.DeleteMany(ctx, keys)
		}
	}},
	{what: "Set does its work after a cancellation", caught: "Context/Cancelled", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if ctx != nil {
				_ = f.ref.Set(context.WithoutCancel(ctx), key, value, ttl)
			}
			return f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "the context's error is bare", caught: "Context/Cancelled", plant: func(f *faulty) {
		f.mapErrors(func(err error) error {
			if errors.Is(err, context.Canceled) {
				return context.Canceled
			}
			return err
		})
	}},
	{what: "Add ignores the context", caught: "Context/Cancelled", plant: func(f *faulty) {
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			if ctx != nil {
				ctx = context.WithoutCancel(ctx)
			}
			return f.ref.Add(ctx, key, value, ttl)
		}
	}},
	{what: "a passed deadline is a cancellation", caught: "Context/DeadlinePassed", plant: func(f *faulty) {
		f.mapErrors(func(err error) error {
			if errors.Is(err, context.DeadlineExceeded) {
				return &store.Error{Op: "get", Key: "k", Err: context.Canceled}
			}
			return err
		})
	}},
	{what: "an entry dies with the context that it was set with", caught: "Context/NotKept", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			err := f.ref.Set(ctx, key, value, ttl)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = f.ref.Delete(bg, key) })
			}
			return err
		}
	}},
	{what: "a far deadline overflows", caught: "Context/AnyDeadline", plant: func(f *faulty) {
		f.getLive = func(ctx context.Context, key string) (*store.Live, error) {
			if ctx != nil {
				if end, ok := ctx.Deadline(); ok && int32(time.Until(end).Milliseconds()) < 0 {
					return nil, store.Errorf("getlive", key, store.ErrUnavailable, "i/o timeout")
				}
			}
			return f.ref.GetLive(ctx, key)
		}
	}},
	{what: "a context without an end is refused", caught: "Context/AnyDeadline", plant: func(f *faulty) {
		f.ping = func(ctx context.Context) error {
			if ctx != nil && ctx.Done() == nil {
				return store.Errorf("ping", "", store.ErrInvalid, "the context has no end")
			}
			return f.ref.Ping(ctx)
		}
	}},
	{what: "a cancellation is not seen before the client's time-out", caught: "Context/CancelWhileWaiting", plant: waitItself},
	{what: "a deadline is not seen before the client's time-out", caught: "Context/DeadlineWhileWaiting", plant: waitItself},
	{what: "a call waits as long as the backend is silent", caught: "Context/DeadlineWhileWaiting", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			if ctx == nil {
				ctx = bg
			}
			return f.ref.Get(context.WithoutCancel(ctx), key)
		}
	}},
	{what: "a broken backend is a miss", caught: "Failure/Unavailable", plant: failAsMiss(store.ErrUnavailable)},
	{what: "a broken backend is a miss in batches", caught: "Failure/Unavailable", plant: func(f *faulty) {
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			values, err := f.ref.GetMany(ctx, keys)
			if errors.Is(err, store.ErrUnavailable) {
				return map[string][]byte{}, nil
			}
			return values, err
		}
	}},
	{what: "a failed write is reported as done", caught: "Failure/Unavailable", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if err := f.ref.Set(ctx, key, value, ttl); !errors.Is(err, store.ErrUnavailable) {
				return err
			}
			return nil
		}
	}},
	{what: "the client's error is passed on as it is", caught: "Failure/Unavailable", plant: func(f *faulty) {
		f.mapErrors(func(err error) error {
			if errors.Is(err, store.ErrUnavailable) {
				return errors.New("dial tcp: connection refused")
			}
			return err
		})
	}},
	{what: "an outage is for ever", caught: "Failure/Recovers", plant: func(f *faulty) { f.backend.neverHas = true }},
	{what: "a time-out is a miss", caught: "Failure/Silent", plant: failAsMiss(context.DeadlineExceeded)},
	{what: "TTL answers after Close", caught: "Close/EveryMethod", plant: func(f *faulty) {
		open := newReference()
		f.close = func() error { f.ttl = open.TTL; return f.ref.Close() }
	}},
	{what: "Ping answers after Close", caught: "Close/EveryMethod", plant: func(f *faulty) {
		f.ping = func(ctx context.Context) error { return store.Check(ctx, "ping") }
	}},
	{what: "a second Close fails", caught: "Close/Twice", plant: func(f *faulty) {
		f.close = func() error {
			if *f.ref.closed {
				return store.Errorf("close", "", store.ErrClosed, "closed twice")
			}
			return f.ref.Close()
		}
	}},
	{what: "a call under way at Close is a miss", caught: "Close/WhileInUse", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			_, before := f.ref.Get(ctx, key)
			time.Sleep(time.Millisecond)
			value, after := f.ref.Get(ctx, key)
			if before == nil && errors.Is(after, store.ErrClosed) {
				return nil, store.ErrNotFound
			}
			return value, after
		}
		f.close = func() error { time.Sleep(time.Millisecond / 2); return f.ref.Close() }
	}},
	{what: "a value is written in two parts", caught: "Concurrency/NeverTorn", plant: func(f *faulty) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			if err := f.ref.Set(ctx, key, value[:len(value)/2], ttl); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
			return f.ref.Set(ctx, key, value, ttl)
		}
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			time.Sleep(time.Millisecond / 2)
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "an answer goes to the wrong caller", caught: "Concurrency/NeverMixed", plant: func(f *faulty) {
		var mu sync.Mutex
		asked := ""
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			mu.Lock()
			asked = key
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			return f.ref.Get(ctx, asked)
		}
	}},
	{what: "batches that overlap swap their answers", caught: "Concurrency/Batches", plant: func(f *faulty) {
		var underWay atomic.Int32
		f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			n := underWay.Add(1)
			defer underWay.Add(-1)
			time.Sleep(time.Millisecond)
			values, err := f.ref.GetMany(ctx, keys)
			if n > 1 && len(keys) > 1 {
				values[keys[0]], values[keys[1]] = values[keys[1]], values[keys[0]]
			}
			return values, err
		}
	}},
	{what: "calls that overlap fail", caught: "Concurrency/EveryMethod", plant: func(f *faulty) {
		var underWay atomic.Int32
		f.touch = func(ctx context.Context, key string, ttl time.Duration) error {
			defer underWay.Add(-1)
			if underWay.Add(1) > 1 {
				return store.Errorf("touch", key, store.ErrUnavailable, "connection busy")
			}
			time.Sleep(time.Millisecond)
			return f.ref.Touch(ctx, key, ttl)
		}
	}},
	{what: "handles share nothing", caught: "Reopen/SeesWrites", second: func(f *faulty) { f.ref.entries = make(map[string]entry) }},
	{what: "a handle keeps what it has read", caught: "Reopen/SeesDeletes", second: func(f *faulty) {
		read := make(map[string][]byte)
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			if value, ok := read[key]; ok {
				return value, nil
			}
			value, err := f.ref.Get(ctx, key)
			if err == nil {
				read[key] = value
			}
			return value, err
		}
	}},
	{what: "a handle knows the expiry of its own entries alone", caught: "Reopen/SeesExpiry", second: func(f *faulty) {
		f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
			if _, err := f.ref.TTL(ctx, key); err != nil {
				return 0, err
			}
			return store.Forever, nil
		}
	}},
	{what: "a handle reads on what another one has cleared", caught: "Reopen/SeesClear", plant: func(f *faulty) {
		f.clear = func(context.Context) error { f.ref.entries = make(map[string]entry); return nil }
	}},
	{what: "Add is atomic in one handle alone", caught: "Reopen/AddExcludes", plant: func(f *faulty) {
		var mu sync.Mutex
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
			if !mu.TryLock() {
				return false, nil
			}
			defer mu.Unlock()
			if _, err := f.ref.Get(ctx, key); err == nil {
				return false, nil
			}
			time.Sleep(time.Millisecond)
			return true, f.ref.Set(ctx, key, value, ttl)
		}
	}},
	{what: "CompareAndSwap is atomic in one handle alone", caught: "Reopen/SwapExcludes", plant: func(f *faulty) {
		lock := make(chan struct{}, 1)
		f.swap = func(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
			lock <- struct{}{}
			defer func() { <-lock }()
			return swapSlowly(f, ctx, key, old, value, ttl)
		}
	}},
	{what: "closing one handle closes all", caught: "Reopen/CloseIsOwn", second: func(f *faulty) {
		f.close = func() error {
			for _, other := range f.world.stores {
				_ = other.ref.Close()
			}
			return f.ref.Close()
		}
	}},
	{what: "closing a handle removes what it has written", caught: "Reopen/CloseIsOwn", second: func(f *faulty) {
		f.close = func() error { _ = f.ref.Clear(bg); return f.ref.Close() }
	}},
}

// waitItself makes Get wait for its own time-out, whatever the context says.
func waitItself(f *faulty) {
	f.get = func(ctx context.Context, key string) ([]byte, error) {
		value, err := f.ref.Get(ctx, key)
		if err != nil && ctx != nil && ctx.Err() != nil {
			time.Sleep(5 * time.Second)
		}
		return value, err
	}
}

func swapSlowly(f *faulty, ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	stored, err := f.ref.Get(ctx, key)
	if !slowly(f, key, stored, old, err) {
		return false, nil
	}
	return true, f.ref.Set(ctx, key, value, ttl)
}

// failAsMiss makes Get and TTL report a failure as a miss.
func failAsMiss(kind error) func(f *faulty) {
	return func(f *faulty) {
		f.mapErrors(func(err error) error {
			if errors.Is(err, kind) {
				return store.ErrNotFound
			}
			return err
		})
	}
}
