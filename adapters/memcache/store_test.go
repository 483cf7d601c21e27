package memcache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestNewChecksOptions(t *testing.T) {
	c := memcache.New("127.0.0.1:1")
	for text, opts := range map[string]*Options{
		"Options.Prefix has 101 bytes; at most 100":             {Prefix: strings.Repeat("p", 101)},
		`Options.Prefix "a b" has a space or control character`: {Prefix: "a b"},
		"Options.TTL is -1s; set 0 or store.Forever":            {TTL: -time.Second},
	} {
		_, err := New(c, opts)
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("New(%+v) = %v, want ErrInvalid with %q", opts, err, text)
		}
	}
	if _, err := New(nil, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("New(nil) = %v", err)
	}
}

// The server's own expiry comes after the deadline and soon after it, or not
// at all.
func TestNativeExpiry(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	s := newStore(t, &Options{Prefix: newPrefix()}, addr)
	for _, ttl := range []time.Duration{
		time.Millisecond, time.Second, time.Minute, 30*24*time.Hour - time.Second, 30 * 24 * time.Hour,
		31 * 24 * time.Hour, 365 * 24 * time.Hour,
	} {
		mustSet(t, s, "k", "v", ttl)
		got := nativeTTL(t, addr, s.prefix+"k")
		if got < ttl-time.Second || got > ttl+5*time.Second { // it answers in whole seconds
			t.Errorf("with a ttl of %v the item has %v left", ttl, got)
		}
		if ttl > time.Minute {
			wantGet(t, s, "k", "v")
		}
	}
	for _, ttl := range []time.Duration{50 * 365 * 24 * time.Hour, math.MaxInt64 - 1, store.Forever} {
		mustSet(t, s, "k", "v", ttl)
		if got := nativeTTL(t, addr, s.prefix+"k"); got != store.Forever {
			t.Errorf("with a ttl of %v the item has %v left", ttl, got)
		}
		left, err := s.TTL(t.Context(), "k")
		if err != nil || (left == store.Forever) != (ttl == store.Forever) || left > ttl || left < ttl-time.Minute {
			t.Errorf("a ttl of %v is %v, %v", ttl, left, err)
		}
	}
}

// nativeTTL asks the server what it knows of an item's expiry.
func nativeTTL(t *testing.T, addr, key string) time.Duration {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var seconds int
	fmt.Fprintf(conn, "mg %s t\r\n", key)
	if _, err := fmt.Fscanf(conn, "HD t%d\r\n", &seconds); err != nil {
		t.Fatalf("mg %s t: %v", key, err)
	}
	if seconds < 0 {
		return store.Forever
	}
	return time.Duration(seconds) * time.Second
}

// In real time, as the server has no other.
func TestExactTTL(t *testing.T) {
	s := newStore(t, &Options{Prefix: newPrefix()}, testservers.Memcached(t).Addr)
	for _, ttl := range []time.Duration{20 * time.Millisecond, 130 * time.Millisecond, 1300 * time.Millisecond} {
		t.Run(ttl.String(), func(t *testing.T) {
			t.Parallel()
			key := ttl.String()
			before := time.Now()
			mustSet(t, s, key, "v", ttl)
			after := time.Now()
			for {
				asked := time.Now()
				_, err := s.Get(t.Context(), key)
				answered := time.Now()
				if errors.Is(err, store.ErrNotFound) {
					if answered.Sub(before) < ttl {
						t.Errorf("gone %v before its time", ttl-answered.Sub(before))
					}
					return
				}
				if err != nil || asked.Sub(after) > ttl+time.Millisecond {
					t.Fatalf("%v after its time: %v", asked.Sub(after)-ttl, err)
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
}

func TestForeignItems(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	raw := newClient(t, addr)
	s := newStore(t, &Options{Prefix: newPrefix()}, addr)
	ctx := t.Context()
	put := func(item *memcache.Item) {
		t.Helper()
		if err := raw.Set(item); err != nil {
			t.Fatal(err)
		}
	}

	put(&memcache.Item{Key: s.prefix + "k", Value: []byte("theirs"), Flags: 5})
	wantGet(t, s, "k", "theirs")
	if value, ttl, err := s.GetWithTTL(ctx, "k"); string(value) != "theirs" || ttl != store.UnknownTTL || err != nil {
		t.Errorf("GetWithTTL = %q, %v, %v", value, ttl, err)
	}
	entries, err := s.GetManyWithTTL(ctx, []string{"k", "absent"})
	if e := entries["k"]; len(entries) != 1 || string(e.Value) != "theirs" || e.TTL != store.UnknownTTL || err != nil {
		t.Errorf("GetManyWithTTL = %v, %v", entries, err)
	}
	if values, err := s.GetMany(ctx, []string{"k", "absent"}); len(values) != 1 || string(values["k"]) != "theirs" || err != nil {
		t.Errorf("GetMany = %q, %v", values, err)
	}
	if added, err := s.Add(ctx, "k", nil, 0); added || err != nil {
		t.Errorf("Add = %v, %v", added, err)
	}

	wantErr(t, "Touch", s.Touch(ctx, "k", time.Minute), nil)
	if got := nativeTTL(t, addr, s.prefix+"k"); got < time.Minute-time.Second || got > time.Minute+5*time.Second {
		t.Errorf("after Touch the item has %v left", got)
	}
	if item, err := raw.Get(s.prefix + "k"); err != nil || item.Flags != 5 || string(item.Value) != "theirs" {
		t.Errorf("after Touch the item is %+v, %v", item, err)
	}
	wantErr(t, "Clear", s.Clear(ctx), nil)
	wantGet(t, s, "k", "theirs")
	if swapped, err := s.CompareAndSwap(ctx, "k", []byte("theirs"), []byte("ours"), 0); !swapped || err != nil {
		t.Errorf("CompareAndSwap = %v, %v", swapped, err)
	}
	wantGet(t, s, "k", "ours")

	// What has our flags and is not ours to read is a miss, and gives way.
	wrong := header{generation: 1}.encode([]byte("x"))
	stamp(wrong, 1, 0)
	wrong[2]++
	for name, value := range map[string][]byte{"an empty value": {}, "half a header": wrong[:headerLen-1], "another version": wrong} {
		put(&memcache.Item{Key: s.prefix + "k", Value: value, Flags: headerFlags})
		if _, err := s.Get(ctx, "k"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("with %s Get = %v, want a miss", name, err)
		}
		wantErr(t, "Touch with "+name, s.Touch(ctx, "k", 0), store.ErrNotFound)
		if added, err := s.Add(ctx, "k", []byte("v"), 0); !added || err != nil {
			t.Errorf("with %s Add = %v, %v", name, added, err)
		}
	}

	// A hash is no key of another program, and may be another key's.
	n := s.name("two words")
	put(&memcache.Item{Key: n.native, Value: []byte("theirs")})
	wantMiss(t, s, "two words")
	mustSet(t, s, "three words", "v", 0)
	item, err := raw.Get(s.name("three words").native)
	if err != nil {
		t.Fatal(err)
	}
	put(&memcache.Item{Key: n.native, Value: item.Value, Flags: item.Flags})
	wantMiss(t, s, "two words")
}

// An item whose deadline is over is still there for up to two seconds.
func TestAddOverExpired(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	s := newStore(t, &Options{Prefix: newPrefix()}, addr)
	raw := newClient(t, addr)
	for round := range 20 {
		key := fmt.Sprint("k", round)
		mustSet(t, s, key, "old", time.Microsecond)
		time.Sleep(time.Millisecond)
		if _, err := raw.Get(s.prefix + key); err != nil {
			t.Fatalf("the item is gone already: %v", err)
		}
		var added atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				ok, err := s.Add(t.Context(), key, fmt.Append(nil, i), time.Minute)
				if err != nil {
					t.Error(err)
				}
				if ok {
					added.Add(1)
				}
			})
		}
		wg.Wait()
		if n := added.Load(); n != 1 {
			t.Fatalf("%d callers were told that they have added", n)
		}
	}
}

// The swap with an expiry in the past is atomic: of many who delete one value,
// one does, and a value that came in between stays.
func TestCompareAndDeleteOnce(t *testing.T) {
	s := newStore(t, &Options{Prefix: newPrefix()}, testservers.Memcached(t).Addr)
	for round := range 50 {
		mustSet(t, s, "k", "old", store.Forever)
		var deleted, added atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				ok, err := s.CompareAndDelete(t.Context(), "k", []byte("old"))
				if err != nil {
					t.Error(err)
				}
				if ok {
					deleted.Add(1)
				}
			})
			wg.Go(func() {
				ok, err := s.Add(t.Context(), "k", []byte("new"), store.Forever)
				if err != nil {
					t.Error(err)
				}
				if ok {
					added.Add(1)
				}
			})
		}
		wg.Wait()
		if ok, err := s.Add(t.Context(), "k", []byte("new"), store.Forever); err != nil {
			t.Fatal(err)
		} else if ok {
			added.Add(1)
		}
		if d, a := deleted.Load(), added.Load(); d != 1 || a != 1 {
			t.Fatalf("round %d: %d have deleted, %d have added", round, d, a)
		}
		wantGet(t, s, "k", "new")
	}
}

func TestTooLarge(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	s := newStore(t, &Options{Prefix: newPrefix()}, addr)
	ctx := t.Context()
	long := strings.Repeat("long key ", 400)
	// What Memcached takes as it is may be too large with the key in front.
	most := largest(t, s, "k")
	if err := newClient(t, addr).Set(&memcache.Item{Key: s.prefix + "raw", Value: make([]byte, most)}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k", long} {
		large := make([]byte, most+1)

		mustSet(t, s, key, "old", 0)
		wantErr(t, "Set", s.Set(ctx, key, large, 0), store.ErrTooLarge)
		wantMiss(t, s, key)

		mustSet(t, s, key, "old", 0)
		wantErr(t, "SetMany", s.SetMany(ctx, []store.Item{{Key: key, Value: large}}), store.ErrTooLarge)
		wantMiss(t, s, key)

		added, err := s.Add(ctx, key, large, 0)
		if added {
			t.Error("Add has added it")
		}
		wantErr(t, "Add", err, store.ErrTooLarge)

		mustSet(t, s, key, "old", 0)
		if added, err := s.Add(ctx, key, large, 0); added || err != nil {
			t.Errorf("Add over an entry = %v, %v", added, err)
		}
		if swapped, err := s.CompareAndSwap(ctx, key, []byte("other"), large, 0); swapped || err != nil {
			t.Errorf("CompareAndSwap with another old value = %v, %v", swapped, err)
		}
		wantGet(t, s, key, "old")
		swapped, err := s.CompareAndSwap(ctx, key, []byte("old"), large, 0)
		if swapped {
			t.Error("CompareAndSwap has swapped it")
		}
		wantErr(t, "CompareAndSwap", err, store.ErrTooLarge)
		wantMiss(t, s, key)
	}
	wantErr(t, "Set with a long key", s.Set(ctx, long, make([]byte, most-50), 0), store.ErrTooLarge)
}

// largest finds the size of the largest value that the store takes.
func largest(t *testing.T, s *Store, key string) int {
	t.Helper()
	low, high := maxValue, 2<<20
	for low+1 < high {
		n := (low + high) / 2
		switch err := s.Set(t.Context(), key, make([]byte, n), 0); {
		case err == nil:
			low = n
		case errors.Is(err, store.ErrTooLarge):
			high = n
		default:
			t.Fatal(err)
		}
	}
	t.Logf("the largest value has %d bytes, %d less than 1 MiB", low, 1<<20-low)
	return low
}

// A server that counts no versions cannot compare.
func TestWithoutVersions(t *testing.T) {
	s := newStore(t, nil, testservers.StartMemcached(t, "-C").Addr)
	ctx := t.Context()
	mustSet(t, s, "k", "v", 0)
	wantGet(t, s, "k", "v")
	_, err := s.CompareAndSwap(ctx, "k", []byte("v"), []byte("w"), 0)
	wantErr(t, "CompareAndSwap", err, errors.ErrUnsupported)
	_, err = s.CompareAndDelete(ctx, "k", []byte("v"))
	wantErr(t, "CompareAndDelete", err, errors.ErrUnsupported)
	wantErr(t, "Touch", s.Touch(ctx, "k", time.Minute), errors.ErrUnsupported)
	wantErr(t, "Clear", s.Clear(ctx), errors.ErrUnsupported)
	wantGet(t, s, "k", "v")
}

// Calls that began before Close end as if there were none, later ones with
// ErrClosed; a client that was given is still open.
func TestClose(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	c := newClient(t, addr)
	s := newStoreOver(t, c, &Options{Prefix: newPrefix()})
	cancellable, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 16 {
		ctx := context.Background()
		if i%2 == 0 {
			ctx = cancellable
		}
		wg.Go(func() {
			<-start
			for {
				if err := s.Set(ctx, "k", nil, 0); err != nil {
					wantErr(t, "Set", err, store.ErrClosed)
					return
				}
			}
		})
	}
	close(start)
	time.Sleep(20 * time.Millisecond)
	for range 2 {
		wantErr(t, "Close", s.Close(), nil)
	}
	wg.Wait()
	wantErr(t, "the client's Ping", c.Ping(), nil)
}
