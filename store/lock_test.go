package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// locked notes the calls of a WatchLockStore, and answers as it is told to.
type locked struct {
	*mapStore
	calls []string
	err   error
	freed chan struct{}
}

func newLocked() *locked { return &locked{mapStore: newMap(), freed: make(chan struct{})} }

func (l *locked) call(parts ...string) error {
	l.calls = append(l.calls, strings.Join(parts, " "))
	return l.err
}

func (l *locked) TryLock(_ context.Context, key, token string, ttl time.Duration) (store.LockResult, error) {
	if err := l.call("trylock", key, token, ttl.String()); err != nil {
		return store.LockResult{}, err
	}
	return store.LockResult{Acquired: true, Fence: 7}, nil
}

func (l *locked) ExtendLock(_ context.Context, key, token string, ttl time.Duration) (bool, error) {
	err := l.call("extendlock", key, token, ttl.String())
	return err == nil, err
}

func (l *locked) Unlock(_ context.Context, key, token string) (bool, error) {
	err := l.call("unlock", key, token)
	return err == nil, err
}

func (l *locked) WatchLock(_ context.Context, key string) (<-chan struct{}, error) {
	if err := l.call("watchlock", key); err != nil {
		return nil, err
	}
	return l.freed, nil
}

// lockCalls are the four methods, with whether they have returned something.
func lockCalls(ctx context.Context, s store.Store) map[string]func(key string) (bool, error) {
	ls := s.(store.WatchLockStore)
	return map[string]func(key string) (bool, error){
		"trylock": func(key string) (bool, error) {
			r, err := ls.TryLock(ctx, key, "token", time.Minute)
			return r != store.LockResult{}, err
		},
		"extendlock": func(key string) (bool, error) { return ls.ExtendLock(ctx, key, "token", time.Hour) },
		"unlock":     func(key string) (bool, error) { return ls.Unlock(ctx, key, "token") },
		"watchlock": func(key string) (bool, error) {
			freed, err := ls.WatchLock(ctx, key)
			return freed != nil, err
		},
	}
}

func TestWrappersForwardLocks(t *testing.T) {
	l := newLocked()
	r := storetest.NewRecorder(store.Prefix(l, "p:"))
	for op, call := range lockCalls(t.Context(), r) {
		if something, err := call("k"); !something || err != nil {
			t.Errorf("%s: %v, %v", op, something, err)
		}
		if r.Count(op) != 1 || r.Calls()[0].Key() != "k" {
			t.Errorf("%s: the calls %v were recorded", op, r.Calls())
		}
		r.Reset()
	}
	slices.Sort(l.calls)
	if want := []string{"extendlock p:k token 1h0m0s", "trylock p:k token 1m0s", "unlock p:k token", "watchlock p:k"}; !slices.Equal(l.calls, want) {
		t.Errorf("the store was called with %q, want %q", l.calls, want)
	}
	if !store.Supports[store.WatchLockStore](r) || store.Supports[store.LeaseStore](r) {
		t.Error("the abilities are not those of the store below")
	}
	if store.Supports[store.LockStore](store.Prefix(storetest.Bare(l), "p:")) {
		t.Error("Bare shows locks")
	}
}

func TestLockErrorsNameTheViewsKey(t *testing.T) {
	l := newLocked()
	for op, call := range lockCalls(t.Context(), store.Prefix(l, "p:")) {
		l.err = store.Errorf(op, "p:k", store.ErrUnavailable, "down")
		something, err := call("k")
		var e *store.Error
		if something || !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &e) || e.Op != op || e.Key != "k" {
			t.Errorf("%s: %v, %v; want an error with the view's own key alone", op, something, err)
		}
		l.calls = nil
		for _, key := range []string{"", strings.Repeat("k", store.MaxKeyLen)} {
			if something, err := call(key); something || !errors.Is(err, store.ErrInvalid) || len(l.calls) > 0 {
				t.Errorf("%s of a key of %d bytes: %v, %v, and the store was called with %q", op, len(key), something, err, l.calls)
			}
		}
	}
}

// A wrapper has the methods, and declines where the store below has none.
func TestWrappersDeclineLocks(t *testing.T) {
	m := newMap()
	for name, s := range map[string]store.Store{
		"Prefix": store.Prefix(m, "p:"), "Recorder": storetest.NewRecorder(m), "both": storetest.NewRecorder(store.Prefix(m, "p:")),
	} {
		for op, call := range lockCalls(t.Context(), s) {
			if something, err := call("k"); something || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %s: %v, %v", name, op, something, err)
			}
		}
	}
}

func TestFaultyLosesAnswersOfLocks(t *testing.T) {
	l := newLocked()
	s := storetest.Faulty(l, nil, func(storetest.Call) error { return errors.New("lost") })
	for op, call := range lockCalls(t.Context(), s) {
		if something, err := call("k"); something || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, %v", op, something, err)
		}
	}
	if len(l.calls) != 4 {
		t.Errorf("calls that reached the store: %q", l.calls)
	}
}
