package config_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

func TestUnknownStore(t *testing.T) {
	s := open(t, stacks(newBackend(t)))
	for name, want := range map[string]string{
		"shard":     `config: no store named "shard" (did you mean "shared"? there are: far, local, middle, other, pages, shared)`,
		"something": `config: no store named "something" (there are: far, local, middle, other, pages, shared)`,
		"":          `config: no store named "" (there are: far, local, middle, other, pages, shared)`,
	} {
		st, err := s.Store(name)
		if st != nil || !errors.Is(err, store.ErrInvalid) || err.Error() != want {
			t.Errorf("%q: %v, %v\nwant %s", name, st, err, want)
		}
		wantError(t, s.Reconfigure(name, config.Store{URL: "memory:"}), store.ErrInvalid, want)
	}
}

func TestDefault(t *testing.T) {
	one, two := config.Store{URL: "memory:"}, config.Store{URL: "null:"}
	for _, test := range []struct {
		config config.Config
		want   string
	}{
		{config.Config{Stores: map[string]config.Store{"one": one}}, "one"},
		{config.Config{Default: "two", Stores: map[string]config.Store{"one": one, "two": two}}, "two"},
		{config.Config{Stores: map[string]config.Store{"one": one, "two": one, "a": {Layers: []string{"one", "two"}}}}, "a"},
	} {
		s := open(t, &test.config)
		got, err := s.Default()
		if err != nil || got != get(t, s, test.want) {
			t.Errorf("%+v: %v, want %s", test.config, err, test.want)
		}
	}
}

func TestRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := stacks(b)
		c.Lazy = true
		c.Regions = map[string]config.Region{
			"short": {TTL: time.Minute, Stale: 5 * time.Minute, Absent: time.Second, Jitter: 0.1, RefreshAhead: 0.8, EarlyRefresh: 1, SoftTimeout: 2, LoadTimeout: 3, WaitTimeout: 4, Retry: memo.Off},
			"user":  {Parent: "short", Namespace: "user", Store: "shared"},
		}
		s := open(t, c)
		regions, err := s.Regions()
		if err != nil || len(regions) != 2 {
			t.Fatal(regions, err)
		}
		b.want(t, "open", "open shared")
		want := memo.Region{Policy: memo.Policy{TTL: time.Minute, Stale: 5 * time.Minute, Absent: time.Second, Jitter: 0.1, RefreshAhead: 0.8, EarlyRefresh: 1, SoftTimeout: 2, LoadTimeout: 3, WaitTimeout: 4, Retry: memo.Off}}
		if regions["short"] != want {
			t.Errorf("short is %+v, want %+v", regions["short"], want)
		}
		if want := (memo.Region{Parent: "short", Namespace: "user", Store: get(t, s, "shared")}); regions["user"] != want {
			t.Errorf("user is %+v, want %+v", regions["user"], want)
		}
		m, err := memo.New(get(t, s, "pages"), &memo.Options{Regions: regions})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}

		failed := errors.New("on purpose")
		b.setFailure("open shared", failed)
		again, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		regions, err = again.Regions()
		wantError(t, err, failed, "config: stores.shared")
		if regions != nil {
			t.Error("there are regions although there is an error")
		}
	})
}

func TestRegister(t *testing.T) {
	b := newBackend(t)
	s, err := stacks(b).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := &fake{m, "own", b}
	if err := s.Register("own", own); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":       "the name is empty",
		"own":    "a store of that name is registered already",
		"shared": "the configuration has a store of that name",
	} {
		wantError(t, s.Register(name, own), store.ErrInvalid, want)
	}
	wantError(t, s.Register("none", nil), store.ErrInvalid, "the store is nil")
	if get(t, s, "own") != store.Store(own) || !slices.Contains(s.Names(), "own") {
		t.Error("what is registered is not there")
	}
	wantError(t, s.Reconfigure("own", config.Store{URL: "memory:"}), errors.ErrUnsupported, "the program has registered it")
	set(t, own, "k", "v")
	b.take("")
	if err := s.ClearAll(t.Context()); err != nil {
		t.Error(err)
	}
	wantValue(t, own, "k", "")
	if got := b.take("clear"); got[0] != "clear own" || slices.Contains(got[1:], "clear own") {
		t.Errorf("cleared were %q", got)
	}
	failed := errors.New("on purpose")
	b.setFailure("close own", failed)
	wantError(t, s.Close(), failed, "config: stores.own: on purpose")
	if got := b.take("close"); len(got) != 4 || got[0] != "close own" {
		t.Errorf("closed were %q", got)
	}
}

// The others are cleared although one cannot be, and those that nobody has
// asked for yet are too.
func TestClearAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := stacks(b)
		c.Lazy = true
		s := open(t, c)
		var all []store.Store
		for _, name := range []string{"pages", "shared", "other", "far", "local"} {
			all = append(all, get(t, s, name))
			set(t, all[len(all)-1], "k", name)
			wantValue(t, all[len(all)-1], "k", name)
		}
		if err := s.ClearAll(t.Context()); err != nil {
			t.Error(err)
		}
		for _, st := range all {
			wantValue(t, st, "k", "")
		}

		failed := errors.New("on purpose")
		b.setFailure("clear middle", failed)
		set(t, get(t, s, "shared"), "k", "v")
		set(t, get(t, s, "local"), "k", "v")
		wantError(t, s.ClearAll(t.Context()), failed, "config: stores.middle: on purpose")
		b.setFailure("clear middle", nil)
		wantValue(t, get(t, s, "shared"), "k", "")
		wantValue(t, get(t, s, "local"), "k", "")

		if err := s.Register("least", least{all[0]}); err != nil {
			t.Fatal(err)
		}
		set(t, get(t, s, "shared"), "k", "v")
		wantError(t, s.ClearAll(t.Context()), errors.ErrUnsupported, "config: stores.least: ")
		wantValue(t, get(t, s, "shared"), "k", "")

		done, cancel := context.WithCancel(t.Context())
		cancel()
		wantError(t, s.ClearAll(done), context.Canceled, "")
	})
}

// What was cleared does not come back from a near layer that was filled
// meanwhile, also if the last layer cannot list its keys.
func TestClearAllWhileReading(t *testing.T) {
	for _, test := range []struct{ scheme, prefix, deep string }{
		{"fake", "", ""}, {"fake", "p:", ""}, {"clear-only", "", ""}, {"clear-only", "p:", ""}, {"clear-only", "", "d:"}, {"fake", "p:", "d:"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			s := open(t, &config.Config{Default: "pages", Stores: map[string]config.Store{
				"a-far": {URL: test.scheme + b.url("far")[len("fake"):]}, "near": {URL: "memory:"}, "y-near": {URL: "memory:"},
				"pages": {Layers: []string{"near", "deep"}, Coherence: "bounded:1h", Prefix: test.prefix},
				"deep":  {Layers: []string{"y-near", "a-far"}, Coherence: "bounded:1h", Prefix: test.deep},
			}})
			pages := get(t, s, "pages")
			set(t, pages, "k", "old")
			wantValue(t, pages, "k", "old")
			b.hook = func(event string) {
				if _, err := pages.Get(t.Context(), "k"); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			}
			err := s.ClearAll(t.Context())
			b.hook = nil
			if err != nil {
				t.Errorf("%+v: %v", test, err)
			}
			for _, name := range []string{"pages", "deep", "near"} {
				wantValue(t, get(t, s, name), "k", "")
			}
		})
	}
}

// What was read before all was cleared, and arrives only afterwards, stays in no
// near layer.
func TestClearAllOvertakesReads(t *testing.T) {
	for _, test := range []struct {
		deep   string
		answer int // of the far layer, that is late
	}{{"", 1}, {"d:", 1}, {"d:", 2}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			s := open(t, &config.Config{Default: "pages", Stores: map[string]config.Store{
				"far": {URL: "clear-only" + b.url("far")[len("fake"):]}, "near": {URL: "memory:"}, "top": {URL: "memory:"},
				"deep":  {Layers: []string{"near", "far"}, Coherence: "bounded:1h", Prefix: test.deep},
				"pages": {Layers: []string{"top", "deep"}, Coherence: "bounded:1h", Prefix: "p:"},
			}})
			pages := get(t, s, "pages")
			set(t, pages, "k", "old")
			cleared, answers := make(chan struct{}), 0
			b.answer = func() {
				if answers++; answers == test.answer {
					<-cleared
				}
			}
			go wantValue(t, pages, "k", "old")
			synctest.Wait()
			if answers != test.answer {
				t.Errorf("%+v: there were %d", test, answers)
			}
			if err := s.ClearAll(t.Context()); err != nil {
				t.Error(err)
			}
			close(cleared)
			synctest.Wait()
			wantValue(t, pages, "k", "")
		})
	}
}

// Layers are no more cleared than the last of them.
func TestClearAllOfWhatCannotBe(t *testing.T) {
	b := newBackend(t)
	s := open(t, &config.Config{Default: "pages", Stores: map[string]config.Store{
		"far": {URL: "least" + b.url("far")[len("fake"):]}, "near": {URL: "memory:"}, "top": {URL: "memory:"},
		"deep":  {Layers: []string{"near", "far"}, Coherence: "bounded:1h", Prefix: "d:"},
		"pages": {Layers: []string{"top", "deep"}, Coherence: "bounded:1h"},
	}})
	set(t, get(t, s, "pages"), "k", "v")
	err := s.ClearAll(t.Context())
	for _, name := range []string{"far", "deep", "pages"} {
		wantError(t, err, errors.ErrUnsupported, "config: stores."+name+": ")
	}
	wantValue(t, get(t, s, "pages"), "k", "v")

	failed := errors.New("on purpose")
	s = open(t, &config.Config{Default: "pages", Stores: map[string]config.Store{
		"far": {URL: "clear-only" + b.url("far")[len("fake"):]}, "near": {URL: "memory:"}, "top": {URL: "memory:"},
		"deep":  {Layers: []string{"near", "far"}, Coherence: "bounded:1h", Prefix: "d:"},
		"pages": {Layers: []string{"top", "deep"}, Coherence: "bounded:1h"},
	}})
	b.setFailure("clear far", failed)
	err = s.ClearAll(t.Context())
	wantError(t, err, failed, "config: stores.far: on purpose")
	wantError(t, err, failed, "config: stores.deep: ")
	wantError(t, err, errors.ErrUnsupported, "config: stores.pages: ")
}

// What is registered comes first, also if a store of the Config is opened later.
func TestRegisteredFirst(t *testing.T) {
	b := newBackend(t)
	c := stacks(b)
	c.Lazy = true
	s, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register("own", &fake{m, "own", b}); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil { // which opens them
		t.Error(err)
	}
	b.take("")
	if err := s.ClearAll(t.Context()); err != nil {
		t.Error(err)
	}
	if got := b.take("clear"); got[0] != "clear own" {
		t.Errorf("cleared were %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := b.take("close"); got[0] != "close own" {
		t.Errorf("closed were %q", got)
	}
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		s := open(t, &config.Config{Lazy: true, Default: "a", Stores: map[string]config.Store{
			"a": {URL: b.url("a")}, "b": {URL: b.url("b")}, "c": {URL: b.url("c")}, "m": {URL: "memory:"},
		}})
		b.hook = func(event string) {
			if event[:4] == "ping" {
				time.Sleep(time.Second)
			}
		}
		start := time.Now()
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the stores answer after a second each, and all after %v", took)
		}
		first, second := errors.New("first"), errors.New("second")
		b.setFailure("ping a", first)
		b.setFailure("ping c", second)
		err := s.Ping(t.Context())
		wantError(t, err, first, "config: stores.a: first\nconfig: stores.c: second")
		wantError(t, err, second, "")
	})
}

func TestPingTellsWhatCannotBeOpened(t *testing.T) {
	b := newBackend(t)
	s := open(t, &config.Config{Lazy: true, Default: "a", Stores: map[string]config.Store{"a": {URL: b.url("a")}, "b": {URL: b.url("b")}}})
	failed := errors.New("on purpose")
	b.setFailure("open a", failed)
	wantError(t, s.Ping(t.Context()), failed, "config: stores.a")
	b.want(t, "ping", "ping b")
}

func TestAfterClose(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		b := newBackend(t)
		c := stacks(b)
		c.Lazy = lazy
		s, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		names := s.Names()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		b.take("")
		_, err1 := s.Store("shared")
		_, err2 := s.Default()
		_, err3 := s.Regions()
		m, err := memory.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			err1, err2, err3, s.Register("own", m), s.Reconfigure("local", config.Store{URL: "memory:"}),
			s.ClearAll(t.Context()), s.Ping(t.Context()),
		} {
			wantError(t, err, store.ErrClosed, "config: ")
		}
		set(t, m, "k", "v") // what was not registered is not closed
		for range s.All() {
			t.Error("after Close there are open stores")
		}
		if !slices.Equal(s.Names(), names) {
			t.Errorf("after Close the names are %q", s.Names())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		b.want(t, "close")
	}
}

// Everything at once, and in the midst of it Close.
func TestStoresConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := newBackend(t)
		c := stacks(b)
		c.Lazy = true
		c.Stores["mem"] = config.Store{URL: "memory:"}
		c.Regions = map[string]config.Region{"r": {Store: "other"}}
		s, err := c.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		allowed := func(err error) {
			if err != nil && !errors.Is(err, store.ErrClosed) {
				t.Error(err)
			}
		}
		var wg sync.WaitGroup
		for i, f := range []func(){
			func() { _, err := s.Store("other"); allowed(err) },
			func() {
				st, err := s.Default()
				if err == nil {
					_, err = st.Get(ctx, "k")
				}
				if !errors.Is(err, store.ErrNotFound) {
					allowed(err)
				}
			},
			func() { s.Names() },
			func() {
				for range s.All() {
					continue
				}
			},
			func() { _, err := s.Regions(); allowed(err) },
			func() { allowed(s.Ping(ctx)) },
			func() { allowed(s.ClearAll(ctx)) },
			func() { allowed(s.Reconfigure("mem", config.Store{URL: "memory:?max_entries=5"})) },
		} {
			wg.Go(func() {
				for range 20 {
					f()
				}
			})
			if i == 5 {
				wg.Go(func() { allowed(s.Close()) })
			}
		}
		wg.Wait()
		events := b.take("")
		for _, name := range []string{"local", "middle", "shared"} {
			n := 0
			for _, e := range events {
				if e == "open "+name {
					n++
				}
				if e == "close "+name {
					n += 10
				}
			}
			if n != 0 && n != 11 {
				t.Errorf("%s was opened and closed %d times", name, n)
			}
		}
	})
}
