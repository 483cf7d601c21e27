package memcache_test

import (
	"context"
	"fmt"
	"time"

	gomemcache "github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/adapters/memcache"
	"github.com/cairncache/cairn/store"
)

// A URL makes the client too. Nothing is sent before the first call.
func Example() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memcache://localhost:11211?prefix=app:&ttl=10m")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close(s)
	if err := s.Set(ctx, "user:42", []byte("Ada"), 90*time.Second); err != nil {
		fmt.Println(err)
	}
}

// A client of one's own may use TLS, or choose its servers in another way.
func ExampleNew() {
	client := gomemcache.New("10.0.0.1:11211", "10.0.0.2:11211")
	client.Timeout = 100 * time.Millisecond
	client.MaxIdleConns = 64
	defer client.Close()

	s, err := memcache.New(client, &memcache.Options{Prefix: "app:", TTL: 10 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Set(context.Background(), "user:42", []byte("Ada"), store.DefaultTTL); err != nil {
		fmt.Println(err)
	}
}
