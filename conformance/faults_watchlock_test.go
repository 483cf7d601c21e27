package conformance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// ears replaces WatchLock by one that is called with good arguments alone.
func ears(watch func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error)) func(f *faulty) {
	return func(f *faulty) {
		f.lock.watch = func(ctx context.Context, key string) (<-chan struct{}, error) {
			if store.Check(ctx, "watchlock", key) != nil {
				return f.ref.WatchLock(ctx, key)
			}
			return watch(f, ctx, key)
		}
	}
}

// untoldUnlock makes Unlock tell only those whom others lets be told.
func untoldUnlock(told func(f *faulty, key string, all map[chan struct{}]bool) map[chan struct{}]bool) func(f *faulty) {
	return func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			f.ref.mu.Lock()
			all := f.ref.locks.waiting[key]
			f.ref.locks.waiting[key] = told(f, key, all)
			f.ref.mu.Unlock()
			defer func() {
				f.ref.mu.Lock()
				defer f.ref.mu.Unlock()
				f.ref.locks.waiting[key] = all
			}()
			return f.ref.Unlock(ctx, key, token)
		}
	}
}

var watchLockFaults = []fault{
	{what: "WatchLock declines and gives a channel", caught: "WatchLock/Unsupported", plant: func(f *faulty) {
		f.lock.watch = func(context.Context, string) (<-chan struct{}, error) {
			return make(chan struct{}), errors.ErrUnsupported
		}
	}},
	{what: "Unlock tells nobody", caught: "WatchLock/OwnUnlock", plant: untoldUnlock(func(*faulty, string, map[chan struct{}]bool) map[chan struct{}]bool {
		return nil
	})},
	{what: "Unlock tells one of those who wait", caught: "WatchLock/OwnUnlock", plant: untoldUnlock(func(_ *faulty, _ string, all map[chan struct{}]bool) map[chan struct{}]bool {
		for one := range all {
			return map[chan struct{}]bool{one: true}
		}
		return nil
	})},
	{what: "who waits is told once", caught: "WatchLock/OwnUnlock", plant: untoldUnlock(func(_ *faulty, _ string, all map[chan struct{}]bool) map[chan struct{}]bool {
		first := make(map[chan struct{}]bool)
		for one, fresh := range all {
			if fresh {
				first[one] = true
				all[one] = false
			}
		}
		return first
	})},
	{what: "the channel is nil", caught: "WatchLock/OwnUnlock", plant: ears(func(*faulty, context.Context, string) (<-chan struct{}, error) { return nil, nil })},
	{what: "the channel is closed by the Unlock", caught: "WatchLock/OwnUnlock", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		freed, err := f.ref.WatchLock(ctx, key)
		closed := make(chan struct{})
		go func() {
			select {
			case <-freed:
			case <-ctx.Done():
			}
			close(closed)
		}()
		return closed, err
	})},
	{what: "each handle tells of its own Unlocks", caught: "WatchLock/OtherHandles", second: func(f *faulty) {
		other := *f.ref.locks
		other.waiting = make(map[string]map[chan struct{}]bool)
		f.ref.locks = &other
	}},
	{what: "the watch begins a moment later", caught: "WatchLock/MissesNothing", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		freed := make(chan struct{}, 1)
		go func() {
			time.Sleep(time.Millisecond)
			later, err := f.ref.WatchLock(ctx, key)
			for err == nil {
				select {
				case <-later:
					freed <- struct{}{}
				case <-ctx.Done():
					return
				}
			}
		}()
		return freed, nil
	})},
	{what: "keys are told as valid UTF-8", caught: "WatchLock/OwnKeys", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		return f.ref.WatchLock(ctx, strings.ToValidUTF8(key, "\ufffd"))
	})},
	{what: "the end of one is that of all", caught: "WatchLock/Ends", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		context.AfterFunc(ctx, func() {
			f.ref.mu.Lock()
			defer f.ref.mu.Unlock()
			clear(f.ref.locks.waiting[key])
		})
		return f.ref.WatchLock(context.WithoutCancel(ctx), key)
	})},
	{what: "the end of the context is not noticed", caught: "WatchLock/Ends", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		return f.ref.WatchLock(context.WithoutCancel(ctx), key)
	})},
	{what: "the channel is closed in the end", caught: "WatchLock/Ends", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		freed, err := f.ref.WatchLock(ctx, key)
		closed := make(chan struct{}, 1)
		go func() {
			defer close(closed)
			for {
				select {
				case <-freed:
					select {
					case closed <- struct{}{}:
					default:
					}
				case <-ctx.Done():
					return
				}
			}
		}()
		return closed, err
	})},
	{what: "Unlock waits until everybody has received", caught: "WatchLock/Unread", plant: func(f *faulty) {
		f.lock.unlock = func(ctx context.Context, key, token string) (bool, error) {
			unlocked, err := f.ref.Unlock(ctx, key, token)
			f.ref.mu.Lock()
			waiting := slices.Collect(maps.Keys(f.ref.locks.waiting[key]))
			f.ref.mu.Unlock()
			for _, freed := range waiting {
				for len(freed) > 0 && ctx.Err() == nil {
					time.Sleep(time.Second)
				}
			}
			return unlocked, err
		}
	}},
	{what: "a done context is not looked at", caught: "WatchLock/DoneContext", plant: func(f *faulty) {
		f.lock.watch = func(ctx context.Context, key string) (<-chan struct{}, error) {
			if ctx != nil && ctx.Err() != nil {
				return make(chan struct{}), nil
			}
			return f.ref.WatchLock(ctx, key)
		}
	}},
	{what: "WatchLock fails while the backend is away", caught: "WatchLock/AfterOutage", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		if err := f.backend.reach(ctx, "watchlock", key); err != nil {
			return nil, err
		}
		return f.ref.WatchLock(ctx, key)
	})},
	{what: "who comes during an outage is never told", caught: "WatchLock/AfterOutage", plant: ears(func(f *faulty, ctx context.Context, key string) (<-chan struct{}, error) {
		if !f.backend.healthy() {
			return make(chan struct{}), nil
		}
		return f.ref.WatchLock(ctx, key)
	})},
}
