package layered_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// trips counts what a client sends, a pipeline as one, without what comes by
// itself: the heartbeats of a watch and the greetings of a new connection.
type trips struct{ n atomic.Int64 }

func (tr *trips) count(cmd goredis.Cmder) {
	switch cmd.Name() {
	case "hello", "client":
		return
	case "publish":
		if strings.HasPrefix(fmt.Sprint(cmd.Args()[1]), "cairn:beat:") {
			return
		}
	}
	tr.n.Add(1)
}

func (tr *trips) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (tr *trips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		tr.count(cmd)
		return next(ctx, cmd)
	}
}

func (tr *trips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		tr.count(cmds[0])
		return next(ctx, cmds)
	}
}

// calmly is a Watch whose L1 serves throughout a test.
var calmly = layered.Watch(time.Minute)

// newTripping returns a store over Redis, whose L1 serves, and the trips that
// it makes. Its watch is given up, which flushes L1, after seconds of silence
// only.
func newTripping(t *testing.T, prefix string, c layered.Coherence, how redis.Watching) (*layered.Store, *trips) {
	t.Helper()
	client := newClient(testservers.Redis(t).Addr)
	t.Cleanup(func() { client.Close() })
	tr := new(trips)
	client.AddHook(tr)
	s := newOverRedis(t, client, &redis.Options{Prefix: prefix, Timeout: patience, WatchDelta: 2 * time.Second, Watching: how}, c)
	eventually(t, "L1 serves", func() bool { return s.Stats().L1Open })
	return s, tr
}

// awaitTold waits until s was told of all that had changed before.
func awaitTold(t *testing.T, s *layered.Store) {
	t.Helper()
	began := time.Now()
	eventually(t, "a proof", func() bool { return s.Stats().ProofAge < time.Since(began) })
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]layered.Coherence{"Watch": calmly, "Bounded": layered.Bounded(time.Hour)} {
		t.Run(name, func(t *testing.T) { testRoundTrips(t, c) })
	}
}

func testRoundTrips(t *testing.T, c layered.Coherence) {
	ctx := t.Context()
	s, tr := newTripping(t, unique(), c, redis.WatchTracking)
	items := make([]store.Item, 100)
	keys := make([]string, len(items))
	for i := range items {
		keys[i] = fmt.Sprint(i)
		items[i] = store.Item{Key: keys[i], Value: []byte("v"), TTL: time.Minute}
	}
	for _, key := range []string{"get", "live", "other"} {
		set(t, s, key, "v", time.Minute)
	}
	if err := errors.Join(s.Delete(ctx, "none"), s.DeleteMany(ctx, keys)); err != nil { // the server gets to know the scripts
		t.Fatal(err)
	}
	if err := s.SetMany(ctx, items); err != nil {
		t.Fatal(err)
	}
	awaitTold(t, s) // of its own writes, which drop the keys once more
	for _, test := range []struct {
		name string
		want int64
		call func() error
	}{
		{"Get from L2", 1, func() error { _, err := s.Get(ctx, "get"); return err }},
		{"Get from L1", 0, func() error { _, err := s.Get(ctx, "get"); return err }},
		{"GetLive from L2", 1, func() error { _, err := s.GetLive(ctx, "live"); return err }},
		{"GetLive from L1", 0, func() error { _, err := s.GetLive(ctx, "live"); return err }},
		{"GetLiveAt from L1", 0, func() error { _, err := s.GetLiveAt(ctx, "live", time.Now()); return err }},
		{"GetMany from L2", 1, func() error { _, err := s.GetMany(ctx, keys); return err }},
		{"GetMany from L1", 0, func() error { _, err := s.GetMany(ctx, []string{"get", "live"}); return err }},
		{"GetMany from both", 1, func() error { _, err := s.GetMany(ctx, []string{"get", "other"}); return err }},
		{"TTL", 1, func() error { _, err := s.TTL(ctx, "get"); return err }},
		{"GetWithTTL", 1, func() error { _, _, err := s.GetWithTTL(ctx, "get"); return err }},
		{"Set", 1, func() error { return s.Set(ctx, "get", []byte("v"), time.Minute) }},
		{"SetLive", 1, func() error { return s.SetLive(ctx, "live", store.LiveBytes(nil), time.Minute) }},
		{"Touch", 1, func() error { return s.Touch(ctx, "get", time.Minute) }},
		{"Delete", 1, func() error { return s.Delete(ctx, "get") }},
		{"Get of nothing", 1, func() error {
			if _, err := s.Get(ctx, "get"); err != store.ErrNotFound {
				return fmt.Errorf("got %v, want ErrNotFound", err)
			}
			return nil
		}},
		{"SetMany", 1, func() error { return s.SetMany(ctx, items) }},
		{"DeleteMany", 1, func() error { return s.DeleteMany(ctx, keys) }},
	} {
		before := tr.n.Load()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := tr.n.Load() - before; got != test.want {
			t.Errorf("%s took %d round trips, want %d", test.name, got, test.want)
		}
	}
}

// A key that nobody has costs its owner a round trip to find that out, one for
// the lease and one for the fill, and one that another process has loaded
// costs one. Now and then one more reads which entries Clear has left.
func TestRoundTripsOfMemo(t *testing.T) {
	t.Parallel()
	prefix := unique()
	loads := 0
	open := func() (*layered.Store, *trips, *memo.Func[int, string]) {
		s, tr := newTripping(t, prefix, calmly, redis.WatchTracking)
		m, err := memo.New(s, &memo.Options{Policy: memo.Policy{TTL: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close(context.Background()) })
		f, err := memo.Wrap(m, "f", func(context.Context, int) (string, error) { loads++; return "v", nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Get(t.Context(), 0); err != nil { // Redis comes to know the scripts
			t.Fatal(err)
		}
		awaitTold(t, s)
		return s, tr, f
	}
	owner, ownerTrips, ownerFunc := open()
	other, otherTrips, otherFunc := open()
	loads = 0
	get := func(who string, f *memo.Func[int, string], tr *trips, atMost int64) {
		t.Helper()
		before := tr.n.Load()
		if v, err := f.Get(t.Context(), 1); v != "v" || err != nil {
			t.Fatalf("%s: got %q, %v", who, v, err)
		}
		if got := tr.n.Load() - before; got > atMost {
			t.Errorf("%s: %d round trips, want at most %d", who, got, atMost)
		}
	}
	get("the owner", ownerFunc, ownerTrips, 3+1)
	awaitTold(t, owner)
	awaitTold(t, other)
	get("another process", otherFunc, otherTrips, 1+1)
	get("another process, once more", otherFunc, otherTrips, 0)
	get("the owner, from L2", ownerFunc, ownerTrips, 1+1)
	get("the owner, from L1", ownerFunc, ownerTrips, 0)
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
}

// Design fault 6: to fill L1 is no change. Two processes read a key many times
// and one of them writes it: each is told of that one change alone.
func TestFillsAreNotTold(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]redis.Watching{"tracking": redis.WatchTracking, "publish": redis.WatchPublish} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := unique()
			var nodes []*layered.Store
			var sent []*trips
			for range 2 {
				s, tr := newTripping(t, prefix, calmly, how)
				nodes, sent = append(nodes, s), append(sent, tr)
			}
			// check has what happened since the last check.
			told := make([]uint64, len(nodes))
			trips := make([]int64, len(nodes))
			check := func(what string, wantTold uint64, wantTrips ...int64) {
				t.Helper()
				for i, s := range nodes {
					awaitTold(t, s)
					nowTold, nowTrips := s.Stats().Invalidations, sent[i].n.Load()
					if got := nowTold - told[i]; got != wantTold {
						t.Errorf("%s: node %d was told of %d keys, want %d", what, i, got, wantTold)
					}
					if got := nowTrips - trips[i]; got != wantTrips[i] {
						t.Errorf("%s: node %d made %d round trips, want %d", what, i, got, wantTrips[i])
					}
					told[i], trips[i] = nowTold, nowTrips
				}
			}
			read := func(want string) {
				t.Helper()
				for range 571 {
					for _, s := range nodes {
						wantGet(t, s, "k", want)
					}
				}
			}
			check("nothing", 0, 0, 0)
			set(t, nodes[0], "k", "old", time.Minute)
			check("Set", 1, 1, 0)
			read("old")
			check("571 reads", 0, 1, 1)
			set(t, nodes[0], "k", "new", time.Minute)
			check("Set", 1, 1, 0)
			read("new")
			check("571 reads", 0, 1, 1)
		})
	}
}

// Live/DecodedOnce and LiveAt/DecodedOnce of the suite read before the store
// was told of its own Set. From then on an entry is decoded once.
func TestDecodedOnceOverRedis(t *testing.T) {
	t.Parallel()
	s, _ := newTripping(t, unique(), calmly, redis.WatchTracking)
	decode := func(b []byte) (*string, error) { v := string(b); return &v, nil }
	for i := range 3 {
		set(t, s, "k", fmt.Sprint(i), time.Minute)
		awaitTold(t, s)
		var first *string
		for range 10 {
			l, err := s.GetLive(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			v, err := store.LiveValue(l, decode)
			if err != nil || *v != fmt.Sprint(i) || first != nil && v != first {
				t.Fatalf("got %q at %p, %v; want %d, at %p", *v, v, err, i, first)
			}
			first = v
		}
	}
}
