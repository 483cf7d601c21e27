package layered_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func newMemory(t testing.TB) *memory.Store {
	t.Helper()
	s, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newLayered(t testing.TB, l1, l2 store.Store, o *layered.Options) *layered.Store {
	t.Helper()
	s, err := layered.New(l1, l2, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var (
	watchSecond = &layered.Options{Coherence: layered.Watch(time.Second)}
	anHour      = &layered.Options{Coherence: layered.Bounded(time.Hour), Timeout: patience} // also for tests in real time
)

// everything is what package memory can do but hand out entries.
type everything interface {
	store.GetManyStore
	store.SetManyStore
	store.DeleteManyStore
	store.GetWithTTLStore
	store.GetManyWithTTLStore
	store.AddStore
	store.CompareAndSwapStore
	store.CompareAndDeleteStore
	store.TouchStore
	store.KeysStore
	store.ClearStore
	store.WatchStore
	store.LeaseStore
	store.WatchLockStore
}

// onlyBytes hides that s keeps entries in the process, as if it were far away.
func onlyBytes(s everything) store.Store { return struct{ everything }{s} }

// far is an L2 whose telling of changes the test does itself.
type far struct {
	everything
	mu      sync.Mutex
	watcher store.Watcher
	ended   bool // its watcher's context has
}

func newFar(t testing.TB) *far { return &far{everything: newMemory(t)} }

func (f *far) Watch(ctx context.Context, w store.Watcher) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watcher = w
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = true
	})
	return nil
}

// newWatched is a Store over a far that tells what the test says, and that was
// proved once.
func newWatched(t testing.TB, o *layered.Options) (s *layered.Store, l1 *memory.Store, l2 *far) {
	t.Helper()
	l1, l2 = newMemory(t), newFar(t)
	s = newLayered(t, l1, l2, o)
	l2.watcher.Proven(time.Now())
	return s, l1, l2
}

// paused returns s with a function that is called after each call of op, and
// before its result is returned.
func paused(s store.Store, op string, pause func()) store.Store {
	return storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
		err := next(ctx)
		if c.Op == op {
			pause()
		}
		return err
	})
}

// before returns s with a function that is called before each call of op.
func before(s store.Store, op string, pause func()) store.Store {
	return storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
		if c.Op == op {
			pause()
		}
		return next(ctx)
	})
}

func set(t testing.TB, s store.Store, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%q, %q): %v", key, value, err)
	}
}

// wantGet checks what s answers; "" is a miss.
func wantGet(t testing.TB, s store.Store, key, want string) {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	if err == store.ErrNotFound && want == "" {
		return
	}
	if err != nil || want == "" || string(value) != want {
		t.Errorf("Get(%q) = %q, %v; want %q", key, value, err, want)
	}
}
