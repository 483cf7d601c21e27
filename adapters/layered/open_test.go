package layered

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	_ "github.com/cairncache/cairn/adapters/null"
	_ "github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/store"
)

// closings are the stores of the scheme testlayer that were closed, in order.
var closings []string

// testLayer is a store that tells of its Close.
type testLayer struct {
	*memory.Store
	name string
}

func (l testLayer) Close() error {
	closings = append(closings, l.name)
	return l.Store.Close()
}

func init() {
	store.Register("testlayer", func(_ context.Context, u *store.URL) (store.Store, error) {
		s, err := memory.New(nil)
		return testLayer{s, u.Path}, err
	})
}

func openLayers(t *testing.T, url string) *Store {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(s); err != nil {
			t.Error(err)
		}
	})
	return s.(*Store)
}

func TestOpen(t *testing.T) {
	s := openLayers(t, "memory:?max_entries=10 | memory:")
	if !s.watches || s.fence.delta != time.Second || s.guard.timeout != defaultTimeout || s.maxTTL != store.Forever || s.degraded != (Degraded{}) {
		t.Error("it is not what it should be by default")
	}
	if err := s.Set(t.Context(), "k", []byte("v"), store.Forever); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if v, err := s.Get(t.Context(), "k"); string(v) != "v" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
	}
	if c := s.Stats(); c.L2Hits != 1 || c.L1Hits != 2 {
		t.Errorf("%+v", c)
	}
}

func TestOpenWithOptions(t *testing.T) {
	s := openLayers(t, "layered:?watch=200ms&timeout=1s&max_ttl=1m&degraded=serve:10s | memory: | memory: | memory:")
	for level := range 2 {
		if !s.watches || s.fence.delta != 200*time.Millisecond || s.guard.timeout != time.Second || s.maxTTL != time.Minute || s.degraded != ServeStale(10*time.Second) {
			t.Errorf("level %d has other options", level)
		}
		if level == 0 {
			s = s.l2.(*Store)
		}
	}
	if _, ok := s.l2.(*memory.Store); !ok {
		t.Errorf("the last layer is %T", s.l2)
	}
	s = openLayers(t, "layered:?bounded=5s&degraded=miss|memory:|null:")
	if s.watches || s.maxTTL != 5*time.Second || s.degraded != AnswerMiss() {
		t.Error("it has other options")
	}
}

// A program can start while its server is down.
func TestOpenConnectsToNothing(t *testing.T) {
	s := openLayers(t, "memory: | redis://127.0.0.1:1/0?prefix=app:")
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	start := time.Now()
	if err := s.Close(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("Close: %v after %v", err, time.Since(start))
	}
}

func TestOpenErrors(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"memory: | null:", `open "memory: | null:": the last layer tells of no changes; say how old an answer of the others may be, as in layered:?bounded=5s | …`},
		{"layered:?watch=1s | memory: | null:", `open "layered:?watch=1s | memory: | null:": Coherence: Watch(1s): `},
		{"layered:?watch=0 | memory: | memory:", `open "layered:?watch=0 | memory: | memory:": watch: 0 is no length of time here; give one, as in watch=1s, or leave it out`},
		{"layered:?max_ttl=0s | memory: | memory:", `open "layered:?max_ttl=0s | memory: | memory:": max_ttl: 0 is no length of time here; give one, as in max_ttl=1s, or leave it out`},
		{"layered:?watch=1s&bounded=1s | memory: | memory:", `open "layered:?watch=1s&bounded=1s | memory: | memory:": watch and bounded are both given; leave out bounded if the last layer tells of changes, and else watch`},
		{"layered:?watch=5 | memory: | memory:", `open "layered:?watch=5 | memory: | memory:": watch: "5" has no unit; write 5s or 5m`},
		{"layered:?degraded=serve:10 | memory: | memory:", `open "layered:?degraded=serve:10 | memory: | memory:": degraded: "10" has no unit; write 10s or 10m`},
		{"layered:?degraded=stale | memory: | memory:", `open "layered:?degraded=stale | memory: | memory:": degraded: it is fail, miss, or serve: and a length of time, as in serve:10s`},
		{"layered:?degraded=serve:500ms | memory: | memory:", `open "layered:?degraded=serve:500ms | memory: | memory:": Degraded: ServeStale(500ms) is not longer than the 1s that Watch allows anyway`},
		{"layered:?bounded=5s&degraded=serve:10s | memory: | null:", `open "layered:?bounded=5s&degraded=serve:10s | memory: | null:": Degraded: ServeStale needs Watch`},
		{"layered:?wathc=1s | memory: | memory:", `open "layered:?wathc=1s | memory: | memory:": unknown parameter "wathc" (did you mean "watch"? layered takes: bounded, degraded, max_ttl, timeout, watch)`},
		{"layered://h?watch=1s | memory: | memory:", `open "layered://h?watch=1s | memory: | memory:": layered has no host and no path; write layered: with parameters after a ?`},
		{"layered:?watch=1s | memory:", `open "layered:?watch=1s | memory:": layered: needs two layers or more`},
		{"memory:?ttl=5 | redis://u:secret@h", `open "memory:?ttl=5": ttl: "5" has no unit; write 5s or 5m`},
		{"memory: | redsi://u:secret@h", `open "redsi://xxxxx@h": unknown scheme "redsi"`},
	} {
		s, err := store.Open(t.Context(), test.url)
		if s != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %T, %v; want ErrInvalid", test.url, s, err)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, "store: "+test.want) {
			t.Errorf("%q:\ngot  %s\nwant store: %s", test.url, got, test.want)
		}
	}
}

func TestCloseClosesAllLayers(t *testing.T) {
	for url, want := range map[string][]string{
		"testlayer:1|testlayer:2":                                   {"1", "2"},
		"testlayer:1 | testlayer:2 | testlayer:3 | testlayer:4":     {"1", "2", "3", "4"},
		"layered:?bounded=1s | testlayer:1|testlayer:2|testlayer:3": {"1", "2", "3"},
	} {
		closings = nil
		s, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := store.Close(s); err != nil {
				t.Error(err)
			}
			if !slices.Equal(closings, want) {
				t.Errorf("%s: closed %q, want %q", url, closings, want)
			}
		}
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// What cannot be opened leaves nothing open.
func TestOpenClosesWhatItCannotUse(t *testing.T) {
	for _, url := range []string{
		"testlayer:1 | testlayer:2 | redsi://h",
		"testlayer:1 | testlayer:2 | null:",
		"layered:?degraded=serve:1ms | testlayer:1 | testlayer:2 | testlayer:3",
		"layered:?watch=1s | testlayer:1 | testlayer:2 | null:",
	} {
		closings = nil
		if _, err := store.Open(t.Context(), url); err == nil {
			t.Errorf("%s: opened", url)
		}
		want := strings.Count(url, "testlayer")
		slices.Sort(closings)
		if got := len(slices.Compact(slices.Clone(closings))); got != want || len(closings) != want {
			t.Errorf("%s: closed %q, want each of %d once", url, closings, want)
		}
	}
}

// What a near layer has as its ttl bounds what it holds of the far one.
func TestOpenNearTTL(t *testing.T) {
	for url, want := range map[string]time.Duration{
		"memory:?ttl=30s | memory:":                        30 * time.Second,
		"layered:?max_ttl=1m | memory:?ttl=30s | memory:":  30 * time.Second,
		"layered:?max_ttl=10s | memory:?ttl=30s | memory:": 10 * time.Second,
		"layered:?max_ttl=10s | memory: | memory:":         10 * time.Second,
	} {
		if s := openLayers(t, url); s.maxTTL != want {
			t.Errorf("%s: L1 holds entries for %v, want %v", url, s.maxTTL, want)
		}
	}
}
