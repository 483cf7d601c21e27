package layered_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
)

func Example() {
	ctx := context.Background()
	near, _ := memory.New(&memory.Options{MaxEntries: 10_000})
	far, _ := memory.New(nil) // stands for Redis
	s, err := layered.New(near, far, &layered.Options{Coherence: layered.Watch(time.Second)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	s.Set(ctx, "greeting", []byte("hello"), time.Hour)
	for range 3 {
		value, _ := s.Get(ctx, "greeting")
		fmt.Println(string(value))
	}
	stats := s.Stats()
	fmt.Println("L1:", stats.L1Hits, "L2:", stats.L2Hits)
	// Output:
	// hello
	// hello
	// hello
	// L1: 2 L2: 1
}

func ExampleStore_Explain() {
	ctx := context.Background()
	near, _ := memory.New(nil)
	far, _ := memory.New(nil)
	s, _ := layered.New(near, far, &layered.Options{Coherence: layered.Watch(time.Second)})
	defer s.Close()

	s.Set(ctx, "greeting", []byte("hello"), 0)
	before, _ := s.Explain(ctx, "greeting")
	s.Get(ctx, "greeting")
	after, _ := s.Explain(ctx, "greeting")
	fmt.Println(before)
	fmt.Println(after)
	// Output:
	// "greeting": L2 is asked; L1 has no entry; L2 has it for ever
	// "greeting": L1 answers; L1 has it for ever; L2 has it for ever
}
