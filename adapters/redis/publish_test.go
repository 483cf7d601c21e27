package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// published runs a write and returns the keys that it publishes.
func published(t *testing.T, sub *goredis.PubSub, client *goredis.Client, s *Store, write func() error) (keys []string) {
	t.Helper()
	wantNil(t, write())
	wantNil(t, client.Publish(t.Context(), s.channel, "end").Err())
	for {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Payload == "end" {
			return keys
		}
		keys = append(keys, strings.TrimPrefix(m.Payload, s.prefix))
	}
}

// With WatchPublish whatever changes a value publishes its key, and nothing
// else does.
func TestWritesPublish(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience, Watching: WatchPublish})
	ctx := t.Context()
	sub := client.Subscribe(ctx, s.channel)
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	value := []byte("v")
	large := make([]byte, maxValue+1)
	live := store.LiveBytes(value)
	tooLarge := func(err error) error {
		if !errors.Is(err, store.ErrTooLarge) {
			return fmt.Errorf("got %v, want ErrTooLarge", err)
		}
		return nil
	}
	for _, test := range []struct {
		name, want string
		write      func() error
	}{
		{"Set", "k", func() error { return s.Set(ctx, "k", value, 0) }},
		{"Add of a key that is there", "", func() error { _, err := s.Add(ctx, "k", value, 0); return err }},
		{"CompareAndSwap", "k", func() error { _, err := s.CompareAndSwap(ctx, "k", value, value, 0); return err }},
		{"CompareAndSwap of another value", "", func() error { _, err := s.CompareAndSwap(ctx, "k", nil, value, 0); return err }},
		{"CompareAndDelete of another value", "", func() error { _, err := s.CompareAndDelete(ctx, "k", nil); return err }},
		{"Touch", "k", func() error { return s.Touch(ctx, "k", time.Hour) }},
		{"Touch for ever", "", func() error { return s.Touch(ctx, "k", store.Forever) }},
		{"Get", "", func() error { _, err := s.Get(ctx, "k"); return err }},
		{"CompareAndDelete", "k", func() error { _, err := s.CompareAndDelete(ctx, "k", value); return err }},
		{"Add", "k", func() error { _, err := s.Add(ctx, "k", value, 0); return err }},
		{"Delete", "k", func() error { return s.Delete(ctx, "k") }},
		{"GetOrLease", "", func() error { _, err := s.GetOrLease(ctx, "k", "token", patience, nil); return err }},
		{"RenewLease", "", func() error { _, err := s.RenewLease(ctx, "k", "token", patience); return err }},
		{"Fill", "k", func() error { _, err := s.Fill(ctx, "k", "token", live, 0); return err }},
		{"Fill again", "", func() error { _, err := s.Fill(ctx, "k", "token", live, 0); return err }},
		{"Abandon", "", func() error { return s.Abandon(ctx, "k", "token") }},
		{"Hold", "k", func() error { return s.Hold(ctx, "k", patience) }},
		{"SetMany", "a b", func() error { return s.SetMany(ctx, []store.Item{{Key: "a"}, {Key: "b"}}) }},
		{"DeleteMany", "a c", func() error { return s.DeleteMany(ctx, []string{"a", "c"}) }},
		{"Set of too much", "k", func() error { return tooLarge(s.Set(ctx, "k", large, 0)) }},
		{"Clear", "b", func() error { return s.Clear(ctx) }},
	} {
		if got := strings.Join(published(t, sub, client, s, test.write), " "); got != test.want {
			t.Errorf("%s published %q, want %q", test.name, got, test.want)
		}
	}
}
