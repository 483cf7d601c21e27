package config_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/store"
)

func TestLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := newBackend(t)
		s := open(t, stacks(b))
		pages, far, shared := get(t, s, "pages"), get(t, s, "far"), get(t, s, "shared")
		set(t, pages, "k", "of pages")
		set(t, far, "k", "of far")
		wantValue(t, shared, "k", "of pages")
		wantValue(t, shared, "far:k", "of far")
		synctest.Wait()
		for range 3 {
			wantValue(t, pages, "k", "of pages")
			wantValue(t, far, "k", "of far")
		}
		if got := inside[*layered.Store](t, pages).Stats(); got.L1Hits != 2 || got.L2Hits != 1 {
			t.Errorf("pages: %+v", got)
		}
		if got := inside[*layered.Store](t, far).Stats(); got.L1Hits == 0 {
			t.Errorf("far: %+v", got)
		}
		set(t, shared, "k", "changed")
		synctest.Wait()
		wantValue(t, pages, "k", "changed")

		// The ttl of a near layer bounds what it holds, and that of the last is
		// the default.
		if ttl, err := pages.TTL(ctx, "k"); ttl != time.Hour || err != nil {
			t.Errorf("the ttl is %v, %v", ttl, err)
		}
		var left time.Duration
		near := inside[*fake](t, get(t, s, "local")).Store
		for key := range near.All() {
			ttl, err := near.TTL(ctx, key)
			if err != nil {
				t.Error(err)
			}
			left = max(left, ttl)
		}
		if left == 0 || left > 30*time.Second {
			t.Errorf("the near layer holds entries for %v", left)
		}
	})
}

// A near layer may be one of several, and used by itself: what one has there is
// no answer for another.
func TestNearLayerOfSeveral(t *testing.T) {
	for _, test := range []struct {
		name    string
		stacks  []string
		regions map[string]config.Region
		bare    bool // the only stack has it without a view
	}{
		{"one", []string{"one"}, nil, true},
		{"one and a region", []string{"one"}, map[string]config.Region{"r": {Store: "near"}}, false},
		{"two", []string{"one", "two"}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &config.Config{Default: "one", Regions: test.regions, Stores: map[string]config.Store{"near": {URL: "memory:"}}}
				for _, name := range test.stacks {
					c.Stores[name] = config.Store{Layers: []string{"near", name + "-far"}}
					c.Stores[name+"-far"] = config.Store{URL: "memory:"}
				}
				s := open(t, c)
				names := append([]string{"near"}, test.stacks...)
				for _, name := range names {
					set(t, get(t, s, name), "k", name)
				}
				for range 3 {
					for _, name := range names {
						wantValue(t, get(t, s, name), "k", name)
					}
				}
				below := inside[*memory.Store](t, get(t, s, "near"))
				if has := slices.Contains(slices.Collect(keys(t, below)), "k"); has != test.bare || below.Len() != len(names) {
					t.Errorf("the near layer holds %q", slices.Collect(keys(t, below)))
				}
				if got := slices.Collect(keys(t, get(t, s, "near"))); !slices.Equal(got, []string{"k"}) {
					t.Errorf("by itself the near layer has %q", got)
				}
				if err := store.Clear(t.Context(), get(t, s, "near")); err != nil {
					t.Error(err)
				}
				wantValue(t, get(t, s, "near"), "k", "")
				if below.Len() != len(test.stacks) {
					t.Error("to clear it by itself has cleared what is not its own")
				}
				if test.bare {
					return
				}
				set(t, get(t, s, "near"), "k", "near")
				for _, name := range test.stacks {
					if err := store.Clear(t.Context(), get(t, s, name)); err != nil {
						t.Error(err)
					}
					wantValue(t, get(t, s, name), "k", "")
				}
				wantValue(t, get(t, s, "near"), "k", "near")
			})
		})
	}
}

// Nobody can guess which keys who uses a near layer by itself has in it.
func TestNearLayerKeys(t *testing.T) {
	c := &config.Config{Default: "one", Stores: map[string]config.Store{
		"near": {URL: "memory:"}, "far": {URL: "memory:"}, "one": {Layers: []string{"near", "far"}, Coherence: "bounded:1h"},
	}}
	s := open(t, c)
	near, one := get(t, s, "near"), get(t, s, "one")
	for _, key := range []string{"\x00\x00k", "k"} {
		set(t, one, key, "one")
	}
	set(t, near, "k", "near")
	for _, key := range []string{"\x00\x00k", "k"} {
		wantValue(t, one, key, "one")
	}
	wantValue(t, near, "k", "near")
	below := inside[*memory.Store](t, near)
	held := slices.Collect(keys(t, below))
	guessable := func(key string) bool { return len(key) < len("\x00\x00k")+16 }
	if held = slices.DeleteFunc(held, guessable); below.Len() != 3 || len(held) != 1 {
		t.Errorf("of %d entries %q have keys that nobody can guess", below.Len(), held)
	}

	// A Clear of the layers may take what was written by the name of the near one.
	if err := store.Clear(t.Context(), one); err != nil {
		t.Error(err)
	}
	if below.Len() != 0 {
		t.Errorf("%d entries remain", below.Len())
	}

	// And so may their opening.
	c.Lazy = true
	s = open(t, c)
	near = get(t, s, "near")
	set(t, near, "k", "near")
	get(t, s, "one")
	if below := inside[*memory.Store](t, near); below.Len() != 0 {
		t.Errorf("%d entries remain", below.Len())
	}
}

func keys(t *testing.T, s store.Store) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key, err := range store.Keys(t.Context(), s, "") {
			if err != nil {
				t.Error(err)
			}
			if !yield(key) {
				return
			}
		}
	}
}

// What is said of layers reaches each level.
func TestLayersOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &config.Config{Default: "all", Stores: map[string]config.Store{
			"a":        {URL: "memory:?ttl=20s"},
			"b":        {URL: "memory:"},
			"c":        {URL: "memory:"},
			"null":     {URL: "null:"},
			"d":        {URL: "memory:?ttl=1m"},
			"more":     {Layers: []string{"d", "c"}, Coherence: "bounded:1m", MaxTTL: 40 * time.Second},
			"all":      {Layers: []string{"a", "b", "c"}, Coherence: "bounded:1m", MaxTTL: 30 * time.Second, Timeout: time.Second, Degraded: "miss"},
			"null-too": {Layers: []string{"b", "null"}, Coherence: "bounded:1s"},
		}})
		all := get(t, s, "all")
		set(t, all, "k", "v")
		wantValue(t, all, "k", "v")
		wantValue(t, get(t, s, "more"), "k", "v")
		for name, want := range map[string]time.Duration{"a": 20 * time.Second, "b": 30 * time.Second, "d": 40 * time.Second} {
			near := inside[*memory.Store](t, get(t, s, name))
			n := 0
			for key := range near.All() {
				n++
				if ttl, err := near.TTL(t.Context(), key); ttl > want || ttl < want*9/10 || err != nil {
					t.Errorf("%s holds it for %v, %v; want %v but a tenth", name, ttl, err, want)
				}
			}
			if n != 1 {
				t.Errorf("%s holds %d entries", name, n)
			}
		}
	})
}

// A store that is near in one stack and far in another is the same by itself as
// in the latter, which has all that was written to it.
func TestNearAndFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &config.Config{Default: "a", Stores: map[string]config.Store{
			"m": {URL: "memory:"}, "n": {URL: "memory:"}, "o": {URL: "memory:"},
			"a": {Layers: []string{"m", "n"}},
			"b": {Layers: []string{"o", "m"}},
		}})
		set(t, get(t, s, "a"), "k", "a")
		set(t, get(t, s, "b"), "k", "b")
		for range 3 {
			wantValue(t, get(t, s, "a"), "k", "a")
			wantValue(t, get(t, s, "b"), "k", "b")
			wantValue(t, get(t, s, "n"), "k", "a")
			wantValue(t, get(t, s, "m"), "k", "b")
		}
		set(t, get(t, s, "m"), "k", "c")
		synctest.Wait()
		wantValue(t, get(t, s, "b"), "k", "c")
	})
}

// Levels that were made before one which cannot be are closed.
func TestLayersCloseWhatTheyMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		failed := errors.New("on purpose")
		b.setFailure("clear a", failed)
		c := &config.Config{Default: "all", Stores: map[string]config.Store{
			"a": {URL: b.url("a")}, "b": {URL: b.url("b")}, "c": {URL: b.url("c")},
			"all": {Layers: []string{"a", "b", "c"}},
		}}
		s, err := c.Open(t.Context())
		wantError(t, err, failed, "config: stores.all: L1 cannot be cleared")
		if s != nil {
			t.Error("there are Stores although there is an error")
		}
		synctest.Wait()
		b.want(t, "unwatch", "unwatch c")
	})
}
