package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	_ "github.com/cairncache/cairn/adapters/null"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// backend stands for what the stores of a test are opened in: by the URL that
// its method gives. It notes what happens to them.
type backend struct {
	id string

	mu     sync.Mutex
	events []string         // such as "open local"
	fail   map[string]error // by event, what it fails with
	hook   func(event string)
	answer func() // called when a TTL is read, before it is answered
}

var backends struct {
	sync.Map
	n atomic.Int64
}

func newBackend(t *testing.T) *backend {
	b := &backend{id: fmt.Sprint(backends.n.Add(1)), fail: make(map[string]error)}
	backends.Store(b.id, b)
	t.Cleanup(func() { backends.Delete(b.id) })
	return b
}

func (b *backend) url(name string) string { return "fake:" + b.id + "/" + name }

// note notes an event and returns what it shall fail with.
func (b *backend) note(event string) error {
	if b.hook != nil {
		b.hook(event)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event)
	return b.fail[event]
}

func (b *backend) setFailure(event string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail[event] = err
}

// take returns the events whose names begin with prefix, in their order, and
// forgets all.
func (b *backend) take(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var events []string
	for _, e := range b.events {
		if strings.HasPrefix(e, prefix) {
			events = append(events, e)
		}
	}
	b.events = nil
	return events
}

func (b *backend) want(t *testing.T, prefix string, want ...string) {
	t.Helper()
	if got := b.take(prefix); !slices.Equal(got, want) {
		t.Errorf("%q were %q, want %q", prefix, got, want)
	}
}

// fake is a store that tells its backend of what is done to all of it.
type fake struct {
	*memory.Store
	name    string
	backend *backend
}

func (f *fake) Clear(ctx context.Context) error {
	return errors.Join(f.backend.note("clear "+f.name), f.Store.Clear(ctx))
}

func (f *fake) TTL(ctx context.Context, key string) (time.Duration, error) {
	ttl, err := f.Store.TTL(ctx, key)
	if f.backend.answer != nil {
		f.backend.answer()
	}
	return ttl, err
}

func (f *fake) Ping(ctx context.Context) error { return f.backend.note("ping " + f.name) }

func (f *fake) Watch(ctx context.Context, w store.Watcher) error {
	context.AfterFunc(ctx, func() { f.backend.note("unwatch " + f.name) })
	return f.Store.Watch(ctx, w)
}

func (f *fake) Close() error {
	return errors.Join(f.backend.note("close "+f.name), f.Store.Close())
}

// least is a store of four methods.
type least struct{ store.Store }

// clearOnly can clear, but not list its keys.
type clearOnly struct {
	store.Store
	clear func(context.Context) error
}

func (c clearOnly) Clear(ctx context.Context) error { return c.clear(ctx) }

// broken cannot be reconfigured, through no fault of the URL.
type broken struct{ store.Store }

func (broken) ReconfigureURL(*store.URL) error { return os.ErrPermission }

func init() {
	open := func(_ context.Context, u *store.URL) (store.Store, error) {
		id, name, _ := strings.Cut(u.Path, "/")
		b, _ := backends.Load(id)
		if err := b.(*backend).note("open " + name); err != nil {
			return nil, u.Errorf("%w", err)
		}
		o := &memory.Options{TTL: u.Duration("ttl")}
		prefix := u.Text("prefix")
		if err := u.Err(); err != nil {
			return nil, err
		}
		s, err := memory.New(o)
		return store.Prefix(&fake{s, name, b.(*backend)}, prefix), err
	}
	store.Register("fake", open)
	store.Register("least", func(ctx context.Context, u *store.URL) (store.Store, error) {
		s, err := open(ctx, u)
		return least{s}, err
	})
	store.Register("clear-only", func(ctx context.Context, u *store.URL) (store.Store, error) {
		s, err := open(ctx, u)
		if err != nil {
			return nil, err
		}
		return clearOnly{least{s}, s.(store.ClearStore).Clear}, nil
	})
	store.Register("broken", func(ctx context.Context, u *store.URL) (store.Store, error) {
		s, err := open(ctx, u)
		return broken{s}, err
	})
	store.Register("nothing", func(context.Context, *store.URL) (store.Store, error) { return nil, nil })
	store.Register("refused", func(context.Context, *store.URL) (store.Store, error) { return nil, os.ErrPermission })
}

func open(t *testing.T, c *config.Config) *config.Stores {
	t.Helper()
	s, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get returns the store of that name.
func get(t *testing.T, s *config.Stores, name string) store.Store {
	t.Helper()
	st, err := s.Store(name)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func set(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// wantValue asks for a value; an empty one is none.
func wantValue(t *testing.T, s store.Store, key, want string) {
	t.Helper()
	b, err := s.Get(t.Context(), key)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if string(b) != want || err != nil {
		t.Errorf("%s is %q, %v; want %q", key, b, err, want)
	}
}

// wantError asks for an error of a kind with a text in it.
func wantError(t *testing.T, err, kind error, text string) {
	t.Helper()
	if err == nil || !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Errorf("got  %v\nwant %v with %s", err, kind, text)
	}
}

// inside returns what a store wraps that is a T.
func inside[T any](t *testing.T, s store.Store) T {
	t.Helper()
	for {
		if found, ok := s.(T); ok {
			return found
		}
		w, ok := s.(store.Wrapper)
		if !ok {
			t.Fatalf("a %T has no %T in it", s, *new(T))
		}
		s = w.Unwrap()
	}
}
