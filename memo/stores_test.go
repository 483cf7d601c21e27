package memo_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// liveStore is the least that a store of live values can be.
type liveStore struct {
	ttl time.Duration // what store.DefaultTTL stands for; 0 is Forever

	mu      sync.Mutex
	entries map[string]liveEntry
}

type liveEntry struct {
	live    *store.Live
	expires time.Time // zero if never
}

func newLiveStore() *liveStore { return &liveStore{entries: make(map[string]liveEntry)} }

func (s *liveStore) find(ctx context.Context, op, key string) (liveEntry, error) {
	if err := store.Check(ctx, op, key); err != nil {
		return liveEntry{}, err
	}
	s.mu.Lock()
	e, ok := s.entries[key]
	s.mu.Unlock()
	if !ok || !e.expires.IsZero() && !time.Now().Before(e.expires) {
		return liveEntry{}, store.ErrNotFound
	}
	return e, nil
}

func (s *liveStore) GetLive(ctx context.Context, key string) (*store.Live, error) {
	e, err := s.find(ctx, "getlive", key)
	return e.live, err
}

func (s *liveStore) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	if err := store.Check(ctx, "setlive", key); err != nil {
		return err
	}
	if err := store.CheckTTL("setlive", key, ttl); err != nil {
		return err
	}
	e := liveEntry{live: l}
	if ttl == store.DefaultTTL {
		ttl = s.ttl
	}
	if ttl != 0 && ttl != math.MaxInt64 {
		e.expires = time.Now().Add(ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[key] = e
	return nil
}

func (s *liveStore) Get(ctx context.Context, key string) ([]byte, error) {
	l, err := s.GetLive(ctx, key)
	if err != nil {
		return nil, err
	}
	b, err := l.Bytes()
	return bytes.Clone(b), err
}

func (s *liveStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.SetLive(ctx, key, store.LiveBytes(bytes.Clone(value)), ttl)
}

func (s *liveStore) Delete(ctx context.Context, key string) error {
	if err := store.Check(ctx, "delete", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
	return nil
}

func (s *liveStore) TTL(ctx context.Context, key string) (time.Duration, error) {
	e, err := s.find(ctx, "ttl", key)
	if err != nil || e.expires.IsZero() {
		return store.Forever, err
	}
	return time.Until(e.expires), nil
}

// onEachStore runs a test in a bubble, over a store of live values, one of
// bytes alone, and a wrapper.
func onEachStore(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	for name, wrap := range map[string]func(store.Store) store.Store{
		"live":   func(s store.Store) store.Store { return s },
		"bytes":  storetest.Bare,
		"prefix": func(s store.Store) store.Store { return store.Prefix(s, "p:") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, wrap(newLiveStore())) })
		})
	}
}

// newMemo makes a Memo that is closed with the test, which fails if the loads
// do not end.
func newMemo(t *testing.T, s store.Store, o *memo.Options) *memo.Memo {
	t.Helper()
	if o == nil {
		o = new(memo.Options)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := memo.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// wrap is memo.Wrap of one more function.
func wrap[K, V any](t *testing.T, m *memo.Memo, name string, fn func(context.Context, K) (V, error), o *memo.FuncOptions[K, V]) *memo.Func[K, V] {
	t.Helper()
	f, err := memo.Wrap(m, name, fn, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// get fails the test if there is an error.
func get[K, V any](t *testing.T, f *memo.Func[K, V], k K) V {
	t.Helper()
	v, err := f.Get(t.Context(), k)
	if err != nil {
		t.Errorf("Get(%v): %v", k, err)
	}
	return v
}

// events collects what a Trace is told.
type events struct {
	mu           sync.Mutex
	starts       []memo.LoadStartInfo
	loads        []memo.LoadDoneInfo
	storeErrors  []memo.StoreErrorInfo
	encodeErrors []memo.EncodeErrorInfo
	decodeErrors []memo.DecodeErrorInfo
}

func collect[T any](e *events, list *[]T) func(context.Context, T) {
	return func(_ context.Context, info T) {
		e.mu.Lock()
		defer e.mu.Unlock()
		*list = append(*list, info)
	}
}

func (e *events) trace() *memo.Trace {
	return &memo.Trace{
		LoadStart:   collect(e, &e.starts),
		LoadDone:    collect(e, &e.loads),
		StoreError:  collect(e, &e.storeErrors),
		EncodeError: collect(e, &e.encodeErrors),
		DecodeError: collect(e, &e.decodeErrors),
	}
}

// want checks how many failures there were.
func (e *events) want(t *testing.T, loads, storeErrors, encodeErrors, decodeErrors int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.starts) != loads || len(e.loads) != loads {
		t.Errorf("%d loads have begun and %d ended, want %d", len(e.starts), len(e.loads), loads)
	}
	if len(e.storeErrors) != storeErrors {
		t.Errorf("%d errors of the store, want %d: %v", len(e.storeErrors), storeErrors, e.storeErrors)
	}
	if len(e.encodeErrors) != encodeErrors {
		t.Errorf("%d errors of encoding, want %d: %v", len(e.encodeErrors), encodeErrors, e.encodeErrors)
	}
	if len(e.decodeErrors) != decodeErrors {
		t.Errorf("%d errors of decoding, want %d: %v", len(e.decodeErrors), decodeErrors, e.decodeErrors)
	}
}

// brokenStore is a store whose backend is away.
type brokenStore struct{}

func (brokenStore) Get(_ context.Context, key string) ([]byte, error) {
	return nil, store.Errorf("get", key, store.ErrUnavailable, "connection refused")
}

func (brokenStore) Set(_ context.Context, key string, _ []byte, _ time.Duration) error {
	return store.Errorf("set", key, store.ErrUnavailable, "connection refused")
}

func (brokenStore) Delete(_ context.Context, key string) error {
	return store.Errorf("delete", key, store.ErrUnavailable, "connection refused")
}

func (brokenStore) TTL(_ context.Context, key string) (time.Duration, error) {
	return 0, store.Errorf("ttl", key, store.ErrUnavailable, "connection refused")
}

// newExampleMemo is what the examples that are not about it begin with.
func newExampleMemo() *memo.Memo {
	m, err := memo.New(newLiveStore(), &memo.Options{Namespace: "app"})
	if err != nil {
		panic(err)
	}
	return m
}
