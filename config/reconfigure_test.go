package config_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/store"
)

func TestReconfigure(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		s := open(t, &config.Config{Lazy: lazy, Stores: map[string]config.Store{"main": {URL: "memory:?max_entries=10", Prefix: "app:", TTL: time.Hour}}})
		main := get(t, s, "main")
		set(t, main, "k", "v")
		for _, d := range []config.Store{
			{URL: "memory:?max_entries=5&policy=lru", Prefix: "app:", TTL: time.Minute},
			{URL: "memory:?max_entries=5&policy=lru&ttl=1m&prefix=app:"},
		} {
			if err := s.Reconfigure("main", d); err != nil {
				t.Fatal(err)
			}
			wantValue(t, main, "k", "v")
			if get(t, s, "main") != main {
				t.Error("it is another store")
			}
			if o := inside[*memory.Store](t, main).Options(); o.MaxEntries != 5 || o.Policy != memory.LRU || o.TTL != time.Minute {
				t.Errorf("the options are %+v", o)
			}
		}
	}
}

// After an error nothing has changed.
func TestReconfigureErrors(t *testing.T) {
	b := newBackend(t)
	s := open(t, &config.Config{Default: "mem", Stores: map[string]config.Store{
		"mem":    {URL: "memory:?max_entries=7", Prefix: "app:", TTL: time.Hour},
		"null":   {URL: "null:"},
		"fake":   {URL: b.url("fake")},
		"near":   {URL: "memory:", TTL: time.Minute},
		"pages":  {Layers: []string{"near", "mem"}},
		"joined": {URL: "memory: | memory:"},
	}})
	set(t, get(t, s, "mem"), "k", "v")
	before := inside[*memory.Store](t, get(t, s, "mem")).Options()
	for _, test := range []struct {
		name string
		to   config.Store
		kind error
		want string
	}{
		{"mem", config.Store{URL: "memory:?max_entries=0", Prefix: "app:"}, store.ErrInvalid, "config: stores.mem.url: "},
		{"mem", config.Store{URL: "memory:?max_entires=5", Prefix: "app:"}, store.ErrInvalid, `did you mean "max_entries"?`},
		{"mem", config.Store{URL: "memory:?ttl=1s", Prefix: "app:", TTL: time.Second}, store.ErrInvalid, "config: stores.mem.ttl: "},
		{"mem", config.Store{}, store.ErrInvalid, "config: stores.mem: "},
		{"mem", config.Store{URL: "memory:", TTL: -1}, store.ErrInvalid, "config: stores.mem.ttl: "},
		{"mem", config.Store{URL: "memory:"}, errors.ErrUnsupported, "config: reconfigure stores.mem: unsupported operation: with another prefix its entries would not be found"},
		{"mem", config.Store{URL: "memory:?prefix=app2:"}, errors.ErrUnsupported, "with another prefix"},
		{"mem", config.Store{URL: "null:", Prefix: "app:"}, errors.ErrUnsupported, "it is of the scheme memory, and cannot become one of null"},
		{"mem", config.Store{Layers: []string{"null", "fake"}}, errors.ErrUnsupported, "layers stay as they were opened"},
		{"mem", config.Store{Layers: []string{"near", "pages"}}, store.ErrInvalid, "circle"},
		{"null", config.Store{URL: "null:"}, errors.ErrUnsupported, "a store of the scheme null stays as it was opened; close the stores and open them anew"},
		{"near", config.Store{URL: "memory:"}, errors.ErrUnsupported, "its ttl bounds what pages keeps in it"},
		{"pages", config.Store{URL: "memory:"}, errors.ErrUnsupported, "layers stay as they were opened; reconfigure one of them by its name"},
		{"pages", config.Store{Layers: []string{"near", "mem"}, Coherence: "watch:2s"}, errors.ErrUnsupported, "layers stay as they were opened"},
		{"joined", config.Store{URL: "memory: | memory:"}, errors.ErrUnsupported, "a store of the scheme layered stays"},
		{"fake", config.Store{URL: b.url("fake")}, store.ErrInvalid, "the store is one of the scheme memory"},
	} {
		wantError(t, s.Reconfigure(test.name, test.to), test.kind, test.want)
	}
	if got := inside[*memory.Store](t, get(t, s, "mem")).Options(); got.MaxEntries != before.MaxEntries || got.TTL != before.TTL {
		t.Errorf("the options are %+v", got)
	}
	wantValue(t, get(t, s, "mem"), "k", "v")
	if err := s.Reconfigure("near", config.Store{URL: "memory:?max_entries=3&ttl=60s"}); err != nil {
		t.Error(err)
	}
	// What was refused is not remembered: the prefix is the one of before.
	if err := s.Reconfigure("mem", config.Store{URL: "memory:?prefix=app:"}); err != nil {
		t.Error(err)
	}
}

// What is not the fault of the URL is not store.ErrInvalid.
func TestReconfigureFails(t *testing.T) {
	d := config.Store{URL: "broken" + newBackend(t).url("b")[len("fake"):]}
	s := open(t, &config.Config{Stores: map[string]config.Store{"main": d}})
	err := s.Reconfigure("main", d)
	wantError(t, err, os.ErrPermission, "config: reconfigure stores.main: ")
	if errors.Is(err, store.ErrInvalid) {
		t.Errorf("%v matches store.ErrInvalid", err)
	}
}
