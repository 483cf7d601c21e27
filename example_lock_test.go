package cairn_test

import (
	"context"
	"fmt"
	"log"

	_ "github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/lock"
	"github.com/cairncache/cairn/store"
)

func writeReport(_ context.Context, fence uint64) error {
	fmt.Println("writing, with a fence:", fence > 0)
	return nil
}

func Example_lock() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(s)
	locks, err := lock.New(s, nil) // Redis, memory, or any store with Add and the comparing calls
	if err != nil {
		log.Fatal(err)
	}
	err = lock.Do(ctx, locks, "report", func(ctx context.Context, fence uint64) error {
		return writeReport(ctx, fence) // ctx ends if the lock is lost
	})
	fmt.Println(err)
	// Output:
	// writing, with a fence: true
	// <nil>
}
