package redis

import (
	"errors"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// Where the server refuses the connection, the client returns an error for
// commands that were to be sent together, and leaves each of them without one.
func TestRefusedConnectionFailsAllTogether(t *testing.T) {
	secure := testservers.RedisTLS(t)
	client := goredis.NewClient(advised(&goredis.Options{
		Addr: secure.Addr, TLSConfig: secure.TLS, Username: secure.Username, Password: "wrong",
	}))
	t.Cleanup(func() { client.Close() })
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"GetMany":        func() error { _, err := s.GetMany(ctx, []string{"a", "b"}); return err },
		"GetManyWithTTL": func() error { _, err := s.GetManyWithTTL(ctx, []string{"a", "b"}); return err },
		"SetMany":        func() error { return s.SetMany(ctx, []store.Item{{Key: "a"}, {Key: "b"}}) },
		"DeleteMany":     func() error { return s.DeleteMany(ctx, []string{"a", "b"}) },
		"Get":            func() error { _, err := s.Get(ctx, "a"); return err },
		"GetWithTTL":     func() error { _, _, err := s.GetWithTTL(ctx, "a"); return err },
		"Set":            func() error { return s.Set(ctx, "a", nil, 0) },
		"Delete":         func() error { return s.Delete(ctx, "a") },
	} {
		var wg sync.WaitGroup
		for range 32 { // at once, so that singles travel together
			wg.Go(func() {
				if err := call(); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s: got %v, want ErrUnavailable", name, err)
				}
			})
		}
		wg.Wait()
	}
}
