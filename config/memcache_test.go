package config_test

import (
	"testing"

	_ "github.com/cairncache/cairn/adapters/memcache"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/internal/testservers"
)

// Memcached cannot list its keys, so a view of it cannot be cleared. Layers with
// prefixes over layers with prefixes are cleared all the same, and nothing else.
func TestMemcacheClearAll(t *testing.T) {
	far := "memcache://" + testservers.Memcached(t).Addr + "?prefix=" + t.Name()
	s := open(t, &config.Config{Default: "pages", Stores: map[string]config.Store{
		"a-far": {URL: far + ":"}, "z-far": {URL: far + "-z:"},
		"near": {URL: "memory:", Prefix: "near:"}, "middle": {URL: "memory:"}, "top": {URL: "memory:"}, // the first two of two stacks each
		"deep":  {Layers: []string{"near", "a-far"}, Prefix: "deep:", Coherence: "bounded:1h"},
		"also":  {Layers: []string{"near", "a-far"}, Prefix: "also:", Coherence: "bounded:1h"},
		"pages": {Layers: []string{"middle", "deep"}, Prefix: "pages:", Coherence: "bounded:1h"},
		"more":  {Layers: []string{"middle", "also"}, Coherence: "bounded:1h"},
		"all":   {Layers: []string{"top", "pages"}, Prefix: "all:", Coherence: "bounded:1h"},
	}})
	beside := get(t, open(t, &config.Config{Default: "b", Stores: map[string]config.Store{"b": {URL: far + "-beside:"}}}), "b")
	set(t, beside, "k", "v")
	for range 2 { // also what is stored after a first time
		for _, name := range s.Names() {
			set(t, get(t, s, name), "k", name)
			wantValue(t, get(t, s, name), "k", name)
		}
		if err := s.ClearAll(t.Context()); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"near", "middle", "top"} {
			if n := inside[*memory.Store](t, get(t, s, name)).Len(); n != 0 {
				t.Errorf("%s holds %d entries", name, n)
			}
		}
		for _, name := range s.Names() {
			wantValue(t, get(t, s, name), "k", "")
		}
		wantValue(t, beside, "k", "v")
	}
}
