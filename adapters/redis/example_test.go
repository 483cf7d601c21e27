package redis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/store"
)

func Example() {
	server, err := miniredis.Run() // in place of a real one
	if err != nil {
		panic(err)
	}
	defer server.Close()

	client := goredis.NewClient(&goredis.Options{
		Addr:                  server.Addr(),
		ContextTimeoutEnabled: true,
		DialTimeout:           time.Second,
		DialerRetries:         1,
	})
	defer client.Close()
	s, err := redis.New(client, &redis.Options{Prefix: "app:", TTL: time.Hour})
	if err != nil {
		panic(err)
	}
	defer s.Close()

	ctx := context.Background()
	if err := s.Set(ctx, "greeting", []byte("hello"), store.DefaultTTL); err != nil {
		panic(err)
	}
	value, err := s.Get(ctx, "greeting")
	fmt.Printf("%s %v\n", value, err)

	// Any other program sees the same entry.
	fmt.Println(client.Get(ctx, "app:greeting").Val(), client.TTL(ctx, "app:greeting").Val())

	// Output:
	// hello <nil>
	// hello 1h0m0s
}

// A store can be opened by its URL. It connects when it is first used.
func Example_url() {
	s, err := store.Open(context.Background(), "redis://:secret@localhost:6379/0?prefix=app:&ttl=1h&timeout=200ms")
	if err != nil {
		panic(err)
	}
	defer store.Close(s)
	fmt.Printf("%T\n", s)

	_, err = store.Open(context.Background(), "redis://:secret@localhost:6379/0?ttl=60")
	fmt.Println(err)

	// Output:
	// *redis.Store
	// store: open "redis://xxxxx@localhost:6379/0?ttl=60": ttl: "60" has no unit; write 60s or 1m
}
