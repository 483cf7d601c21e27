package layered_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

// heldUp is an L1 whose Delete and Clear can be held up.
type heldUp struct {
	*memory.Store
	at *turnstile
}

func (h heldUp) Delete(ctx context.Context, key string) error {
	h.at.pass()
	return h.Store.Delete(ctx, key)
}

func (h heldUp) Clear(ctx context.Context) error {
	h.at.pass()
	return h.Store.Clear(ctx)
}

// When Close has returned L1 is the caller's to close: what L2 is telling just
// then has been applied, and what it tells afterwards is not.
func TestCloseWaitsForWhatIsTold(t *testing.T) {
	for name, event := range map[string]func(w store.Watcher){
		"Invalidate": func(w store.Watcher) { w.Invalidate("k", "other") },
		"Flush":      store.Watcher.Flush,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l1, l2 := heldUp{newMemory(t), newTurnstile()}, newFar(t)
				s := newLayered(t, l1, l2, watchSecond)
				l2.watcher.Proven(store.AlwaysProven)
				set(t, s, "k", "v", 0)
				wantGet(t, s, "k", "v")
				l1.at.shut()
				go event(l2.watcher)
				synctest.Wait()
				closed := make(chan struct{})
				go func() {
					s.Close()
					close(closed)
				}()
				for range 1000 { // it waits for a lock, which is not what synctest.Wait waits for
					runtime.Gosched()
				}
				select {
				case <-closed:
					t.Error("Close has returned while L1 was being called")
				default:
				}
				l1.at.open()
				<-closed
				wantGet(t, l1, "k", "")
				set(t, l1, "k", "mine", 0)
				event(l2.watcher)
				wantGet(t, l1, "k", "mine")
			})
		})
	}
}

// A program may end as soon as it hears of something.
func TestCloseByAWatcher(t *testing.T) {
	for name, event := range map[string]func(s *layered.Store, l2 *far) error{
		"Invalidate": func(_ *layered.Store, l2 *far) error { l2.watcher.Invalidate("k"); return nil },
		"Flush":      func(_ *layered.Store, l2 *far) error { l2.watcher.Flush(); return nil },
		"Proven":     func(_ *layered.Store, l2 *far) error { l2.watcher.Proven(time.Now()); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l2 := newFar(t)
				inner := newLayered(t, newMemory(t), l2, watchSecond)
				outer := newLayered(t, newMemory(t), inner, watchSecond)
				calls, later := 0, 0
				watch(t, outer, func() {
					calls++
					outer.Close()
					inner.Close()
				})
				watch(t, outer, func() { later++ })
				if err := event(outer, l2); err != nil {
					t.Error(err)
				}
				event(outer, l2)
				if calls != 1 || later != 0 {
					t.Errorf("told %d times, and %d times after Close", calls, later)
				}
			})
		})
	}
}

// A memory tells its watchers under a lock, in the call of L2 that has changed
// something.
func TestCloseInACallOfL2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newMemory(t)
		s := newLayered(t, newMemory(t), l2, watchSecond)
		armed := false
		watch(t, s, func() {
			if armed {
				s.Close()
			}
		})
		armed = true
		start := time.Now()
		set(t, l2, "k", "v", 0) // by another
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l2 := newMemory(t)
		s := newLayered(t, newMemory(t), l2, watchSecond)
		armed := false
		watch(t, s, func() {
			if armed {
				s.Close()
			}
		})
		armed = true
		start := time.Now()
		s.Set(t.Context(), "k", []byte("v"), 0) // Close waits for this
		if took := time.Since(start); took > time.Second/2 {
			t.Errorf("it took %v, want no more than the time-out", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l1, l2 := heldUp{newMemory(t), newTurnstile()}, newMemory(t)
		s := newLayered(t, l1, l2, watchSecond)
		l1.at.shut()
		go l2.Set(context.Background(), "k", nil, 0) // tells, and waits for L1
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			s.Close()
			close(closed)
		}()
		go l2.Set(context.Background(), "other", nil, 0) // waits to tell
		for range 1000 {
			runtime.Gosched()
		}
		l1.at.open()
		<-closed
	})
}

// watch has s call f for whatever it tells.
func watch(t *testing.T, s *layered.Store, f func()) {
	t.Helper()
	if err := s.Watch(t.Context(), each(f)); err != nil {
		t.Fatal(err)
	}
}

type each func()

func (e each) Invalidate(...string) { e() }
func (e each) Flush()               { e() }
func (e each) Proven(time.Time)     { e() }
