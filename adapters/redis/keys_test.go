package redis

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestClearSparesOthers(t *testing.T) {
	t.Run("single", func(t *testing.T) { testClearSparesOthers(t, newClient(t, testservers.Redis(t).Addr)) })
	t.Run("cluster", func(t *testing.T) { testClearSparesOthers(t, newCluster(t)) })
}

func testClearSparesOthers(t *testing.T, client goredis.UniversalClient) {
	ctx := t.Context()
	prefix := unique(t)
	s := newStore(t, client, &Options{Prefix: prefix + "app:", Timeout: patience})
	foreign := []string{
		prefix, prefix + "app", prefix + "app:", prefix + "other", "x" + prefix + "app:a", prefix + "app;a",
	}
	for _, key := range foreign { // "app:" alone is no key of ours: ours are not empty
		if err := client.Set(ctx, key, "theirs", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	const entries = 3*scanCount + 7
	for i := range entries {
		if i%500 != 0 {
			continue
		}
		items := make([]store.Item, 0, 500)
		for j := i; j < min(i+500, entries); j++ {
			items = append(items, store.Item{Key: fmt.Sprint(j)})
		}
		if err := s.SetMany(ctx, items); err != nil {
			t.Fatal(err)
		}
	}
	if n := countKeys(t, s, ""); n != entries {
		t.Errorf("Keys: %d, want %d", n, entries)
	}
	if n := countKeys(t, s, "30"); n != 1+10+7 {
		t.Errorf(`Keys("30"): %d, want 18`, n)
	}
	if err := s.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	if n := countKeys(t, s, ""); n != 0 {
		t.Errorf("Keys after Clear: %d", n)
	}
	for _, key := range foreign {
		if value, err := client.Get(ctx, key).Result(); value != "theirs" || err != nil {
			t.Errorf("the foreign key %q: got %q, %v", key, value, err)
		}
	}
}

// countKeys counts the distinct keys.
func countKeys(t *testing.T, s *Store, prefix string) int {
	t.Helper()
	seen := make(map[string]bool)
	for key, err := range s.Keys(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		seen[key] = true
	}
	return len(seen)
}

func TestClearNeedsAPrefix(t *testing.T) {
	s := newStore(t, newClient(t, "localhost:1"), nil)
	if err := s.Clear(t.Context()); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if err := store.Clear(t.Context(), s); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("store.Clear: got %v, want ErrInvalid", err)
	}
}

// Whatever bytes a prefix has, it stands for itself in the pattern of a scan.
func TestPrefixOfAnyBytes(t *testing.T) {
	// Every scan walks all keys of the server, so that it must be one without
	// those that other tests leave behind.
	client := newClient(t, testservers.StartRedis(t).Addr)
	base := unique(t)
	var prefixes []string
	for b := range 256 {
		prefixes = append(prefixes, string([]byte{byte(b)}))
	}
	prefixes = append(prefixes, "*", "?", "[a-z]", "[^a]", `\`, `\*`, `a\`, "[", "]", "{", "**", "é", "\xff\xfe")
	slices.Sort(prefixes)
	prefixes = slices.Compact(prefixes)
	for _, p := range prefixes {
		s := newStore(t, client, &Options{Prefix: base + p + ":", Timeout: patience})
		if err := s.Set(t.Context(), "k", nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range prefixes {
		s := newStore(t, client, &Options{Prefix: base + p + ":", Timeout: patience})
		var keys []string
		for key, err := range s.Keys(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		if !slices.Equal(keys, []string{"k"}) {
			t.Errorf("prefix %q: keys %q", p, keys)
		}
		if err := s.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "k"); err != store.ErrNotFound {
			t.Errorf("prefix %q: %v after Clear", p, err)
		}
	}
}

func TestKeysStopsWithTheLoop(t *testing.T) {
	client := newCluster(t)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	items := make([]store.Item, 100)
	for i := range items {
		items[i].Key = fmt.Sprint(i)
	}
	if err := s.SetMany(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Keys(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d keys before the break", n)
	}
}
