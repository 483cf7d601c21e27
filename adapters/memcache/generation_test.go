package memcache

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// With up to ten servers the copies lie on as many as they can.
func TestCopiesAreSpread(t *testing.T) {
	for i := range 200 {
		var g generation
		g.init(new(client), fmt.Sprintf("prefix%d:", i))
		for n := uint32(1); n <= 10; n++ {
			servers := make(map[uint32]bool)
			for _, key := range g.keys {
				if !isPlain(key) || len(key) > maxNative {
					t.Fatalf("Memcached does not take %q", key)
				}
				servers[crc32.ChecksumIEEE([]byte(key))%n] = true
			}
			if len(servers) != int(min(n, copies)) {
				t.Errorf("%q are on %d of %d servers", g.keys, len(servers), n)
			}
		}
	}
}

// What was read before Clear returned is read by no handle afterwards.
func TestClearIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	addr := testservers.Memcached(t).Addr
	opts := &Options{Prefix: newPrefix()}
	a, b := newStore(t, opts, addr), newStore(t, opts, addr)
	for range 3 {
		mustSet(t, a, "k", "old", 0)
		wantGet(t, b, "k", "old")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { // b reads all the time, and keeps its proof
				for ctx.Err() == nil {
					if _, err := b.Get(ctx, "k"); err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(proofLife / 4)
		wantErr(t, "Clear", a.Clear(t.Context()), nil)
		wantMiss(t, b, "k")
		wantMiss(t, a, "k")
		mustSet(t, b, "k", "new", 0)
		wantGet(t, a, "k", "new")
		cancel()
		wg.Wait()
	}
}

// While Clear runs, a handle that does not know of it yet finds an entry of
// the new generation, and does not take the place of one.
func TestNewerEntryIsBelieved(t *testing.T) {
	t.Parallel()
	addr := testservers.Memcached(t).Addr
	opts := &Options{Prefix: newPrefix()}
	a, b := newStore(t, opts, addr), newStore(t, opts, addr)
	for _, key := range []string{"get", "getmany", "add"} {
		before, err := a.generation.current(0)
		if err != nil {
			t.Fatal(err)
		}
		mustSet(t, b, "other", "v", 0) // b has a proof
		cleared := make(chan error)
		go func() { cleared <- a.Clear(t.Context()) }()
		for a.generation.proven.Load().number == before {
			time.Sleep(time.Millisecond)
		}
		mustSet(t, a, key, "new", 0)
		switch key {
		case "get":
			wantGet(t, b, key, "new")
		case "getmany":
			if values, err := b.GetMany(t.Context(), []string{key}); len(values) != 1 || err != nil {
				t.Errorf("GetMany = %q, %v", values, err)
			}
		case "add":
			if added, err := b.Add(t.Context(), key, []byte("b's"), 0); added || err != nil {
				t.Errorf("Add = %v, %v", added, err)
			}
		}
		wantErr(t, "Clear", <-cleared, nil)
		wantGet(t, a, key, "new")
		wantGet(t, b, key, "new")
	}
}

func TestClearLeavesNeighbours(t *testing.T) {
	t.Parallel()
	addr := testservers.Memcached(t).Addr
	raw := newClient(t, addr)
	s := newStore(t, &Options{Prefix: newPrefix()}, addr)
	neighbour := newStore(t, &Options{Prefix: newPrefix()}, addr)
	mustSet(t, s, "k", "v", 0)
	mustSet(t, neighbour, "k", "v", 0)
	other := &memcache.Item{Key: newPrefix() + "raw", Value: []byte("v")}
	if err := raw.Set(other); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Clear", s.Clear(t.Context()), nil)
	wantMiss(t, s, "k")
	wantGet(t, neighbour, "k", "v")
	if _, err := raw.Get(other.Key); err != nil {
		t.Error(err)
	}
}

// lose removes copies of the generation.
func lose(t *testing.T, s *Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := s.client.delete(key); err != nil {
			t.Fatal(err)
		}
	}
}

// afterProof waits until handles ask for the generation again.
func afterProof() { time.Sleep(proofLife + 10*time.Millisecond) }

func TestCopiesLost(t *testing.T) {
	t.Parallel()
	addr := testservers.Memcached(t).Addr
	opts := &Options{Prefix: newPrefix()}
	s := newStore(t, opts, addr)
	mustSet(t, s, "cleared", "v", 0)
	wantErr(t, "Clear", s.Clear(t.Context()), nil)
	mustSet(t, s, "kept", "v", 0)

	// One copy is enough, and brings back the others.
	for i := range copies {
		for j, key := range s.generation.keys {
			if j != i {
				lose(t, s, key)
			}
		}
		wantGet(t, newStore(t, opts, addr), "kept", "v")
		afterProof()
		wantGet(t, s, "kept", "v")
		wantMiss(t, s, "cleared")
	}

	// Without any the store is empty, and what was cleared stays so.
	lose(t, s, s.generation.keys[:]...)
	other := newStore(t, opts, addr)
	wantMiss(t, other, "cleared", "kept")
	mustSet(t, other, "new", "v", 0)
	afterProof()
	wantMiss(t, s, "cleared", "kept")
	wantGet(t, s, "new", "v")

	// So it is with nonsense in the place of one.
	for _, key := range s.generation.keys {
		if err := s.client.Set(&memcache.Item{Key: key, Value: []byte("nonsense")}); err != nil {
			t.Fatal(err)
		}
	}
	afterProof()
	wantMiss(t, s, "new")
	mustSet(t, s, "k", "v", 0)
	afterProof()
	wantGet(t, newStore(t, opts, addr), "k", "v")
}

// Handles that find no generation at the same time agree on one.
func TestFirstUseAtOnce(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	for range 20 {
		opts := &Options{Prefix: newPrefix()}
		handles := make([]*Store, 8)
		var wg sync.WaitGroup
		for i := range handles {
			handles[i] = newStore(t, opts, addr)
			wg.Go(func() { mustSet(t, handles[i], strconv.Itoa(i), "v", 0) })
		}
		wg.Wait()
		for i := range handles {
			for _, s := range handles {
				wantGet(t, s, strconv.Itoa(i), "v")
			}
		}
	}
}

// A copy that missed a Clear, because its server was away, is raised.
func TestOldCopyIsRaised(t *testing.T) {
	t.Parallel()
	addr := testservers.Memcached(t).Addr
	opts := &Options{Prefix: newPrefix()}
	s := newStore(t, opts, addr)
	mustSet(t, s, "k", "old", 0)
	before, err := s.client.Get(s.generation.keys[0])
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Clear", s.Clear(t.Context()), nil)
	mustSet(t, s, "new", "v", 0)
	for _, key := range s.generation.keys[:2] {
		if err := s.client.Set(&memcache.Item{Key: key, Value: before.Value}); err != nil {
			t.Fatal(err)
		}
	}
	other := newStore(t, opts, addr)
	wantMiss(t, other, "k")
	wantGet(t, other, "new", "v")
	for _, key := range s.generation.keys {
		if item, err := s.client.Get(key); err != nil || number(item) <= number(before) {
			t.Errorf("%s is %q, %v", key, item.Value, err)
		}
	}
}

// A copy that is lost while Clear waits may be brought back by one who has read
// the others before.
func TestClearLooksAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t, &Options{Prefix: newPrefix()}, testservers.Memcached(t).Addr)
	before, err := s.generation.current(0)
	if err != nil {
		t.Fatal(err)
	}
	cleared := make(chan error)
	go func() { cleared <- s.Clear(t.Context()) }()
	for s.generation.proven.Load().number == before {
		time.Sleep(time.Millisecond)
	}
	key := s.generation.keys[1]
	if err := s.client.Set(&memcache.Item{Key: key, Value: strconv.AppendUint(nil, before, 10)}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Clear", <-cleared, nil)
	if item, err := s.client.Get(key); err != nil || number(item) <= before {
		t.Errorf("%s is %+v, %v, want a number above %d", key, item, err, before)
	}
}

// A header with a generation that no copy has is a miss, however high.
func TestInventedGeneration(t *testing.T) {
	s := newStore(t, &Options{Prefix: newPrefix()}, testservers.Memcached(t).Addr)
	mustSet(t, s, "good", "v", 0)
	item := s.name("bad").item([]byte("v"))
	stamp(item.Value, math.MaxUint64, 0)
	if err := s.client.Set(item); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, s, "bad")
	wantGet(t, s, "good", "v")
	if added, err := s.Add(t.Context(), "bad", []byte("v"), 0); !added || err != nil {
		t.Errorf("Add = %v, %v", added, err)
	}
	wantGet(t, s, "bad", "v")
}

// One reading of the generation in each proofLife is all that a call costs beside
// its own round trip.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	server := testservers.StartMemcached(t)
	s := newStore(t, nil, server.Addr)
	mustSet(t, s, "k", "v", 0)
	before := commands(t, server.Addr)
	start := time.Now()
	const calls = 500
	for range calls {
		mustSet(t, s, "k", "v", 0)
		wantGet(t, s, "k", "v")
	}
	readings := int(time.Since(start)/proofLife) + 1
	if n := commands(t, server.Addr) - before; n < 2*calls || n > 2*calls+readings*(1+copies*2) {
		t.Errorf("%d calls of Set and Get made %d round trips in %v", calls, n, time.Since(start))
	}
}
