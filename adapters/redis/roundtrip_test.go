package redis

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// countTrips counts what client sends, a pipeline as one.
func countTrips(client goredis.UniversalClient) *atomic.Int64 {
	var n atomic.Int64
	client.AddHook(hook{
		process: func(ctx context.Context, cmd goredis.Cmder, next goredis.ProcessHook) error {
			n.Add(1)
			return next(ctx, cmd)
		},
		pipeline: func(ctx context.Context, cmds []goredis.Cmder, next goredis.ProcessPipelineHook) error {
			n.Add(1)
			return next(ctx, cmds)
		},
	})
	return &n
}

func TestRoundTrips(t *testing.T) {
	t.Run("single", func(t *testing.T) { testRoundTrips(t, newClient(t, testservers.Redis(t).Addr)) })
	t.Run("cluster", func(t *testing.T) { testRoundTrips(t, newCluster(t)) })
}

func testRoundTrips(t *testing.T, client goredis.UniversalClient) {
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	items := make([]store.Item, 2*partLen+1)
	keys := make([]string, len(items))
	for i := range items {
		keys[i] = fmt.Sprint(i)
		items[i] = store.Item{Key: keys[i], Value: []byte("v"), TTL: time.Minute}
	}
	large := []byte(strings.Repeat("v", partSize/2))
	// The servers come to know the scripts, and the client all connections
	// that it keeps, whose greetings would be counted.
	if err := s.SetMany(ctx, items); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys[:100] {
		s.CompareAndSwap(ctx, key, nil, nil, 0)
		s.CompareAndDelete(ctx, key, nil)
		s.Delete(ctx, key)
		s.Add(ctx, key, nil, 0)
		s.Hold(ctx, key, patience)
		s.GetOrLease(ctx, key, "token", patience, nil)
		s.RenewLease(ctx, key, "token", patience)
		s.Abandon(ctx, key, "token")
		s.Fill(ctx, key, "token", store.LiveBytes(nil), 0)
	}
	trips := countTrips(client)
	for _, test := range []struct {
		name string
		want int64
		call func() error
	}{
		{"Set", 1, func() error { return s.Set(ctx, "1", []byte("v"), time.Minute) }},
		{"Get", 1, func() error { _, err := s.Get(ctx, "1"); return err }},
		{"TTL", 1, func() error { _, err := s.TTL(ctx, "1"); return err }},
		{"GetWithTTL", 1, func() error { _, _, err := s.GetWithTTL(ctx, "1"); return err }},
		{"Touch", 1, func() error { return s.Touch(ctx, "1", time.Minute) }},
		{"Touch for ever", 1, func() error { return s.Touch(ctx, "1", store.Forever) }},
		{"Add", 1, func() error { _, err := s.Add(ctx, "1", nil, 0); return err }},
		{"CompareAndSwap", 1, func() error { _, err := s.CompareAndSwap(ctx, "1", nil, nil, 0); return err }},
		{"CompareAndDelete", 1, func() error { _, err := s.CompareAndDelete(ctx, "1", nil); return err }},
		{"Delete", 1, func() error { return s.Delete(ctx, "1") }},
		{"GetOrLease", 1, func() error { _, err := s.GetOrLease(ctx, "1", "token", patience, nil); return err }},
		{"RenewLease", 1, func() error { _, err := s.RenewLease(ctx, "1", "token", patience); return err }},
		{"Fill", 1, func() error { _, err := s.Fill(ctx, "1", "token", store.LiveBytes(nil), 0); return err }},
		{"Abandon", 1, func() error { return s.Abandon(ctx, "1", "token") }},
		{"Hold", 1, func() error { return s.Hold(ctx, "1", patience) }},
		{"SetMany", 1, func() error { return s.SetMany(ctx, items[:100]) }},
		{"GetMany", 1, func() error { _, err := s.GetMany(ctx, keys[:100]); return err }},
		{"GetMany of one key twice", 1, func() error { _, err := s.GetMany(ctx, []string{"1", "1"}); return err }},
		{"GetManyWithTTL", 1, func() error { _, err := s.GetManyWithTTL(ctx, keys[:100]); return err }},
		{"GetManyWithTTL of one key twice", 1, func() error { _, err := s.GetManyWithTTL(ctx, []string{"1", "1"}); return err }},
		{"DeleteMany", 1, func() error { return s.DeleteMany(ctx, keys[:100]) }},
		{"SetMany of no items", 0, func() error { return s.SetMany(ctx, nil) }},
		{"GetMany of no keys", 0, func() error { _, err := s.GetMany(ctx, nil); return err }},
		{"GetManyWithTTL of no keys", 0, func() error { _, err := s.GetManyWithTTL(ctx, nil); return err }},
		{"DeleteMany of no keys", 0, func() error { return s.DeleteMany(ctx, nil) }},
		{"SetMany of many", 3, func() error { return s.SetMany(ctx, items) }},
		{"GetMany of many", 3, func() error { _, err := s.GetMany(ctx, keys); return err }},
		{"GetManyWithTTL of many", 3, func() error { _, err := s.GetManyWithTTL(ctx, keys); return err }},
		{"DeleteMany of many", 3, func() error { return s.DeleteMany(ctx, keys) }},
		{"SetMany of large values", 2, func() error {
			return s.SetMany(ctx, []store.Item{{Key: "1", Value: large}, {Key: "2", Value: large}, {Key: "3", Value: large}})
		}},
		{"a key that is too long", 0, func() error {
			if _, err := s.Get(ctx, strings.Repeat("k", store.MaxKeyLen+1)); err == nil {
				t.Error("no error")
			}
			return nil
		}},
		{"Clear without a prefix", 0, func() error {
			if err := newStore(t, client, nil).Clear(ctx); err == nil {
				t.Error("no error")
			}
			return nil
		}},
	} {
		before := trips.Load()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := trips.Load() - before; got != test.want {
			t.Errorf("%s took %d round trips, want %d", test.name, got, test.want)
		}
	}
}

// A server that has lost the scripts, by a restart or a failover, gets them
// again.
func TestScriptsAreSentAgain(t *testing.T) {
	client := newClient(t, testservers.StartRedis(t).Addr)
	s := newStore(t, client, &Options{Timeout: patience})
	for range 3 {
		if err := s.Set(t.Context(), "k", []byte("old"), 0); err != nil {
			t.Fatal(err)
		}
		if swapped, err := s.CompareAndSwap(t.Context(), "k", []byte("old"), []byte("new"), 0); !swapped || err != nil {
			t.Errorf("CompareAndSwap: got %v, %v", swapped, err)
		}
		if deleted, err := s.CompareAndDelete(t.Context(), "k", []byte("new")); !deleted || err != nil {
			t.Errorf("CompareAndDelete: got %v, %v", deleted, err)
		}
		grant(t, s, "k", "token", nil)
		wantFill(t, s, "k", "token", true)
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Each server of a cluster gets the scripts of a batch again that it has lost.
func TestScriptsOfABatchAreSentAgain(t *testing.T) {
	client := newCluster(t)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	var items []store.Item
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprint(i))
		items = append(items, store.Item{Key: keys[i], Value: []byte(keys[i])})
	}
	flush := func(ctx context.Context, master *goredis.Client) error { return master.ScriptFlush(ctx).Err() }
	for range 2 {
		for _, write := range []func() error{
			func() error { return s.SetMany(t.Context(), items) },
			func() error { return s.DeleteMany(t.Context(), keys[:50]) },
		} {
			wantNil(t, client.ForEachMaster(t.Context(), flush))
			wantNil(t, write())
		}
		values, err := s.GetMany(t.Context(), keys)
		if len(values) != 50 || string(values["99"]) != "99" || err != nil {
			t.Errorf("%d values, %v, want 50", len(values), err)
		}
	}
}
