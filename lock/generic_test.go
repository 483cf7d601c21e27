package lock

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/null"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestNew(t *testing.T) {
	f := newFake(t)
	for name, bad := range map[string]struct {
		s    store.Store
		o    *Options
		want error
	}{
		"no store":          {nil, nil, store.ErrInvalid},
		"null":              {null.New(), nil, errors.ErrUnsupported},
		"bare":              {storetest.Bare(f), nil, errors.ErrUnsupported},
		"a wrapper of bare": {store.Prefix(storetest.Bare(f), "p:"), nil, errors.ErrUnsupported},
		"negative":          {f, &Options{TTL: -1}, store.ErrInvalid},
		"short":             {f, &Options{TTL: 99 * time.Millisecond}, store.ErrInvalid},
		"for ever":          {f, &Options{TTL: store.Forever}, store.ErrInvalid},
	} {
		if _, err := New(bad.s, bad.o); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v, want %v", name, err, bad.want)
		}
	}
	for name, s := range map[string]store.Store{
		"locks": f, "a wrapper of locks": store.Prefix(f, "p:"), "entries": newEntries(t), "a wrapper of entries": store.Prefix(newEntries(t), "p:"),
	} {
		k := newLock(t, s, &Options{TTL: 100 * time.Millisecond})
		mustUnlock(t, mustLock(t, k, "a"))
		if wants := name == "locks" || name == "a wrapper of locks"; (k.watcher != nil) != wants {
			t.Errorf("%s: watches: %v", name, k.watcher != nil)
		}
	}
	if f.calls("trylock") != 2 {
		t.Errorf("calls: %v", f.count)
	}
}

// declining says that it has locks, and has none when it is asked.
type declining struct {
	entries
	*unsupported
}

type unsupported struct{}

func (*unsupported) TryLock(context.Context, string, string, time.Duration) (store.LockResult, error) {
	return store.LockResult{}, errors.ErrUnsupported
}

func (*unsupported) ExtendLock(context.Context, string, string, time.Duration) (bool, error) {
	return false, errors.ErrUnsupported
}

func (*unsupported) Unlock(context.Context, string, string) (bool, error) {
	return false, errors.ErrUnsupported
}

func (*unsupported) WatchLock(context.Context, string) (<-chan struct{}, error) {
	return nil, errors.ErrUnsupported
}

func TestStoreThatDeclines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := declining{entries: newEntries(t)}
		k := newLock(t, s, nil)
		l := mustLock(t, k, "a")
		if err := l.Extend(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := newLock(t, s, nil).Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		mustUnlock(t, l)
	})
}

func TestEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEntries(t)
		k := newLock(t, s, nil)
		l := mustLock(t, k, "a")
		if token, err := s.Get(t.Context(), "lockowner:a"); string(token) != l.token {
			t.Errorf("the entry is %q, %v", token, err)
		}
		if fence, err := s.Get(t.Context(), "lockfence:a"); string(fence) != strconv.FormatUint(l.Fence(), 10) {
			t.Errorf("the fence is %q, %v, want %d", fence, err, l.Fence())
		}
		if ttl, err := s.TTL(t.Context(), "lockfence:a"); ttl != store.Forever {
			t.Errorf("the fence lives for %v, %v", ttl, err)
		}
		time.Sleep(time.Minute)
		_, err := newLock(t, s, nil).TryLock(t.Context(), "a")
		var held *HeldError
		if !errors.As(err, &held) || held.RetryAfter <= 0 || held.RetryAfter > 10*time.Second {
			t.Errorf("got %v", err)
		}
		mustUnlock(t, l)
		if _, err := s.Get(t.Context(), "lockowner:a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the entry is still there: %v", err)
		}
		// The fence grows also where the clock goes back.
		future := time.Now().Add(time.Hour).UnixMicro()
		if err := s.Set(t.Context(), "lockfence:a", []byte(strconv.FormatInt(future, 10)), store.Forever); err != nil {
			t.Fatal(err)
		}
		l = mustLock(t, k, "a")
		if l.Fence() != uint64(future)+1 {
			t.Errorf("fence %d, want %d", l.Fence(), future+1)
		}
		mustUnlock(t, l)
		// A fence that is lost is made from the clock.
		if err := s.Delete(t.Context(), "lockfence:a"); err != nil {
			t.Fatal(err)
		}
		l = mustLock(t, k, "a")
		if l.Fence() != uint64(time.Now().UnixMicro()) {
			t.Errorf("fence %d, want %d", l.Fence(), time.Now().UnixMicro())
		}
		mustUnlock(t, l)
	})
}

// An entry that is evicted, or cleared, is a lock that is lost.
func TestEvictedEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEntries(t)
		k := newLock(t, s, nil)
		l := mustLock(t, k, "a")
		if err := s.Delete(t.Context(), "lockowner:a"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-l.Context().Done()
		within(t, "the end", time.Since(start), 0, 10*time.Second/3)
		other := mustLock(t, k, "a")
		if err := l.Unlock(t.Context()); err != ErrLost || other.Fence() <= l.Fence() {
			t.Errorf("Unlock: %v, fence %d after %d", err, other.Fence(), l.Fence())
		}
		mustUnlock(t, other)
	})
}

// TryLock may be repeated with the same token, if its answer was lost.
func TestEntriesSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &generic{newEntries(t)}
		first, err := g.TryLock(t.Context(), "a", "token", time.Second)
		if err != nil || !first.Acquired {
			t.Fatal(first, err)
		}
		time.Sleep(900 * time.Millisecond)
		again, err := g.TryLock(t.Context(), "a", "token", time.Second)
		if err != nil || !again.Acquired || again.Fence <= first.Fence {
			t.Errorf("%+v after %+v, %v", again, first, err)
		}
		time.Sleep(900 * time.Millisecond)
		if r, err := g.TryLock(t.Context(), "a", "other", time.Second); err != nil || r.Acquired || r.Remaining > 100*time.Millisecond {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestFenceEntryOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEntries(t)
		if err := s.Set(t.Context(), "lockfence:a", []byte("tea"), store.Forever); err != nil {
			t.Fatal(err)
		}
		if _, err := newLock(t, s, nil).Lock(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if _, err := s.Get(t.Context(), "lockowner:a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the entry is left: %v", err)
		}
	})
}

// An entry that is not a lock, and does not expire.
func TestRetryAfterOfWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEntries(t)
		if err := s.Set(t.Context(), "lockowner:a", []byte("tea"), store.Forever); err != nil {
			t.Fatal(err)
		}
		k := newLock(t, s, nil)
		_, err := k.TryLock(t.Context(), "a")
		var held *HeldError
		if !errors.As(err, &held) || held.RetryAfter != time.Second {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(90*time.Second, func() { _ = s.Delete(context.Background(), "lockowner:a") })
		start := time.Now()
		mustUnlock(t, mustLock(t, k, "a"))
		within(t, "the lock", time.Since(start), 90*time.Second, 92*time.Second)
	})
}
