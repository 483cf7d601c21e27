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

// What is evicted is up to the Policy. Pop removes the next victim.
func ExamplePolicy() {
	ctx := context.Background()
	s, err := memory.New(&memory.Options{MaxEntries: 3, Policy: memory.LRU})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	for _, key := range []string{"a", "b", "c"} {
		s.Set(ctx, key, nil, store.Forever)
	}
	s.Get(ctx, "a")                     // is a use
	s.TTL(ctx, "b")                     // is none
	s.Set(ctx, "d", nil, store.Forever) // evicts b
	for {
		key, _, ok := s.Pop()
		if !ok {
			break
		}
		fmt.Println(key)
	}
	// Output:
	// c
	// a
	// d
}

func ExampleOptions_hooks() {
	ctx := context.Background()
	s, err := memory.New(&memory.Options{
		MaxEntries: 2,
		Policy:     memory.FIFO,
		OnGet:      func(key string, _ *store.Live, found bool) { fmt.Println("get", key, found) },
		OnSet:      func(key string, _, _ *store.Live, replaced bool) { fmt.Println("set", key, replaced) },
		OnRemove:   func(key string, _ *store.Live, cause memory.Cause) { fmt.Println("remove", key, cause) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	s.Set(ctx, "a", []byte("1"), store.Forever)
	s.Set(ctx, "b", []byte("1"), store.Forever)
	s.Set(ctx, "b", []byte("2"), store.Forever)
	s.Set(ctx, "c", []byte("1"), store.Forever)
	s.Get(ctx, "a")
	s.Delete(ctx, "b")
	s.Pop()
	// Output:
	// set a false
	// set b false
	// remove b Replaced
	// set b true
	// remove a Capacity
	// set c false
	// get a false
	// remove b Deleted
	// remove c Popped
}

// A Store that is in use gets other options, and keeps its entries.
func ExampleStore_Reconfigure() {
	ctx := context.Background()
	s, err := memory.New(&memory.Options{MaxEntries: 1000, Policy: memory.FIFO, TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for i := range 1000 {
		s.Set(ctx, fmt.Sprint(i), nil, store.DefaultTTL)
	}

	if err := s.Resize(500); err != nil { // evicts at once
		log.Fatal(err)
	}
	fmt.Println(s.Len(), s.Full())
	o := s.Options() // to be changed in part
	o.MaxEntries, o.Policy = 600, memory.LIFO
	if err := s.Reconfigure(&o); err != nil {
		log.Fatal(err)
	}
	key, _, _ := s.Pop()
	fmt.Println(s.Len(), s.Full(), "without", key)
	// Output:
	// 500 true
	// 499 false without 999
}

// The filters of package store work on a Store as on every other.
func ExampleStore_matching() {
	ctx := context.Background()
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"user:1", "user:2", "user:10", "page:1"} {
		s.Set(ctx, key, []byte("value of "+key), store.Forever)
	}

	oneDigit, err := store.Glob("user:?")
	if err != nil {
		log.Fatal(err)
	}
	values, err := store.GetMatching(ctx, s, oneDigit)
	fmt.Println(len(values), string(values["user:2"]), err)
	deleted, err := store.DeleteMatching(ctx, s, oneDigit)
	fmt.Println(deleted, err, s.Len())
	// Output:
	// 2 value of user:2 <nil>
	// 2 <nil> 2
}

func ExampleStore_Stats() {
	ctx := context.Background()
	s, err := memory.New(&memory.Options{MaxEntries: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"a", "b", "c", "d"} {
		s.Set(ctx, key, nil, store.Forever)
		s.Get(ctx, key)
		s.Get(ctx, "x")
	}

	stats := s.Stats()
	fmt.Println(stats.Sets, "set,", stats.Evicted, "evicted,", stats.Entries, "left")
	fmt.Println(stats.HitRate(), stats.MissRate(), stats.EvictionRate())
	s.ResetStats()
	fmt.Println(s.Stats().Sets, s.Stats().HitRate())
	// Output:
	// 4 set, 2 evicted, 2 left
	// 0.5 0.5 0.5
	// 0 0
}
