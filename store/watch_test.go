package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// heard is a Watcher that notes what it is told.
type heard struct {
	keys    [][]string
	flushes int
	proven  []time.Time
}

func (h *heard) Invalidate(keys ...string) { h.keys = append(h.keys, slices.Clone(keys)) }
func (h *heard) Flush()                    { h.flushes++ }
func (h *heard) Proven(sent time.Time)     { h.proven = append(h.proven, sent) }

// watched hands out its Watcher, to be told by the test.
type watched struct {
	*mapStore
	w   store.Watcher
	ctx context.Context
	err error
}

func (s *watched) Watch(ctx context.Context, w store.Watcher) error {
	s.w, s.ctx = w, ctx
	return s.err
}

func TestWatch(t *testing.T) {
	s, h := &watched{mapStore: newMap()}, new(heard)
	ctx, cancel := context.WithCancel(t.Context())
	must(t, store.Watch(ctx, s, h))
	if s.w != store.Watcher(h) {
		t.Errorf("the store was given %T", s.w)
	}
	if cancel(); s.ctx.Err() == nil {
		t.Error("the watch does not end with the context")
	}
	if err := store.Watch(t.Context(), s, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil Watcher: %v", err)
	}
	s.err = errors.New("broken")
	if err := store.Watch(t.Context(), s, h); err != s.err {
		t.Errorf("%v; want the error of the store", err)
	}
}

func TestAlwaysProvenIsLater(t *testing.T) {
	if now := time.Now(); !store.AlwaysProven.After(now.AddDate(1_000_000, 0, 0)) {
		t.Errorf("%v is not later than any time", store.AlwaysProven)
	}
}

func TestPrefixWatches(t *testing.T) {
	s, h := &watched{mapStore: newMap()}, new(heard)
	view := storetest.NewRecorder(store.Prefix(store.Prefix(s, "a:"), "b:"))
	must(t, store.Watch(t.Context(), view, h))

	told := []string{"a:b:1", "a:c:2", "b:3", "a:b:", "a:b", "a:b:a:b:4"}
	s.w.Invalidate(told...)
	s.w.Invalidate("a:", "other")
	if len(h.keys) != 1 || !slices.Equal(h.keys[0], []string{"1", "a:b:4"}) {
		t.Errorf("the keys %q are told; want one call with those of the view, without the prefix", h.keys)
	}
	if told[0] != "a:b:1" {
		t.Error("the slice of the store was written to")
	}
	sent := time.Now()
	s.w.Flush()
	s.w.Proven(sent)
	s.w.Proven(store.AlwaysProven)
	if h.flushes != 1 || !slices.Equal(h.proven, []time.Time{sent, store.AlwaysProven}) {
		t.Errorf("%d flushes and the proofs %v", h.flushes, h.proven)
	}
	if err := store.Watch(t.Context(), view, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil Watcher: %v", err)
	}
	if n := view.Count("watch"); n != 1 {
		t.Errorf("%d calls were recorded", n)
	}
}
