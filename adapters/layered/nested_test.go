package layered_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// Three levels: the outer one has the life of the inner L1's entry, and hears
// of a change after the inner one has applied it.
func TestLayersOfLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newFar(t)
		log := storetest.NewRecorder(l2)
		inner := newLayered(t, newMemory(t), log, watchSecond)
		l2.watcher.Proven(store.AlwaysProven)
		outer := newLayered(t, newMemory(t), inner, watchSecond) // is told what was proved before
		set(t, l2, "k", "old", time.Minute)
		before := len(log.Calls())
		for range 2 {
			wantGet(t, inner, "k", "old")
			time.Sleep(20 * time.Second)
			wantGet(t, outer, "k", "old")
		}
		if calls := log.Calls()[before:]; len(calls) != 1 {
			t.Errorf("the last level was asked %v, want one call", calls)
		}
		time.Sleep(20 * time.Second) // the entry is a minute old
		wantGet(t, outer, "k", "")

		set(t, l2, "k", "old", time.Hour)
		wantGet(t, outer, "k", "old")
		l2.watcher.Flush()
		wantGet(t, outer, "k", "old")
		seen := ""
		w := &told{do: func() {
			if value, err := inner.Get(context.Background(), "k"); err == nil {
				seen = string(value)
			}
		}}
		if err := inner.Watch(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		replace(l2)
		l2.watcher.Invalidate("k")
		if seen != "new" {
			t.Errorf("who was told of the change reads %q from the Store that told", seen)
		}
		wantGet(t, outer, "k", "new")
	})
}

// What the inner level kept for max, the outer one does not keep for longer.
func TestLayersDoNotAddUpTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newFar(t)
		bound := &layered.Options{Coherence: layered.Bounded(time.Minute)}
		inner := newLayered(t, newMemory(t), l2, bound)
		outer := newLayered(t, newMemory(t), inner, bound)
		outdate(t, inner, l2)
		time.Sleep(50 * time.Second)
		wantGet(t, outer, "k", "old")
		time.Sleep(10 * time.Second)
		wantGet(t, outer, "k", "new")
	})
}

func TestWatchersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newFar(t)
		s := newLayered(t, newMemory(t), l2, watchSecond)
		w := new(told)
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Watch(ctx, w); err != nil {
			t.Fatal(err)
		}
		sent := time.Now()
		l2.watcher.Invalidate("a", "b")
		l2.watcher.Flush()
		l2.watcher.Proven(sent)
		if strings.Join(w.keys, " ") != "a b" || w.flushes != 1 || !w.proven.Equal(sent) {
			t.Errorf("told %v", w)
		}
		cancel()
		synctest.Wait()
		l2.watcher.Flush()
		if w.flushes != 1 {
			t.Error("told after the end of its context")
		}
		if err := s.Watch(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Watch(nil) = %v, want ErrInvalid", err)
		}
	})
}

// Nothing runs after Close; that is what the end of the bubble shows.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l1, l2 := newWatched(t, watchSecond)
		set(t, s, "k", "v", 0)
		wantGet(t, s, "k", "v")
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if !l2.ended {
			t.Error("L2 still tells of changes")
		}
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Get = %v, want ErrClosed", err)
		}
		set(t, l1, "k", "v", 0) // New was given it, and has not closed it
		set(t, l2, "k", "v", 0)
	})
}

func TestNewRefuses(t *testing.T) {
	m := newMemory(t)
	watch := layered.Watch(time.Second)
	for want, make := range map[string]func() (*layered.Store, error){
		"Coherence is not stated; write layered.Watch(": func() (*layered.Store, error) { return layered.New(m, newMemory(t), nil) },
		"write layered.Bounded(max)": func() (*layered.Store, error) {
			return layered.New(m, storetest.Bare(newMemory(t)), watchSecond)
		},
		"the duration is not positive": func() (*layered.Store, error) {
			return layered.New(m, newMemory(t), &layered.Options{Coherence: layered.Bounded(0)})
		},
		"a layer is nil":             func() (*layered.Store, error) { return layered.New(nil, m, watchSecond) },
		"the same store":             func() (*layered.Store, error) { return layered.New(m, m, watchSecond) },
		"the near store comes first": func() (*layered.Store, error) { return layered.New(storetest.Bare(m), newMemory(t), anHour) },
		"can neither be cleared": func() (*layered.Store, error) {
			return layered.New(struct{ store.LiveStore }{m}, newMemory(t), anHour)
		},
		"MaxTTL":     func() (*layered.Store, error) { return with(m, &layered.Options{Coherence: watch, MaxTTL: -1}) },
		"Jitter":     func() (*layered.Store, error) { return with(m, &layered.Options{Coherence: watch, Jitter: 1}) },
		"UnknownTTL": func() (*layered.Store, error) { return with(m, &layered.Options{Coherence: watch, UnknownTTL: -1}) },
		"Timeout":    func() (*layered.Store, error) { return with(m, &layered.Options{Coherence: watch, Timeout: -1}) },
		"Degraded": func() (*layered.Store, error) {
			return with(m, &layered.Options{Coherence: watch, Degraded: layered.ServeStale(-1)})
		},
	} {
		s, err := make()
		if s != nil || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, %v; want ErrInvalid that says %q", s, err, want)
		}
	}
}

func with(l store.Store, o *layered.Options) (*layered.Store, error) {
	return layered.New(l, store.Prefix(l, "2:"), o)
}

// A call that is refused has changed nothing, and one that is not begins with
// an L1 that holds nothing of a former life.
func TestNewAndWhatL1Holds(t *testing.T) {
	l1, l2 := newMemory(t), newMemory(t)
	set(t, l1, "k", "precious", store.Forever)
	if _, err := layered.New(l1, storetest.Bare(l2), watchSecond); err == nil {
		t.Fatal("New watches a store that tells of nothing")
	}
	wantGet(t, l1, "k", "precious")
	for _, o := range []*layered.Options{anHour, watchSecond} {
		set(t, l1, "k", "old", store.Forever)
		s, err := layered.New(l1, l2, o)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.Get(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("Get = %q, %v", b, err)
		}
		s.Close()
	}
}
