package memcache

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

const life = 30 * time.Second

// grant takes a lease that must be free.
func grant(t *testing.T, s *Store, key, token string, despite *store.Live) {
	t.Helper()
	if l, err := s.GetOrLease(t.Context(), key, token, life, despite); l.Lease != store.LeaseGranted || err != nil {
		t.Fatalf("GetOrLease(%q, %q) = %v, %v, want the lease", key, token, l.Lease, err)
	}
}

// wantFill fills a key and checks whether that was done.
func wantFill(t *testing.T, s *Store, key, token string, want bool) {
	t.Helper()
	filled, err := s.Fill(t.Context(), key, token, store.LiveBytes([]byte("filled")), 0)
	if filled != want || err != nil {
		t.Errorf("Fill(%q, %q) = %v, %v, want %v", key, token, filled, err, want)
	}
}

func wantState(t *testing.T, s *Store, key string, want store.LeaseState) {
	t.Helper()
	l, err := s.GetOrLease(t.Context(), key, "another", life, nil)
	if l.Lease != want || err != nil {
		t.Errorf("GetOrLease(%q) = %v, %v, want %v", key, l.Lease, err, want)
	}
	if l.Lease != store.LeaseNone && (l.TTL <= 0 || l.TTL > life) {
		t.Errorf("GetOrLease(%q): %v for %v, want up to %v", key, l.Lease, l.TTL, life)
	}
}

// newStoreWithHook returns a store, and a function that has it call another
// one, once, when it has read an item and is about to replace it.
func newStoreWithHook(t *testing.T, opts *Options, addr string) (s *Store, beforeSwap func(func())) {
	var hook atomic.Pointer[func()]
	c := newClient(t, addr)
	c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return hookedConn{conn, &hook}, err
	}
	t.Cleanup(func() {
		if hook.Load() != nil {
			t.Error("nothing was replaced")
		}
	})
	return newStoreOver(t, c, opts), func(f func()) { hook.Store(&f) }
}

type hookedConn struct {
	net.Conn
	hook *atomic.Pointer[func()]
}

func (c hookedConn) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("cas ")) {
		if f := c.hook.Swap(nil); f != nil {
			(*f)()
		}
	}
	return c.Conn.Write(b)
}

// A call is made again when its answer was lost.
func TestLeaseWhoseAnswerIsLost(t *testing.T) {
	proxy := faultproxy.New(t, testservers.Memcached(t).Addr)
	s, beforeSwap := newStoreWithHook(t, &Options{Prefix: newPrefix()}, proxy.Addr)
	ctx := t.Context()
	nothing := func(string) {}
	for name, test := range map[string]struct{ before, lost, after func(key string) }{
		"GetOrLease": {
			nothing,
			func(key string) { grant(t, s, key, "token", nil) },
			func(key string) { wantFill(t, s, key, "token", true) },
		},
		"RenewLease": {
			func(key string) { grant(t, s, key, "token", nil) },
			func(key string) {
				if renewed, err := s.RenewLease(ctx, key, "token", time.Second); !renewed || err != nil {
					t.Errorf("RenewLease = %v, %v", renewed, err)
				}
			},
			func(key string) {
				if l, err := s.GetOrLease(ctx, key, "another", life, nil); l.Lease != store.LeaseTaken || l.TTL > time.Second || err != nil {
					t.Errorf("GetOrLease = %v, %v", l, err)
				}
			},
		},
		"Abandon": {
			func(key string) { grant(t, s, key, "token", nil) },
			func(key string) { wantErr(t, "Abandon", s.Abandon(ctx, key, "token"), nil) },
			func(key string) { wantState(t, s, key, store.LeaseGranted) },
		},
		"Hold": {
			func(key string) { grant(t, s, key, "token", nil) },
			func(key string) { wantErr(t, "Hold", s.Hold(ctx, key, life), nil) },
			func(key string) {
				wantFill(t, s, key, "token", false)
				wantState(t, s, key, store.LeaseBlocked)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.before(name)
			wantMiss(t, s, "other") // there is a connection, and a proof of the generation
			proxy.DropReply()
			test.lost(name)
			test.after(name)
		})
	}
	t.Run("Fill", func(t *testing.T) {
		grant(t, s, "k", "token", nil)
		beforeSwap(proxy.DropReply)
		wantFill(t, s, "k", "token", false) // the second one
		wantGet(t, s, "k", "filled")
	})
}

// A server that has restarted counts versions from the beginning, so that an
// item of before and one of now can have the same: the token tells them apart.
func TestLeasesOfAServerThatRestarts(t *testing.T) {
	server := testservers.StartMemcached(t)
	s := newStore(t, nil, server.Addr)
	grant(t, s, "k", "old", nil)
	server.Kill()
	server.Restart()
	wantFill(t, s, "k", "old", false)
	grant(t, s, "k", "new", nil)
	wantFill(t, s, "k", "old", false)
	wantFill(t, s, "k", "new", true)
}

// Touch and Abandon write the item that holds an entry and a lease, and leave
// the other half as it is.
func TestLeaseDespite(t *testing.T) {
	s := newStore(t, &Options{Prefix: newPrefix()}, testservers.Memcached(t).Addr)
	ctx := t.Context()
	old := store.LiveBytes([]byte("old"))
	wantTTL := func(least, most time.Duration) {
		t.Helper()
		if value, ttl, err := s.GetWithTTL(ctx, "k"); string(value) != "old" || ttl <= least || ttl > most || err != nil {
			t.Errorf("GetWithTTL = %q, %v, %v, want the entry for %v to %v", value, ttl, err, least, most)
		}
	}
	mustSet(t, s, "k", "old", time.Minute)
	grant(t, s, "k", "token", old)
	wantTTL(59*time.Second, time.Minute)
	if l, err := s.GetOrLease(ctx, "k", "another", life, old); l.Lease != store.LeaseTaken || err != nil {
		t.Errorf("another asks: %v, %v", l, err)
	}
	wantErr(t, "Touch", s.Touch(ctx, "k", time.Hour), nil)
	wantTTL(59*time.Minute, time.Hour)
	wantErr(t, "Abandon", s.Abandon(ctx, "k", "token"), nil)
	wantTTL(59*time.Minute, time.Hour)
	wantFill(t, s, "k", "token", false)

	grant(t, s, "k", "token", old)
	wantErr(t, "Touch", s.Touch(ctx, "k", 1), nil) // the entry expires, the lease does not
	wantMiss(t, s, "k")
	wantState(t, s, "k", store.LeaseTaken)
	wantFill(t, s, "k", "token", true)
	wantGet(t, s, "k", "filled")

	grant(t, s, "k", "token", store.LiveBytes([]byte("filled")))
	if swapped, err := s.CompareAndSwap(ctx, "k", []byte("filled"), []byte("filled"), 0); !swapped || err != nil {
		t.Errorf("CompareAndSwap = %v, %v", swapped, err)
	}
	wantFill(t, s, "k", "token", false)
}

func TestLeaseDespiteIsDeclined(t *testing.T) {
	addr, prefix := testservers.Memcached(t).Addr, newPrefix()
	s := newStore(t, &Options{Prefix: prefix}, addr)
	ctx := t.Context()
	if err := newClient(t, addr).Set(&memcache.Item{Key: prefix + "foreign", Value: []byte("raw")}); err != nil {
		t.Fatal(err)
	}
	_, err := s.GetOrLease(ctx, "foreign", "token", life, store.LiveBytes([]byte("raw")))
	wantErr(t, "GetOrLease despite another program's value", err, errors.ErrUnsupported)
	if errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v matches ErrUnavailable", err)
	}
	wantGet(t, s, "foreign", "raw")

	largest := func() []byte { // the largest value that fits
		for size := 1 << 20; ; size -= 8 {
			value := bytes.Repeat([]byte("v"), size)
			if err := s.Set(ctx, "large", value, 0); err == nil {
				return value
			} else if !errors.Is(err, store.ErrTooLarge) {
				t.Fatal(err)
			}
		}
	}()
	_, err = s.GetOrLease(ctx, "large", strings.Repeat("t", 64), life, store.LiveBytes(largest))
	wantErr(t, "GetOrLease despite the largest value", err, store.ErrTooLarge)
	wantGet(t, s, "large", string(largest))
}

func TestFillTooLarge(t *testing.T) {
	s := newStore(t, &Options{Prefix: newPrefix()}, testservers.Memcached(t).Addr)
	grant(t, s, "k", "token", nil)
	filled, err := s.Fill(t.Context(), "k", "token", store.LiveBytes(make([]byte, 2<<20)), 0)
	if wantErr(t, "Fill", err, store.ErrTooLarge); filled {
		t.Error("it was filled")
	}
	wantFill(t, s, "k", "token", true)
}

// Without versions a Fill is not possible, so no lease is granted.
func TestLeasesWithoutVersions(t *testing.T) {
	s := newStore(t, nil, testservers.StartMemcached(t, "-C").Addr)
	_, err := s.GetOrLease(t.Context(), "k", "token", life, nil)
	wantErr(t, "GetOrLease", err, errors.ErrUnsupported)
	_, err = store.GetOrLease(t.Context(), s, "k", "token", life, nil)
	wantErr(t, "store.GetOrLease", err, errors.ErrUnsupported)
}

// What was read before a Clear must not be written into the new generation.
func TestClearDuringAnUpdate(t *testing.T) {
	addr, opts := testservers.Memcached(t).Addr, &Options{Prefix: newPrefix()}
	s, beforeSwap := newStoreWithHook(t, opts, addr)
	other := newStore(t, opts, addr)
	ctx := t.Context()
	for name, update := range map[string]func() error{
		"Touch":          func() error { return s.Touch(ctx, "k", time.Hour) },
		"CompareAndSwap": func() error { _, err := s.CompareAndSwap(ctx, "k", []byte("v"), []byte("w"), 0); return err },
		"Fill": func() error {
			_, err := s.Fill(ctx, "k", "token", store.LiveBytes([]byte("w")), 0)
			return err
		},
	} {
		if name == "Fill" {
			grant(t, s, "k", "token", nil)
		} else {
			mustSet(t, s, "k", "v", 0)
		}
		beforeSwap(func() {
			wantErr(t, "Clear", other.Clear(ctx), nil)
			wantMiss(t, s, "other") // s has noticed
		})
		wantErr(t, name, update(), nil)
		wantMiss(t, s, "k")
	}
}
