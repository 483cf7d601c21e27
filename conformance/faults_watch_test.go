package conformance

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// misheard is a Watcher that is told something else.
type misheard struct {
	store.Watcher
	invalidate func(keys ...string)
	proven     func(sent time.Time)
}

func (m *misheard) Invalidate(keys ...string) {
	if m.invalidate == nil {
		m.Watcher.Invalidate(keys...)
		return
	}
	m.invalidate(keys...)
}

func (m *misheard) Proven(sent time.Time) {
	if m.proven == nil {
		m.Watcher.Proven(sent)
		return
	}
	m.proven(sent)
}

// mishear changes what each Watcher is told.
func mishear(change func(f *faulty, m *misheard)) func(f *faulty) {
	return func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if w == nil {
				return f.ref.Watch(ctx, nil)
			}
			m := &misheard{Watcher: w}
			change(f, m)
			return f.ref.Watch(ctx, m)
		}
	}
}

// untold makes calls of a method tell nothing.
func untold(name string) func(f *faulty) {
	return func(f *faulty) {
		var silent atomic.Int32
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if w == nil {
				return f.ref.Watch(ctx, nil)
			}
			return f.ref.Watch(ctx, &whenNot{w, &silent})
		}
		f.around(name, func(call func(), _ ...string) {
			silent.Add(1)
			defer silent.Add(-1)
			call()
		})
	}
}

// whenNot is told nothing while it is silent.
type whenNot struct {
	store.Watcher
	silent *atomic.Int32
}

func (w *whenNot) Invalidate(keys ...string) {
	if w.silent.Load() == 0 {
		w.Watcher.Invalidate(keys...)
	}
}

func (w *whenNot) Flush() {
	if w.silent.Load() == 0 {
		w.Watcher.Flush()
	}
}

var watchFaults = []fault{
	{what: "Watch writes and declines", caught: "Watch/Unsupported", plant: halfDone("Watch")},
	{what: "Set is not told", caught: "Watch/OwnWrites", plant: untold("Set")},
	{what: "Delete is not told", caught: "Watch/OwnWrites", plant: untold("Delete")},
	{what: "SetMany is not told", caught: "Watch/OwnWrites", plant: untold("SetMany")},
	{what: "DeleteMany is not told", caught: "Watch/OwnWrites", plant: untold("DeleteMany")},
	{what: "Add is not told", caught: "Watch/OwnWrites", plant: untold("Add")},
	{what: "CompareAndSwap is not told", caught: "Watch/OwnWrites", plant: untold("CompareAndSwap")},
	{what: "CompareAndDelete is not told", caught: "Watch/OwnWrites", plant: untold("CompareAndDelete")},
	{what: "SetLive is not told", caught: "Watch/OwnWrites", plant: untold("SetLive")},
	{what: "nothing is proven", caught: "Watch/OwnWrites", plant: mishear(func(_ *faulty, m *misheard) {
		m.proven = func(time.Time) {}
	})},
	{what: "each handle tells of its own writes", caught: "Watch/OtherHandles", second: func(f *faulty) {
		f.ref.watchers = make(map[*told]bool)
	}},
	{what: "Clear is not told", caught: "Watch/Clear", plant: untold("Clear")},
	{what: "Fill is not told", caught: "Watch/Leases", plant: untold("Fill")},
	{what: "Hold is not told", caught: "Watch/Leases", plant: untold("Hold")},
	{what: "expiry is not told", caught: "Watch/Expiry", plant: func(f *faulty) {
		f.ref.ownClock = true // nothing is told before somebody asks
		untold("Get")(f)
	}},
	{what: "the proof overtakes what it proves", caught: "Watch/Proven", plant: func(f *faulty) {
		f.ref.afar = true
		mishear(func(_ *faulty, m *misheard) {
			var late []string
			m.invalidate = func(keys ...string) { late = append(late, keys...) }
			m.proven = func(sent time.Time) {
				m.Watcher.Proven(sent)
				m.Watcher.Invalidate(late...)
				late = nil
			}
		})(f)
	}},
	{what: "a time to come is proven", caught: "Watch/Proven", plant: func(f *faulty) {
		f.ref.afar = true
		mishear(func(_ *faulty, m *misheard) {
			m.proven = func(sent time.Time) { m.Watcher.Proven(sent.Add(time.Minute)) }
		})(f)
	}},
	{what: "one proof is all there is", caught: "Watch/Proven", plant: func(f *faulty) {
		f.ref.afar = true
		mishear(func(_ *faulty, m *misheard) {
			proven := 0
			m.proven = func(sent time.Time) {
				if proven++; proven <= 2 {
					m.Watcher.Proven(sent)
				}
			}
		})(f)
	}},
	{what: "a store that is always proven tells a moment later", caught: "Watch/BeforeReturn", plant: mishear(func(_ *faulty, m *misheard) {
		m.invalidate = func(keys ...string) {
			time.AfterFunc(time.Millisecond, func() { m.Watcher.Invalidate(keys...) })
		}
	})},
	{what: "each change is told by a goroutine", caught: "Watch/OneAtATime", plant: mishear(func(_ *faulty, m *misheard) {
		m.invalidate = func(keys ...string) { go m.Watcher.Invalidate(keys...) }
	})},
	{what: "the end of the context is not noticed", caught: "Watch/Ends", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if ctx == nil || ctx.Err() != nil {
				return f.ref.Watch(ctx, w)
			}
			return f.ref.Watch(context.WithoutCancel(ctx), w)
		}
	}},
	{what: "a done context is found later", caught: "Watch/DoneContext", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if ctx == nil || ctx.Err() == nil {
				return f.ref.Watch(ctx, w)
			}
			_ = f.ref.Watch(context.WithoutCancel(ctx), w)
			return &store.Error{Op: "watch", Err: ctx.Err()}
		}
	}},
	{what: "a done context is not looked at", caught: "Watch/DoneContext", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if ctx != nil && ctx.Err() != nil {
				return nil
			}
			return f.ref.Watch(ctx, w)
		}
	}},
	{what: "a nil Watcher panics", caught: "Watch/Nil", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			w.Flush()
			return f.ref.Watch(ctx, w)
		}
	}},
	{what: "the prefix is told with the key", caught: "Watch/OwnKeys", plant: mishear(func(_ *faulty, m *misheard) {
		m.invalidate = func(keys ...string) {
			for _, key := range keys {
				m.Watcher.Invalidate("app:" + key)
			}
		}
	})},
	{what: "keys are told as valid UTF-8", caught: "Watch/OwnKeys", plant: mishear(func(_ *faulty, m *misheard) {
		m.invalidate = func(keys ...string) {
			for _, key := range keys {
				m.Watcher.Invalidate(strings.ToValidUTF8(key, "\ufffd"))
			}
		}
	})},
	{what: "the keys of leases are told", caught: "Watch/OwnKeys", plant: func(f *faulty) {
		f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
			found, err := f.ref.GetOrLease(ctx, key, token, life, despite)
			f.ref.mu.Lock()
			defer f.ref.mu.Unlock()
			f.ref.tell(func(w store.Watcher) { w.Invalidate("lease:" + key) })
			return found, err
		}
	}},
	{what: "the last Watcher replaces the others", caught: "Watch/TwoWatchers", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			f.ref.mu.Lock()
			clear(f.ref.watchers)
			f.ref.mu.Unlock()
			return f.ref.Watch(ctx, w)
		}
	}},
	{what: "the end of one Watcher is that of all", caught: "Watch/TwoWatchers", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if ctx != nil {
				context.AfterFunc(ctx, func() {
					f.ref.mu.Lock()
					defer f.ref.mu.Unlock()
					clear(f.ref.watchers)
				})
			}
			return f.ref.Watch(ctx, w)
		}
	}},
	{what: "Watch fails while the backend is away", caught: "Watch/AfterOutage", plant: func(f *faulty) {
		f.watch = func(ctx context.Context, w store.Watcher) error {
			if ctx != nil {
				if err := f.backend.reach(ctx, "watch", ""); err != nil {
					return err
				}
			}
			return f.ref.Watch(ctx, w)
		}
	}},
	{what: "a watch does not outlive an outage", caught: "Watch/AfterOutage", plant: mishear(func(f *faulty, m *misheard) {
		healthy := f.backend.healthy()
		m.invalidate = func(keys ...string) {
			if healthy {
				return // as the connection was cut, and never made again
			}
			m.Watcher.Invalidate(keys...)
		}
	})},
}

func (b *backend) healthy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.broken
}
