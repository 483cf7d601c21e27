package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

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
			lost:   func(t *testing.T, key string) { wantNil(t, s.Hold(ctx, key, "writer", patience)) },
			after: func(t *testing.T, key string) {
				wantFill(t, s, key, "token", false)
				wantState(t, s, key, store.LeaseBlocked)
			},
		},
		"Release": {
			before: func(t *testing.T, key string) { wantNil(t, s.Hold(ctx, key, "writer", patience)) },
			lost:   func(t *testing.T, key string) { wantNil(t, s.Release(ctx, key, "writer")) },
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

// onServers runs a test with two stores of the same entries, each of which has a
// client of its own.
func onServers(t *testing.T, test func(t *testing.T, stores []*Store)) {
	for name, client := range map[string]func() goredis.UniversalClient{
		"single":  func() goredis.UniversalClient { return newClient(t, testservers.Redis(t).Addr) },
		"cluster": func() goredis.UniversalClient { return newCluster(t) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := &Options{Prefix: unique(t), Timeout: patience}
			test(t, []*Store{newStore(t, client(), opts), newStore(t, client(), opts)})
		})
	}
}

func TestOneOfManyGetsTheLease(t *testing.T) {
	onServers(t, func(t *testing.T, stores []*Store) {
		for _, key := range []string{"plain", "{tag}ged", "br{aces", "}"} {
			var granted atomic.Int64
			var wg sync.WaitGroup
			for i := range 2 * 64 {
				wg.Go(func() {
					l, err := stores[i%2].GetOrLease(t.Context(), key, fmt.Sprint("token", i), patience, nil)
					if err != nil {
						t.Error(err)
					}
					if l.Lease == store.LeaseGranted {
						granted.Add(1)
					}
				})
			}
			wg.Wait()
			if granted.Load() != 1 {
				t.Errorf("%q: %d leases were granted", key, granted.Load())
			}
		}
	})
}

// What was loaded before a write is not there after it.
func TestNoLoadOvertakesAWrite(t *testing.T) {
	onServers(t, func(t *testing.T, stores []*Store) {
		testNoLoadOvertakesAWrite(t, stores[0], stores[1])
	})
}

func testNoLoadOvertakesAWrite(t *testing.T, s, other store.LeaseStore) {
	const rounds = 300
	var source atomic.Int64
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 8 {
		wg.Go(func() { // loads all the time, also despite what there is
			var despite *store.Live
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				token := fmt.Sprint(i, "-", n)
				l, err := other.GetOrLease(t.Context(), "k", token, patience, despite)
				if err != nil {
					t.Error(err)
					return
				}
				despite = l.Live
				if l.Lease != store.LeaseGranted {
					continue
				}
				loaded := store.LiveBytes(fmt.Append(nil, source.Load()))
				if _, err := other.Fill(t.Context(), "k", token, loaded, 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range rounds {
		now := fmt.Append(nil, source.Add(1))
		var err error
		switch i % 3 {
		case 0:
			err = s.Delete(t.Context(), "k")
		case 1:
			err = s.Set(t.Context(), "k", now, 0)
		case 2:
			if err = s.Hold(t.Context(), "k", "writer", patience); err == nil {
				now = fmt.Append(nil, source.Add(1))
				err = s.Release(t.Context(), "k", "writer")
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if value, err := s.Get(t.Context(), "k"); err != store.ErrNotFound && (err != nil || string(value) != string(now)) {
			t.Fatalf("round %d: %q, %v, after %q was written", i, value, err, now)
		}
	}
	close(done)
	wg.Wait()
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

// A Fill between the two commands of a Set would find the entry; without it,
// the load of before the Set would be there until it.
func TestSetWritesBeforeItEndsTheLease(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	var names []string
	client.AddHook(hook{pipeline: func(ctx context.Context, cmds []goredis.Cmder, next goredis.ProcessPipelineHook) error {
		if cmds[0].Name() == "client" { // a greeting
			return next(ctx, cmds)
		}
		for _, cmd := range cmds {
			names = append(names, cmd.Name())
		}
		return next(ctx, cmds)
	}})
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	for name, set := range map[string]func() error{
		"Set":     func() error { return s.Set(context.Background(), "k", nil, 0) },
		"SetMany": func() error { return s.SetMany(context.Background(), []store.Item{{Key: "k"}}) },
	} {
		names = nil
		wantNil(t, set())
		if !slices.Equal(names, []string{"set", "unlink"}) {
			t.Errorf("%s sent %q", name, names)
		}
	}
}

// An error of the second command of a Set is an error of the Set: the lease
// that it should have ended may be alive.
func TestSetThatCannotEndTheLease(t *testing.T) {
	server := testservers.StartRedis(t)
	admin := newClient(t, server.Addr)
	if err := admin.ACLSetUser(t.Context(), "app", "on", ">secret", "~app:*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, Username: "app", Password: "secret"}))
	t.Cleanup(func() { client.Close() })
	s := newStore(t, client, &Options{Prefix: "app:", Timeout: patience})
	err := s.Set(t.Context(), "k", nil, 0)
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), leaseMark) {
		t.Errorf("got %v, want an error that says what to allow", err)
	}
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
