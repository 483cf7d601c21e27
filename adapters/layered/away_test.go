package layered

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// backend is an L2 that can be away, and that proves L1 when it is told to.
type backend struct {
	store.Store
	mem     *memory.Store
	away    atomic.Bool
	calls   atomic.Int64
	watcher store.Watcher
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	mem, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{mem: mem}
	b.Store = storetest.Bare(storetest.Intercept(mem, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
		b.calls.Add(1)
		if b.away.Load() {
			return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "connection refused")
		}
		return next(ctx)
	}))
	return b
}

func (b *backend) Watch(_ context.Context, w store.Watcher) error {
	b.watcher = w
	return nil
}

// inBubble runs a test of a Store over a backend, proven now, whose L1 has k.
func inBubble(t *testing.T, d Degraded, test func(t *testing.T, s *Store, b *backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		near, err := memory.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(near, b, &Options{Coherence: Watch(time.Second), Degraded: d})
		if err != nil {
			t.Fatal(err)
		}
		defer b.mem.Close()
		defer near.Close()
		defer s.Close()
		b.watcher.Proven(time.Now())
		if err := s.Set(t.Context(), "k", []byte("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		test(t, s, b)
	})
}

func TestReadsFailWhileL2IsAway(t *testing.T) {
	inBubble(t, Degraded{}, func(t *testing.T, s *Store, b *backend) {
		b.away.Store(true)
		if v, err := s.Get(t.Context(), "k"); string(v) != "v" || err != nil {
			t.Errorf("within delta L1 answers %q, %v", v, err)
		}
		time.Sleep(time.Second + 1)
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		if m, err := s.GetMany(t.Context(), []string{"k"}); !errors.Is(err, store.ErrUnavailable) || len(m) != 0 {
			t.Errorf("GetMany: %q, %v", m, err)
		}
		if c := s.Stats(); c.Stale != 0 || c.Masked != 0 || c.Breaker.Failed != 2 {
			t.Errorf("%+v", c)
		}
	})
}

func TestAnswerMiss(t *testing.T) {
	inBubble(t, AnswerMiss(), func(t *testing.T, s *Store, b *backend) {
		b.away.Store(true)
		time.Sleep(time.Second + 1)
		if _, err := s.Get(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("Get: %v", err)
		}
		if m, err := s.GetMany(t.Context(), []string{"k"}); err != nil || len(m) != 0 {
			t.Errorf("GetMany: %q, %v", m, err)
		}
		if _, err := s.Add(t.Context(), "k", nil, 0); err == nil {
			t.Error("Add succeeded")
		}
		if err := s.Set(t.Context(), "k", nil, 0); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Set: %v", err)
		}
		if c := s.Stats(); c.Masked != 2 || c.Misses != 0 {
			t.Errorf("%+v", c)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("of a caller who has cancelled: %v", err)
		}
	})
}

func TestServeStale(t *testing.T) {
	inBubble(t, ServeStale(10*time.Second), func(t *testing.T, s *Store, b *backend) {
		if err := s.Set(t.Context(), "short", []byte("v"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "short"); err != nil {
			t.Fatal(err)
		}
		b.away.Store(true)
		time.Sleep(5*time.Second - 1)
		for _, key := range []string{"k", "short"} {
			if v, err := s.Get(t.Context(), key); string(v) != "v" || err != nil {
				t.Errorf("Get of %s: %q, %v", key, v, err)
			}
		}
		if m, err := s.GetMany(t.Context(), []string{"k"}); err != nil || string(m["k"]) != "v" {
			t.Errorf("GetMany: %q, %v", m, err)
		}
		// How long it lives only L2 knows, and 0 would be a ttl to whoever copies it.
		if _, ttl, err := s.GetWithTTL(t.Context(), "k"); ttl != store.UnknownTTL || err != nil {
			t.Errorf("GetWithTTL: %v, %v", ttl, err)
		}
		if m, err := s.GetManyWithTTL(t.Context(), []string{"k"}); m["k"].TTL != store.UnknownTTL || err != nil {
			t.Errorf("GetManyWithTTL: %v, %v", m, err)
		}
		if c := s.Stats(); c.Stale != 5 {
			t.Errorf("%+v", c)
		}
		time.Sleep(time.Nanosecond)
		if _, err := s.Get(t.Context(), "short"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("past its own expiry: %v", err)
		}
		if _, err := s.Get(t.Context(), "absent"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("what L1 does not hold: %v", err)
		}
		time.Sleep(5 * time.Second)
		if v, err := s.Get(t.Context(), "k"); string(v) != "v" || err != nil {
			t.Errorf("at max: %q, %v", v, err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("past max: %v", err)
		}
	})
}

func TestServeStaleHidesOwnWrites(t *testing.T) {
	for name, write := range map[string]func(context.Context, *Store) error{
		"Set":    func(ctx context.Context, s *Store) error { return s.Set(ctx, "k", []byte("w"), 0) },
		"Delete": func(ctx context.Context, s *Store) error { return s.Delete(ctx, "k") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, ServeStale(10*time.Second), func(t *testing.T, s *Store, b *backend) {
				b.away.Store(true)
				time.Sleep(2 * time.Second)
				if err := write(t.Context(), s); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("the write: %v", err)
				}
				if v, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("Get: %q, %v", v, err)
				}
			})
		})
	}
}

func TestFailedDeleteIsRepeatedBeforeL2IsBelieved(t *testing.T) {
	inBubble(t, Degraded{}, func(t *testing.T, s *Store, b *backend) {
		b.away.Store(true)
		if err := s.Delete(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Delete: %v", err)
		}
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Get while L2 is away: %v", err)
		}
		if c := s.Stats(); c.PendingDeletes != 1 {
			t.Errorf("%+v", c)
		}
		b.away.Store(false)
		if v, err := s.Get(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("Get after L2 is back: %q, %v", v, err)
		}
		if _, err := b.mem.Get(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("L2 still has it: %v", err)
		}
		if c := s.Stats(); c.PendingDeletes != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Other processes read L2 too.
func TestFailedDeleteIsRepeatedInTheBackground(t *testing.T) {
	inBubble(t, Degraded{}, func(t *testing.T, s *Store, b *backend) {
		b.away.Store(true)
		for range 2 * breakAfter {
			s.Delete(t.Context(), "k")
		}
		if c := s.Stats(); c.Breaker.State != BreakerOpen {
			t.Errorf("%+v", c)
		}
		time.Sleep(time.Minute)
		asked := b.calls.Load()
		time.Sleep(time.Minute)
		if n := b.calls.Load() - asked; n < 60/6 || n > 60/3 {
			t.Errorf("L2 was asked %d times in a minute", n)
		}
		b.away.Store(false)
		time.Sleep(6 * time.Second)
		if _, err := b.mem.Get(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("L2 still has it: %v", err)
		}
		if c := s.Stats(); c.PendingDeletes != 0 || c.Breaker.State != BreakerClosed {
			t.Errorf("%+v", c)
		}
	})
}

// A Set that succeeds is the newest write, whatever Delete has failed before.
func TestSetAfterAFailedDelete(t *testing.T) {
	inBubble(t, Degraded{}, func(t *testing.T, s *Store, b *backend) {
		b.away.Store(true)
		s.Delete(t.Context(), "k")
		b.away.Store(false)
		if err := s.Set(t.Context(), "k", []byte("w"), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if v, err := s.Get(t.Context(), "k"); string(v) != "w" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	})
}
