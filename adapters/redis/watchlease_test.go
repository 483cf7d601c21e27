package redis

import (
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// Where there is a lease and no entry, a write that removes the key changes
// nothing that tracking sees by itself. It is told all the same, since others
// wait for the lease. And nothing is told twice, nor of a key that has neither.
func TestWatchTellsOfLeasedKeys(t *testing.T) {
	for name, newClient := range map[string]func() goredis.UniversalClient{
		"single":  func() goredis.UniversalClient { return newClient(t, testservers.Redis(t).Addr) },
		"cluster": func() goredis.UniversalClient { return newCluster(t) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := quick(unique(t))
			loader, watching := newStore(t, newClient(), opts), newStore(t, newClient(), opts)
			client := newClient()
			writer := newStore(t, client, opts)
			ctx := t.Context()
			for i := range 100 { // the client of the writer connects, and the servers come to know the scripts
				key := strings.Repeat("x", i+1)
				wantNil(t, writer.Set(ctx, key, nil, 0))
				wantNil(t, writer.Hold(ctx, key, patience))
				wantNil(t, writer.Delete(ctx, key))
			}
			trips := countTrips(client)
			r := watchStore(t, watching)
			value := []byte("v")
			for _, test := range []struct {
				name  string
				trips int64 // 0: however many
				write func() error
			}{
				{"Delete", 1, func() error { return writer.Delete(ctx, "k") }},
				{"DeleteMany", 1, func() error { return writer.DeleteMany(ctx, []string{"k"}) }},
				{"Hold", 1, func() error { return writer.Hold(ctx, "k", patience) }},
				{"Clear", 0, func() error { return writer.Clear(ctx) }},
			} {
				for _, state := range []struct {
					name          string
					entry, leased bool
					told          int
				}{
					{"leased", false, true, 1},
					{"an entry", true, false, 1},
					{"an entry and leased", true, true, 1},
					{"nothing", false, false, 0},
				} {
					wantNil(t, loader.Delete(ctx, "k"))
					var despite *store.Live
					if state.entry {
						wantNil(t, loader.Set(ctx, "k", value, 0))
						despite = store.LiveBytes(value)
					}
					if state.leased {
						grant(t, loader, "k", "token", despite)
					}
					r.prove()
					r.look(func() { clear(r.told) })
					flushes, before := r.flushCount(), trips.Load()
					wantNil(t, test.write())
					if got := trips.Load() - before; test.trips > 0 && got != test.trips {
						t.Errorf("%s of %s took %d round trips, want %d", test.name, state.name, got, test.trips)
					}
					r.prove()
					if got := r.count("k"); got != state.told && r.flushCount() == flushes {
						t.Errorf("%s of %s was told %d times, want %d", test.name, state.name, got, state.told)
					}
					if _, err := loader.Get(ctx, "k"); err != store.ErrNotFound {
						t.Errorf("%s of %s: Get: %v, want nothing", test.name, state.name, err)
					}
					wantFill(t, loader, "k", "token", false)
				}
			}
		})
	}
}

// What makes tracking tell must not make a Delete fail: neither on a server that
// is full, nor for a user who may do no more than remove.
func TestLeasedKeysAreRemovedWhateverElseFails(t *testing.T) {
	server := testservers.StartRedis(t)
	admin := newClient(t, server.Addr)
	wantNil(t, admin.ACLSetUser(t.Context(), "app", "on", ">secret", "~*", "&*", "+@all", "-set").Err())
	remover := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, Username: "app", Password: "secret"}))
	t.Cleanup(func() { remover.Close() })
	loader := newStore(t, admin, &Options{Timeout: patience})
	for _, client := range []*goredis.Client{admin, remover} {
		s := newStore(t, client, &Options{Timeout: patience})
		for name, write := range map[string]func(key string) error{
			"Delete":     func(key string) error { return s.Delete(t.Context(), key) },
			"DeleteMany": func(key string) error { return s.DeleteMany(t.Context(), []string{key}) },
		} {
			grant(t, loader, name, "token", nil)
			wantNil(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
			if err := write(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantNil(t, admin.ConfigSet(t.Context(), "maxmemory", "0").Err())
			wantFill(t, loader, name, "token", false)
		}
	}
}

// What the server refuses to a script it is asked to allow by name, and those
// names are all that the scripts use.
func TestErrorsSayWhatScriptsNeed(t *testing.T) {
	server := testservers.StartRedis(t)
	admin := newClient(t, server.Addr)
	for name, rights := range map[string][]string{
		"a command": {"~*", "&*", "+@all", "-unlink"},
		"keys":      {"~app:*", "&*", "+@all"},
		"channels":  {"~*", "resetchannels", "+@all"},
		"scripts":   {"~*", "&*", "+@all", "-@scripting"},
	} {
		rights = append([]string{"reset", "on", ">secret"}, rights...)
		wantNil(t, admin.ACLSetUser(t.Context(), "app", rights...).Err())
		client := goredis.NewClient(advised(&goredis.Options{Addr: server.Addr, Username: "app", Password: "secret"}))
		s := newStore(t, client, &Options{Prefix: "app:", Timeout: patience, Watching: WatchPublish})
		for op, err := range map[string]error{
			"Delete":     s.Delete(t.Context(), "k"),
			"DeleteMany": s.DeleteMany(t.Context(), []string{"k"}),
			"Hold":       s.Hold(t.Context(), "k", patience),
		} {
			for _, want := range []string{"allow the client's user", `"app:*"`, leaseMark, `"cairn:*"`} {
				if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s without %s: got %v, want %q in it", op, name, err, want)
				}
			}
		}
		client.Close()
	}
	for _, sc := range []script{add, compareAndSwap, compareAndDelete, set, unlink, getOrLease, fill, renewLease, abandon, hold} {
		for _, call := range strings.Split(sc.source, "call('")[1:] {
			command, _, _ := strings.Cut(call, "'")
			if !strings.Contains(scriptCommands, strings.ToLower(command)) {
				t.Errorf("%q does not name %s", scriptCommands, command)
			}
		}
	}
}
