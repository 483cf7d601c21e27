package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// Values and times to live are of the same entries: the batch is one
// transaction, which no write gets into. (Not so on a cluster.)
func TestManyWithTTLIsOfOneEntry(t *testing.T) {
	server := testservers.Redis(t).Addr
	s := newStore(t, newClient(t, server), &Options{Prefix: unique(t), Timeout: patience})
	writer := newStore(t, newClient(t, server), &Options{Prefix: s.prefix, Timeout: patience})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys := []string{"a", "b", "c"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			value, ttl := "short", time.Minute
			if i%2 == 0 {
				value, ttl = "long", time.Hour
			}
			var items []store.Item
			for _, key := range keys {
				items = append(items, store.Item{Key: key, Value: []byte(value), TTL: ttl})
			}
			writer.SetMany(ctx, items)
		}
	}()
	seen := make(map[string]int)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end) || len(seen) < 2; {
		entries, err := s.GetManyWithTTL(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		for key, e := range entries {
			if long := string(e.Value) == "long"; long != (e.TTL > time.Minute) {
				t.Fatalf("%s is %q for %v", key, e.Value, e.TTL)
			}
			seen[string(e.Value)]++
		}
	}
	cancel()
	<-done
}

// A key that another program uses for something else fails alone.
func TestManyWithTTLOfAnotherType(t *testing.T) {
	for name, client := range map[string]goredis.UniversalClient{
		"single": newClient(t, testservers.Redis(t).Addr), "cluster": newCluster(t),
	} {
		s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
		if err := client.LPush(t.Context(), s.prefix+"list", "x").Err(); err != nil {
			t.Fatal(err)
		}
		for key, ttl := range map[string]time.Duration{"k": time.Hour, "kept": store.Forever} {
			if err := s.Set(t.Context(), key, []byte("v"), ttl); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := s.GetManyWithTTL(t.Context(), []string{"k", "list", "none", "kept"})
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "1 of 4 keys") || !strings.Contains(err.Error(), "prefix of its own") {
			t.Errorf("%s: %v", name, err)
		}
		k, kept := entries["k"], entries["kept"]
		if len(entries) != 2 || string(k.Value) != "v" || k.TTL <= 0 || k.TTL > time.Hour || string(kept.Value) != "v" || kept.TTL != store.Forever {
			t.Errorf("%s: %v, want the two values", name, entries)
		}
	}
}
