package memo_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// swapStore is a liveStore that can compare and swap.
type swapStore struct {
	*liveStore
	swap *sync.Mutex
}

func newSwapStore() swapStore { return swapStore{newLiveStore(), new(sync.Mutex)} }

func (s swapStore) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	if err := store.CheckTTL("compareandswap", key, ttl); err != nil {
		return false, err
	}
	s.swap.Lock()
	defer s.swap.Unlock()
	b, err := s.Get(ctx, key)
	if err != nil || !bytes.Equal(b, old) {
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return false, err
	}
	return true, s.liveStore.Set(ctx, key, new, ttl)
}

func (s swapStore) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	return s.liveStore.SetLive(ctx, key, l, ttl)
}

func (s swapStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	return s.liveStore.Set(ctx, key, value, ttl)
}

// onRewritable is onExactAndLongStores, and the same over a store that can
// compare and swap, with live values and without.
func onRewritable(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	onExactAndLongStores(t, test)
	t.Run("swap", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newSwapStore()) })
	})
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, err := memory.New(nil)
			must(t, err)
			test(t, s)
			must(t, s.Close())
		})
	})
	t.Run("swap bytes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, bytesWithSwap{s: newSwapStore()}) })
	})
}

// bytesWithSwap hides that a swapStore keeps live values.
type bytesWithSwap struct{ s swapStore }

func (b bytesWithSwap) Get(ctx context.Context, key string) ([]byte, error) { return b.s.Get(ctx, key) }

func (b bytesWithSwap) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return b.s.Set(ctx, key, value, ttl)
}

func (b bytesWithSwap) Delete(ctx context.Context, key string) error { return b.s.Delete(ctx, key) }

func (b bytesWithSwap) TTL(ctx context.Context, key string) (time.Duration, error) {
	return b.s.TTL(ctx, key)
}

func (b bytesWithSwap) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	return b.s.CompareAndSwap(ctx, key, old, new, ttl)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// isLong tells the stores that keep entries for longer than they are asked to.
func isLong(t *testing.T) bool { return strings.Contains(t.Name(), "long") }

func wantTTL(t *testing.T, f *memo.Func[int, int], want time.Duration) {
	t.Helper()
	if isLong(t) {
		return
	}
	if ttl, err := f.TTL(t.Context(), 7); ttl != want || err != nil {
		t.Errorf("TTL: %v, %v; want %v", ttl, err, want)
	}
}

func wantGone(t *testing.T, f *memo.Func[int, int]) {
	t.Helper()
	if has, err := f.Has(t.Context(), 7); has || err != nil {
		t.Errorf("Has: %v, %v", has, err)
	}
	if _, err := f.TTL(t.Context(), 7); err != store.ErrNotFound {
		t.Errorf("TTL: %v", err)
	}
	if err := f.Touch(t.Context(), 7); err != store.ErrNotFound {
		t.Errorf("Touch: %v", err)
	}
	if err := f.TouchAt(t.Context(), 7, time.Now().Add(time.Hour)); err != store.ErrNotFound {
		t.Errorf("TouchAt: %v", err)
	}
	must(t, f.Expire(t.Context(), 7))
}

// A store that cannot tell how long it keeps entries.
type vagueStore struct{ *liveStore }

func (s vagueStore) TTL(ctx context.Context, key string) (time.Duration, error) {
	if _, err := s.liveStore.TTL(ctx, key); err != nil {
		return 0, err
	}
	return store.UnknownTTL, nil
}
