package memcache

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestMain(m *testing.M) { testservers.Main(m) }

var prefixes atomic.Int64

// newPrefix returns a prefix that no other test uses.
func newPrefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

// newClient returns a client with room for the tests' concurrency.
func newClient(tb testing.TB, addrs ...string) *memcache.Client {
	c := memcache.New(addrs...)
	c.MaxIdleConns = 64
	c.Timeout = 2 * time.Second
	tb.Cleanup(func() { c.Close() })
	return c
}

// newStore returns a store with a client of its own. Both are closed at the
// end of the test.
func newStore(tb testing.TB, opts *Options, addrs ...string) *Store {
	tb.Helper()
	return newStoreOver(tb, newClient(tb, addrs...), opts)
}

func newStoreOver(tb testing.TB, c *memcache.Client, opts *Options) *Store {
	tb.Helper()
	s, err := New(c, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func mustSet(t *testing.T, s *Store, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%q) = %v", key, err)
	}
}

func wantGet(t *testing.T, s *Store, key, want string) {
	t.Helper()
	if value, err := s.Get(t.Context(), key); err != nil || string(value) != want {
		t.Errorf("Get(%q) = %q, %v, want %q", key, value, err, want)
	}
}

func wantMiss(t *testing.T, s *Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if value, err := s.Get(t.Context(), key); value != nil || err != store.ErrNotFound { // the bare sentinel
			t.Errorf("Get(%q) = %q, %v, want a miss", key, value, err)
		}
	}
}

// wantErr reports an error that does not match want, or one where want is nil.
func wantErr(t *testing.T, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", call, got, want)
	}
}
