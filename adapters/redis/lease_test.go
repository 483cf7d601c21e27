package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// grant takes a lease that must be free.
func grant(t *testing.T, s store.LeaseStore, key, token string, despite *store.Live) {
	t.Helper()
	if l, err := s.GetOrLease(t.Context(), key, token, patience, despite); l.Lease != store.LeaseGranted || err != nil {
		t.Fatalf("GetOrLease(%q, %q): got %v, %v, want the lease", key, token, l.Lease, err)
	}
}

// wantFill fills a key and checks whether that was done.
func wantFill(t *testing.T, s store.LeaseStore, key, token string, want bool) {
	t.Helper()
	filled, err := s.Fill(t.Context(), key, token, store.LiveBytes([]byte("filled")), 0)
	if filled != want || err != nil {
		t.Errorf("Fill(%q, %q): got %v, %v, want %v", key, token, filled, err, want)
	}
}

func wantState(t *testing.T, s store.LeaseStore, key string, want store.LeaseState) {
	t.Helper()
	l, err := s.GetOrLease(t.Context(), key, "another", patience, nil)
	if l.Lease != want || err != nil {
		t.Errorf("GetOrLease(%q): got %v, %v, want %v", key, l.Lease, err, want)
	}
	if l.Lease != store.LeaseNone && (l.TTL <= 0 || l.TTL > patience) {
		t.Errorf("GetOrLease(%q): %v for %v, want up to %v", key, l.Lease, l.TTL, patience)
	}
}

// The client repeats a script whose answer was lost.
func TestLeaseWhoseAnswerIsLost(t *testing.T) {
	proxy := faultproxy.New(t, testservers.Redis(t).Addr)
	client := newClient(t, proxy.Addr)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	for name, test := range map[string]struct {
		before, lost, after func(t *testing.T, key string)
	}{
		"GetOrLease": {
			lost:  func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			after: func(t *testing.T, key string) { wantFill(t, s, key, "token", true) },
		},
		"Fill": {
			before: func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			lost:   func(t *testing.T, key string) { wantFill(t, s, key, "token", false) }, // the second one
			after:  func(t *testing.T, key string) { wantState(t, s, key, store.LeaseNone) },
		},
		"RenewLease": {
			before: func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			lost: func(t *testing.T, key string) {
				if renewed, err := s.RenewLease(ctx, key, "token", time.Second); !renewed || err != nil {
					t.Errorf("got %v, %v", renewed, err)
				}
			},
			after: func(t *testing.T, key string) {
				if l, err := s.GetOrLease(ctx, key, "another", time.Second, nil); l.Lease != store.LeaseTaken || l.TTL > time.Second || err != nil {
					t.Errorf("got %v, %v", l, err)
				}
			},
		},
		"Abandon": {
			before: func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			lost:   func(t *testing.T, key string) { wantNil(t, s.Abandon(ctx, key, "token")) },
			after:  func(t *testing.T, key string) { wantState(t, s, key, store.LeaseGranted) },
		},
		"Hold": {
			before: func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			lost:   func(t *testing.T, key string) { wantNil(t, s.Hold(ctx, key, patience)) },
			after: func(t *testing.T, key string) {
				wantFill(t, s, key, "token", false)
				wantState(t, s, key, store.LeaseBlocked)
			},
		},
		"Delete": {
			before: func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			lost:   func(t *testing.T, key string) { wantNil(t, s.Delete(ctx, key)) },
			after:  func(t *testing.T, key string) { wantState(t, s, key, store.LeaseGranted) },
		},
		"Set": {
			before: func(t *testing.T, key string) { grant(t, s, key, "token", nil) },
			lost:   func(t *testing.T, key string) { wantNil(t, s.Set(ctx, key, nil, 0)) },
			after: func(t *testing.T, key string) {
				wantNil(t, client.Del(ctx, s.prefix+key).Err()) // as if it had expired
				wantFill(t, s, key, "token", false)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.before != nil {
				test.before(t, name)
			}
			wantNil(t, s.Set(ctx, "other", nil, 0)) // both kinds of connections are there
			wantNil(t, s.Ping(ctx))
			proxy.DropReply()
			test.lost(t, name)
			test.after(t, name)
		})
	}
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// A server that has lost its data has lost the leases, and nobody fills by one.
func TestLeasesOfAServerThatRestarts(t *testing.T) {
	server := testservers.StartRedis(t)
	s := newStore(t, newClient(t, server.Addr), &Options{Timeout: patience})
	grant(t, s, "k", "old", nil)
	server.Kill()
	server.Restart()
	wantFill(t, s, "k", "old", false)
	grant(t, s, "k", "new", nil)
	wantFill(t, s, "k", "old", false)
	wantFill(t, s, "k", "new", true)
}

// Sets that travel together end their leases too.
func TestGatheredSetsEndLeases(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	gathered(t, client, func(s *Store) {
		key := func(i int) string { return fmt.Sprint("key", i) }
		for i := range 100 {
			grant(t, s, key(i), "token", nil)
		}
		crowd(100, func(i int) { wantNil(t, s.Set(context.Background(), key(i), []byte("set"), 0)) })
		for i := range 100 {
			if n := client.Exists(t.Context(), leaseKey(s.prefix+key(i))).Val(); n != 0 {
				t.Errorf("the lease of %s is still there", key(i))
			}
			if value, err := s.Get(t.Context(), key(i)); string(value) != "set" || err != nil {
				t.Errorf("Get: %q, %v", value, err)
			}
		}
	})
}

func TestFillTooLarge(t *testing.T) {
	s := newStore(t, newClient(t, miniredis.RunT(t).Addr()), nil)
	ctx := context.Background()
	grant(t, s, "k", "token", nil)
	large := make([]byte, maxValue+1) // never touched, so never in memory
	if filled, err := s.Fill(ctx, "k", "token", store.LiveBytes(large), 0); filled || !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v, %v, want ErrTooLarge", filled, err)
	}
	wantFill(t, s, "k", "token", true)
}

// A value in the last millisecond of its life is a miss to TTL, so to leases.
func TestLeaseOfWhatIsAboutToExpire(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	for range 100 {
		wantNil(t, s.Set(t.Context(), "k", []byte("v"), time.Millisecond))
		l, err := s.GetOrLease(t.Context(), "k", "token", patience, nil)
		if err != nil || l.Lease == store.LeaseNone && l.TTL <= 0 {
			t.Fatalf("got %v, %v", l, err)
		}
		if l.Lease == store.LeaseGranted {
			wantFill(t, s, "k", "token", true)
		}
		wantNil(t, s.Delete(t.Context(), "k"))
	}
}
