package config_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	_ "github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// redisConfig has memory over Redis, and the Redis by itself. The time-outs are
// for machines that do much else.
func redisConfig(t *testing.T) *config.Config {
	t.Helper()
	return &config.Config{Default: "pages", Stores: map[string]config.Store{
		"local":  {URL: "memory:"},
		"shared": {URL: "redis://" + testservers.Redis(t).Addr + "?timeout=10s", Prefix: t.Name() + ":", TTL: time.Hour},
		"other":  {URL: "redis://" + testservers.Redis(t).Addr + "?timeout=10s", Prefix: t.Name() + "-other:"},
		"pages":  {Layers: []string{"local", "shared"}, Coherence: "watch:2s", Timeout: 10 * time.Second},
	}}
}

// What one process changes, the memory of another does not answer any more.
func TestRedisLayers(t *testing.T) {
	c := redisConfig(t)
	one, two := open(t, c), open(t, c)
	pages := get(t, one, "pages")
	set(t, get(t, two, "pages"), "k", "first")
	stats := func() layered.Stats { return inside[*layered.Store](t, pages).Stats() }
	for deadline := time.Now().Add(10 * time.Second); stats().L1Hits == 0; time.Sleep(time.Millisecond) {
		wantValue(t, pages, "k", "first")
		if time.Now().After(deadline) {
			t.Fatalf("L1 never answers: %+v", stats())
		}
	}
	set(t, get(t, two, "shared"), "k", "second")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b, err := pages.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if string(b) == "second" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the change never arrives")
		}
	}
	if ttl, err := pages.TTL(t.Context(), "k"); ttl > time.Hour || ttl < 59*time.Minute || err != nil {
		t.Errorf("the ttl is %v, %v", ttl, err)
	}
}

func TestRedisPingAndClearAll(t *testing.T) {
	ctx := t.Context()
	c := redisConfig(t)
	c.Lazy = true
	beside := open(t, redisConfig(t))
	c.Stores["other"] = config.Store{URL: "redis://127.0.0.1:1?prefix=x:"}
	s := open(t, c)
	err := s.Ping(ctx)
	wantError(t, err, store.ErrUnavailable, "config: stores.other: ")
	if errs := err.(interface{ Unwrap() []error }).Unwrap(); len(errs) != 1 {
		t.Errorf("all but one answer, and the error is of %d", len(errs))
	}
	for _, st := range []store.Store{get(t, s, "pages"), get(t, beside, "other")} {
		set(t, st, "k", "v")
	}
	wantError(t, s.ClearAll(ctx), store.ErrUnavailable, "config: stores.other: ")
	wantValue(t, get(t, s, "pages"), "k", "")
	wantValue(t, get(t, s, "shared"), "k", "")
	wantValue(t, get(t, beside, "other"), "k", "v") // of the same server, and not in c
	wantError(t, s.Reconfigure("shared", c.Stores["shared"]), errors.ErrUnsupported, "a store of the scheme redis stays as it was opened")

	short, cancel := context.WithCancel(ctx)
	cancel()
	wantError(t, s.Ping(short), context.Canceled, "")
}

// Of a Redis without a prefix only what layers with one have there is cleared.
func TestRedisClearAllWithoutPrefix(t *testing.T) {
	ctx := t.Context()
	s := open(t, &config.Config{Default: "pages", Stores: map[string]config.Store{
		"local":  {URL: "memory:"},
		"shared": {URL: "redis://" + testservers.Redis(t).Addr},
		"pages":  {Layers: []string{"local", "shared"}, Prefix: t.Name() + "-in:"},
	}})
	pages, shared, beside := get(t, s, "pages"), get(t, s, "shared"), t.Name()+"-beside"
	set(t, pages, "k", "v")
	wantValue(t, pages, "k", "v")
	set(t, shared, beside, "v")
	err := s.ClearAll(ctx)
	wantError(t, err, store.ErrInvalid, "config: stores.shared: ")
	if errs := err.(interface{ Unwrap() []error }).Unwrap(); len(errs) != 1 {
		t.Errorf("%v", err)
	}
	wantValue(t, pages, "k", "")
	wantValue(t, shared, beside, "v")
	if err := shared.Delete(ctx, beside); err != nil {
		t.Error(err)
	}
}
