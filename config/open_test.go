package config_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/store"
)

// stacks is a Config in which stores are layers of several.
func stacks(b *backend) *config.Config {
	return &config.Config{Default: "pages", Stores: map[string]config.Store{
		"local":  {URL: b.url("local"), TTL: 30 * time.Second},
		"shared": {URL: b.url("shared"), Prefix: "app:", TTL: time.Hour},
		"pages":  {Layers: []string{"local", "shared"}},
		"other":  {Layers: []string{"local", "far"}, Coherence: "bounded:5s"},
		"far":    {Layers: []string{"middle", "shared"}, Prefix: "far:"},
		"middle": {URL: b.url("middle")},
	}}
}

// Each store is opened once, and closed once after the layers that it is one
// of. A bubble ends with all its goroutines or not at all.
func TestOpenAndCloseEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		s, err := stacks(b).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		opened := b.take("open")
		slices.Sort(opened)
		if want := []string{"open local", "open middle", "open shared"}; !slices.Equal(opened, want) {
			t.Errorf("opened were %q, want %q", opened, want)
		}
		if want, got := []string{"far", "local", "middle", "other", "pages", "shared"}, s.Names(); !slices.Equal(got, want) {
			t.Errorf("the names are %q, want %q", got, want)
		}
		madeOf := map[string][]store.Store{
			"close local":  {get(t, s, "pages"), get(t, s, "other")},
			"close middle": {get(t, s, "far"), get(t, s, "other")},
			"close shared": {get(t, s, "far"), get(t, s, "other"), get(t, s, "pages")},
		}
		b.hook = func(event string) {
			for _, layers := range madeOf[event] {
				if _, err := layers.Get(t.Context(), "k"); !errors.Is(err, store.ErrClosed) {
					t.Errorf("%s, and layers of it say %v", event, err)
				}
			}
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		closed := b.take("close")
		slices.Sort(closed)
		if want := []string{"close local", "close middle", "close shared"}; !slices.Equal(closed, want) {
			t.Errorf("closed were %q, want %q", closed, want)
		}
	})
}

func TestOpenClosesWhatItOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("on purpose")
		for _, event := range []string{"open local", "open middle", "open shared"} {
			b := newBackend(t)
			b.setFailure(event, failed)
			s, err := stacks(b).Open(t.Context())
			if s != nil {
				t.Error("there are Stores although there is an error")
			}
			wantError(t, err, failed, "config: stores."+event[len("open "):])
			wantError(t, err, store.ErrInvalid, "on purpose")
			events := b.take("")
			for _, name := range []string{"local", "middle", "shared"} {
				opened, closed := 0, 0
				for _, e := range events {
					switch e {
					case "open " + name:
						opened++
					case "close " + name:
						closed++
					}
				}
				if "open "+name == event {
					opened--
				}
				if opened > 1 || opened != closed {
					t.Errorf("%s fails: %s was opened %d times and closed %d times", event, name, opened, closed)
				}
			}
		}
	})
}

func TestLazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := stacks(b)
		c.Lazy = true
		s, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c.Stores["local"] = config.Store{URL: "nonsense"} // the Stores have a copy
		c.Stores["pages"].Layers[0] = "nonsense"
		b.want(t, "")
		for range s.All() {
			t.Error("a store is open that nobody has asked for")
		}

		failed := errors.New("on purpose")
		b.setFailure("open shared", failed)
		for range 2 {
			_, err := s.Store("pages")
			wantError(t, err, failed, "config: stores.shared")
		}
		b.want(t, "open", "open local", "open shared", "open shared")
		b.setFailure("open shared", nil)

		var wg sync.WaitGroup
		var all sync.Map
		for range 50 {
			wg.Go(func() {
				p, err := s.Store("pages")
				if err != nil {
					t.Error(err)
				}
				all.Store(p, true)
			})
		}
		wg.Wait()
		n := 0
		all.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("those who asked at the same time have %d stores", n)
		}
		b.want(t, "open", "open shared")
		var names []string
		for name, st := range s.All() {
			names = append(names, name)
			if st != get(t, s, name) {
				t.Errorf("All and Store have different stores of the name %s", name)
			}
		}
		if want := []string{"local", "pages", "shared"}; !slices.Equal(names, want) {
			t.Errorf("open are %q, want %q", names, want)
		}
	})
}

// What is said beside a URL is as if it stood in it.
func TestPrefixAndTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &config.Config{Default: "plain", Stores: map[string]config.Store{
			"plain":  {URL: "memory:"},
			"both":   {URL: "memory:?max_entries=7", Prefix: "a&b=c%20 ?", TTL: 90 * time.Minute},
			"layers": {URL: "memory: | memory:?prefix=in:", Prefix: "out:"},
			"none":   {URL: "null:", Prefix: "p:", TTL: time.Hour},
		}})
		ctx := t.Context()
		both := get(t, s, "both")
		set(t, both, "k", "v")
		below := inside[*memory.Store](t, both)
		if ttl, err := below.TTL(ctx, "a&b=c%20 ?k"); ttl != 90*time.Minute || err != nil || below.Options().MaxEntries != 7 {
			t.Errorf("ttl %v, %v, options %+v", ttl, err, below.Options())
		}
		layers := get(t, s, "layers")
		set(t, layers, "k", "v")
		if _, err := inside[*layered.Store](t, layers).Get(ctx, "out:k"); err != nil {
			t.Error(err)
		}
		if _, ok := get(t, s, "plain").(*memory.Store); !ok {
			t.Error("a store without a prefix is not what was opened")
		}
	})
}

func TestOpenErrors(t *testing.T) {
	b := newBackend(t)
	for _, test := range []struct {
		stores map[string]config.Store
		kind   error
		want   string
	}{
		{map[string]config.Store{"a": {URL: "memory:?ttl=1s", TTL: time.Second}}, store.ErrInvalid, "stores.a"},
		{map[string]config.Store{"a": {URL: "memory:?prefix=x", Prefix: "x"}}, store.ErrInvalid, "stores.a"},
		{map[string]config.Store{"a": {URL: "disk:./cache"}}, store.ErrInvalid, `scheme "disk" is not registered; import _ "github.com/cairncache/cairn/adapters/disk"`},
		{map[string]config.Store{"a": {URL: "memory:?max_bytes=0"}}, store.ErrInvalid, "max_bytes: 0 would hold nothing"},
		{map[string]config.Store{"a": {URL: "refused:"}}, os.ErrPermission, "config: stores.a.url: permission denied"},
		{map[string]config.Store{"a": {URL: "nothing:"}}, nil, "the package of the scheme nothing has opened no store"},
		{map[string]config.Store{"a": {Layers: []string{"m", "n"}}, "m": {URL: "memory:"}, "n": {URL: "null:"}}, store.ErrInvalid, `stores.a.coherence: the last layer, "n", tells of no changes; say how old`},
		{map[string]config.Store{"a": {Layers: []string{"n", "m"}}, "m": {URL: "memory:"}, "n": {URL: "null:"}}, nil, ""},
		{map[string]config.Store{"a": {Layers: []string{"n", "m"}}, "m": {URL: "memory:"}, "n": {URL: "least:" + b.id + "/n"}}, store.ErrInvalid, `stores.a.layers[0]: "n" does not keep its entries in the process`},
		{map[string]config.Store{"a": {Layers: []string{"n", "m"}}, "m": {URL: "memory:"}, "n": {URL: "memory: | memory:"}}, store.ErrInvalid, `stores.a.layers[0]: "n" is made of layers itself, which only the last may be`},
		{map[string]config.Store{"a": {Layers: []string{"m", "n"}, Degraded: "serve:1ms"}, "m": {URL: "memory:"}, "n": {URL: "memory:"}}, store.ErrInvalid, "stores.a.degraded: "},
		{map[string]config.Store{"a": {Layers: []string{"m", "n"}, Coherence: "wach"}, "m": {URL: "memory:"}, "n": {URL: "memory:"}}, store.ErrInvalid, "stores.a.coherence: "},
		{map[string]config.Store{"a": {Layers: []string{"m", "n"}, Degraded: "serv"}, "m": {URL: "memory:"}, "n": {URL: "memory:"}}, store.ErrInvalid, "stores.a.degraded: "},
	} {
		s, err := (&config.Config{Stores: test.stores}).Open(t.Context())
		if test.kind == nil && test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			continue
		}
		if test.kind == nil {
			if err != nil {
				t.Errorf("%v: %v", test.stores, err)
				continue
			}
			s.Close()
			continue
		}
		wantError(t, err, test.kind, test.want)
		if test.kind != store.ErrInvalid && errors.Is(err, store.ErrInvalid) {
			t.Errorf("it is not the fault of the configuration: %v", err)
		}
	}
}
