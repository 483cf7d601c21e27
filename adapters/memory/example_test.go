package memory_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

func ExampleNew() {
	ctx := context.Background()
	s, err := memory.New(&memory.Options{MaxEntries: 10_000, TTL: 5 * time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	if err := s.Set(ctx, "greeting", []byte("hello"), store.DefaultTTL); err != nil {
		log.Fatal(err)
	}
	value, err := s.Get(ctx, "greeting")
	fmt.Printf("%s %v\n", value, err)
	_, err = s.Get(ctx, "farewell")
	fmt.Println(err)
	fmt.Println("hit rate", s.Stats().HitRate())
	// Output:
	// hello <nil>
	// store: not found
	// hit rate 0.5
}

func ExampleOptions_onRemove() {
	ctx := context.Background()
	s, err := memory.New(&memory.Options{
		OnRemove: func(key string, l *store.Live, cause memory.Cause) {
			value, _ := l.Bytes()
			fmt.Printf("%s %q: %s\n", key, value, cause)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	s.Set(ctx, "color", []byte("red"), store.Forever)
	s.Set(ctx, "color", []byte("blue"), store.Forever)
	s.Delete(ctx, "color")
	// Output:
	// color "red": Replaced
	// color "blue": Deleted
}

// A live value is stored and handed out as it is.
func ExampleStore_SetLive() {
	type user struct{ Name string }
	ctx := context.Background()
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	ada := &user{"Ada"}
	encode := func() ([]byte, error) { return []byte(ada.Name), nil }
	decode := func(b []byte) (*user, error) { return &user{string(b)}, nil }
	if err := s.SetLive(ctx, "user:1", store.NewLive(ada, encode), time.Hour); err != nil {
		log.Fatal(err)
	}
	l, err := s.GetLive(ctx, "user:1")
	if err != nil {
		log.Fatal(err)
	}
	u, err := store.LiveValue(l, decode)
	fmt.Println(u == ada, err)
	// Output: true <nil>
}

// Importing the package is what makes store.Open know the scheme.
func Example_open() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memory:?max_bytes=64MiB&ttl=1h&prefix=app:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(s)

	s.Set(ctx, "k", []byte("v"), store.DefaultTTL)
	value, err := s.Get(ctx, "k")
	fmt.Printf("%s %v\n", value, err)
	// Output: v <nil>
}

// A printer is a store.Watcher that prints what it is told.
type printer struct{}

func (printer) Invalidate(keys ...string) { fmt.Println("changed:", keys) }
func (printer) Flush()                    { fmt.Println("any key may have changed") }
func (printer) Proven(time.Time)          { fmt.Println("nothing will be missed") }

func ExampleStore_Watch() {
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // lets go of the Watcher
	if err := s.Watch(ctx, printer{}); err != nil {
		log.Fatal(err)
	}

	s.Set(ctx, "color", []byte("red"), store.Forever)
	s.Delete(ctx, "color")
	s.Clear(ctx)
	// Output:
	// nothing will be missed
	// changed: [color]
	// changed: [color]
	// any key may have changed
}

// What was loaded before the key was deleted is not stored.
func ExampleStore_GetOrLease() {
	ctx := context.Background()
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	token := rand.Text()
	found, err := s.GetOrLease(ctx, "color", token, 10*time.Second, nil)
	fmt.Println(found.Lease, err)
	loaded := store.LiveBytes([]byte("red")) // and somebody paints it blue:
	s.Delete(ctx, "color")
	filled, err := s.Fill(ctx, "color", token, loaded, time.Hour)
	fmt.Println(filled, err)
	// Output:
	// granted <nil>
	// false <nil>
}
