package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// take takes a lock that must be free, and returns the fence.
func take(t *testing.T, s store.LockStore, key, token string) uint64 {
	t.Helper()
	r, err := s.TryLock(t.Context(), key, token, patience)
	if !r.Acquired || r.Fence == 0 || err != nil {
		t.Fatalf("TryLock(%q, %q): got %+v, %v, want the lock", key, token, r, err)
	}
	return r.Fence
}

func wantHeld(t *testing.T, s store.LockStore, key string) {
	t.Helper()
	r, err := s.TryLock(t.Context(), key, "another", patience)
	if r.Acquired || r.Remaining <= 0 || r.Remaining > patience+time.Millisecond || err != nil {
		t.Errorf("TryLock(%q): got %+v, %v, want it to be held", key, r, err)
	}
}

func free(t *testing.T, s store.LockStore, key, token string) {
	t.Helper()
	if unlocked, err := s.Unlock(t.Context(), key, token); !unlocked || err != nil {
		t.Fatalf("Unlock(%q, %q): got %v, %v", key, token, unlocked, err)
	}
}

// The client repeats a script whose answer was lost.
func TestLockWhoseAnswerIsLost(t *testing.T) {
	server := testservers.Redis(t)
	proxy := faultproxy.New(t, server.Addr)
	opts := &Options{Prefix: unique(t), Timeout: patience}
	s := newStore(t, newClient(t, proxy.Addr), opts)
	direct := newStore(t, newClient(t, server.Addr), opts)
	var fence uint64
	for _, test := range []struct {
		name string
		lost func(t *testing.T, key string)
		then func(t *testing.T, key string)
	}{
		{"TryLock", func(t *testing.T, key string) { fence = take(t, s, key, "token") }, func(t *testing.T, key string) {
			wantHeld(t, direct, key)
			if again := take(t, direct, key, "token"); again != fence {
				t.Errorf("the fence is %d, and was %d", again, fence)
			}
			free(t, direct, key, "token")
			if next := take(t, direct, key, "next"); next != fence+1 && next < fence {
				t.Errorf("the next fence is %d after %d", next, fence)
			}
		}},
		{"ExtendLock", func(t *testing.T, key string) {
			take(t, direct, key, "token")
			if extended, err := s.ExtendLock(t.Context(), key, "token", patience); !extended || err != nil {
				t.Errorf("got %v, %v", extended, err)
			}
		}, func(t *testing.T, key string) { wantHeld(t, direct, key) }},
		{"Unlock", func(t *testing.T, key string) {
			take(t, direct, key, "token")
			if unlocked, err := s.Unlock(t.Context(), key, "token"); unlocked || !errors.Is(err, store.ErrUnavailable) { // not that it was lost
				t.Errorf("got %v, %v", unlocked, err)
			}
		}, func(t *testing.T, key string) { take(t, direct, key, "next") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			take(t, s, "other"+test.name, "token") // the connection is there, and the server knows the script
			free(t, s, "other"+test.name, "token")
			wantNil(t, s.Ping(t.Context()))
			proxy.DropReply()
			test.lost(t, test.name)
			test.then(t, test.name)
		})
	}
}

// A server that has lost its data has lost the locks. Their fences grow on.
func TestFencesOutliveTheData(t *testing.T) {
	server := testservers.StartRedis(t)
	client := newClient(t, server.Addr)
	s := newStore(t, client, &Options{Timeout: patience})
	for name, lose := range map[string]func(){
		"FLUSHALL": func() { wantNil(t, client.FlushAll(t.Context()).Err()) },
		"restart":  func() { server.Kill(); server.Restart() },
	} {
		before := take(t, s, "k", "old "+name)
		lose()
		if extended, err := s.ExtendLock(t.Context(), "k", "old "+name, patience); extended || err != nil {
			t.Errorf("%s: ExtendLock of a lost lock: %v, %v", name, extended, err)
		}
		if unlocked, err := s.Unlock(t.Context(), "k", "old "+name); unlocked || err != nil {
			t.Errorf("%s: Unlock of a lost lock: %v, %v", name, unlocked, err)
		}
		if after := take(t, s, "k", "new"); after <= before {
			t.Errorf("%s: the fence is %d after %d", name, after, before)
		}
		free(t, s, "k", "new")
	}
}

// A fence is the time of the server, unless that has gone back, or stood still:
// then it is one more than the last.
func TestFenceAndClock(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	now, err := client.Time(ctx).Result()
	wantNil(t, err)
	if fence := take(t, s, "k", "1"); fence < uint64(now.UnixMicro()) || fence > uint64(now.Add(patience).UnixMicro()) {
		t.Errorf("the fence is %d at %d µs", fence, now.UnixMicro())
	}
	free(t, s, "k", "1")
	keys := lockKeys(s.prefix + "k")
	ahead := uint64(now.Add(time.Hour).UnixMicro())
	wantNil(t, client.Set(ctx, keys[1], strconv.FormatUint(ahead, 10), time.Second).Err())
	if fence := take(t, s, "k", "2"); fence != ahead+1 {
		t.Errorf("the fence is %d after %d", fence, ahead)
	}
	for _, test := range []struct {
		name  string
		renew func()
	}{
		{"TryLock", func() {}},
		{"TryLock again", func() { take(t, s, "k", "2") }},
		{"ExtendLock", func() { s.ExtendLock(ctx, "k", "2", patience) }},
	} {
		test.renew()
		if ttl := client.PTTL(ctx, keys[1]).Val(); ttl <= fenceLife || ttl > fenceLife+patience {
			t.Errorf("%s: the fence is kept for %v", test.name, ttl)
		}
		wantNil(t, client.Expire(ctx, keys[1], time.Second).Err())
	}
	s.ExtendLock(ctx, "k", "2", store.Forever)
	if ttl := client.PTTL(ctx, keys[1]).Val(); ttl < store.Forever-time.Hour {
		t.Errorf("the fence of a lock that is held for ever is kept for %v", ttl)
	}
	free(t, s, "k", "2")
	if fence := take(t, s, "k", "3"); fence != ahead+2 {
		t.Errorf("the fence is %d after %d", fence, ahead+1)
	}
}

func TestLockRoundTrips(t *testing.T) {
	for name, client := range map[string]goredis.UniversalClient{
		"single": newClient(t, testservers.Redis(t).Addr), "cluster": newCluster(t),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
			ctx := t.Context()
			for i := range 20 { // on each server
				key := fmt.Sprint("key", i)
				take(t, s, key, "token")
				s.ExtendLock(ctx, key, "token", patience)
				free(t, s, key, "token")
			}
			trips := countTrips(client)
			for _, test := range []struct {
				name string
				call func()
			}{
				{"TryLock", func() { take(t, s, "key1", "token") }},
				{"TryLock of a lock that is held", func() { wantHeld(t, s, "key1") }},
				{"ExtendLock", func() { s.ExtendLock(ctx, "key1", "token", patience) }},
				{"Unlock", func() { free(t, s, "key1", "token") }},
			} {
				before := trips.Load()
				test.call()
				if n := trips.Load() - before; n != 1 {
					t.Errorf("%s took %d round trips", test.name, n)
				}
			}
		})
	}
}

func TestLockScriptsAreSentAgain(t *testing.T) {
	client := newClient(t, testservers.StartRedis(t).Addr)
	s := newStore(t, client, &Options{Timeout: patience})
	flush := func() { wantNil(t, client.ScriptFlush(t.Context()).Err()) }
	flush()
	take(t, s, "k", "token")
	flush()
	if extended, err := s.ExtendLock(t.Context(), "k", "token", patience); !extended || err != nil {
		t.Errorf("ExtendLock: %v, %v", extended, err)
	}
	flush()
	free(t, s, "k", "token")
}

// A lock and its fence are in one slot, which is that of the key, and no two
// keys share any.
func TestLockKeys(t *testing.T) {
	client := newCluster(t)
	all := make(map[string]string)
	for full := range leaseKeys {
		keys := lockKeys(full)
		for _, key := range []string{leaseKey(full), keys[0], keys[1]} {
			if other, taken := all[key]; taken {
				t.Errorf("%q is for %q and for %q", key, full, other)
			}
			all[key] = full
			want, _ := client.ClusterKeySlot(t.Context(), full).Result()
			if got, err := client.ClusterKeySlot(t.Context(), key).Result(); got != want || err != nil {
				t.Errorf("%q is in slot %d, and %q in %d, %v", full, want, key, got, err)
			}
			if !isInternal(key) {
				t.Errorf("%q could be the key of an entry", key)
			}
		}
	}
}

// No store lists a lock, removes one or tells of one, whatever its prefix.
func TestLocksAreNoEntries(t *testing.T) {
	client := newClient(t, testservers.StartRedis(t).Addr)
	ctx := t.Context()
	locking := newStore(t, client, &Options{Timeout: patience})
	for _, prefix := range []string{"", "c", "cairn:", "cairn:l", "cairn:lock", "app:"} {
		s := newStore(t, client, quick(prefix))
		r := watchStore(t, s)
		for _, key := range []string{"k", "app:k", "app:{tag}", "b{", "cairn:x"} {
			take(t, locking, key, "token")
		}
		for key, err := range s.Keys(ctx, "") {
			t.Errorf("prefix %q: Keys: %q, %v", prefix, key, err)
		}
		if prefix != "" {
			wantNil(t, s.Clear(ctx))
		}
		for _, key := range []string{"k", "app:k", "app:{tag}", "b{", "cairn:x"} {
			wantHeld(t, locking, key)
			free(t, locking, key, "token")
		}
		r.prove()
		r.look(func() {
			if len(r.told) != 0 || r.flushes != 1 {
				t.Errorf("prefix %q: was told %v, and %d Flushes", prefix, r.told, r.flushes)
			}
		})
		s.Close()
	}
	for _, prefix := range []string{lockMark, lockMark + "app:", fenceMark} {
		if _, err := New(client, &Options{Prefix: prefix}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "locks") {
			t.Errorf("prefix %q: got %v", prefix, err)
		}
	}
}

// What a user lacks is said before anything is done.
func TestLocksNotAllowed(t *testing.T) {
	server := testservers.StartRedis(t)
	admin := newClient(t, server.Addr)
	ctx := t.Context()
	allow := func(rules ...string) {
		t.Helper()
		rules = append([]string{"reset", "on", ">secret", "+@all", "~app:*"}, rules...)
		wantNil(t, admin.ACLSetUser(ctx, "app", rules...).Err())
	}
	allow()
	client := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, Username: "app", Password: "secret"}))
	defer client.Close()
	s := newStore(t, client, &Options{Prefix: "app:", Timeout: patience})
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrUnavailable) || err == nil || !strings.Contains(err.Error(), lockMark) || !strings.Contains(err.Error(), "channels") {
			t.Errorf("%s: got %v, want an error that says what to allow", what, err)
		}
	}
	_, err := s.TryLock(ctx, "k", "token", patience)
	refused("TryLock", err)
	allow("~cairn:lock:*")
	eventually(t, "the rights", func() bool { // the old connections are closed
		r, err := s.TryLock(ctx, "k", "token", patience)
		return r.Acquired && err == nil
	})
	_, err = s.Unlock(ctx, "k", "token")
	refused("Unlock", err)
	wantHeld(t, s, "k")
	allow("~cairn:lock:*", "&cairn:*")
	eventually(t, "the rights", func() bool {
		unlocked, err := s.Unlock(ctx, "k", "token")
		return unlocked && err == nil
	})
}

// Another program's value at the key of a lock is nobody's lock, and stays.
func TestForeignValueAtALock(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	key := lockKeys(s.prefix + "k")[0]
	for _, value := range []string{"", "token", ":token", "1", "x:token"} {
		wantNil(t, client.Set(ctx, key, value, 0).Err())
		if r, err := s.TryLock(ctx, "k", "token", patience); r != (store.LockResult{Remaining: store.UnknownTTL}) || err != nil {
			t.Errorf("%q: got %+v, %v", value, r, err)
		}
		unlocked, err := s.Unlock(ctx, "k", "token")
		extended, err2 := s.ExtendLock(ctx, "k", "token", patience)
		if unlocked || extended || err != nil || err2 != nil {
			t.Errorf("%q: Unlock %v, %v, ExtendLock %v, %v", value, unlocked, err, extended, err2)
		}
		if got := client.Get(ctx, key).Val(); got != value {
			t.Errorf("%q has become %q", value, got)
		}
	}
	wantNil(t, client.Del(ctx, key).Err())
	wantNil(t, client.RPush(ctx, key, "a list").Err())
	if _, err := s.TryLock(ctx, "k", "token", patience); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a list: got %v", err)
	}
}

// A server from before Redis 7 has no channels by slot, and tells by the others.
func TestUnlockWithoutShardedChannels(t *testing.T) {
	client := newClient(t, testservers.StartRedis(t, "--rename-command", "SPUBLISH", "").Addr)
	s := newStore(t, client, &Options{Timeout: patience})
	ctx := t.Context()
	keys := lockKeys("k")
	pubsub := client.Subscribe(ctx, keys[0])
	defer pubsub.Close()
	if _, err := pubsub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	take(t, s, "k", "token")
	cmd, err := evalKeys(context.Background(), s, goredis.NewBoolCmd, unlock, keys, 0, "token", 1)
	if err != nil || !cmd.Val() {
		t.Fatal(cmd, err)
	}
	if _, err := pubsub.ReceiveMessage(ctx); err != nil {
		t.Error(err)
	}
}
