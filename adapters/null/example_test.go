package null_test

import (
	"context"
	"errors"
	"fmt"

	_ "github.com/cairncache/cairn/adapters/null"
	"github.com/cairncache/cairn/store"
)

func Example() {
	ctx := context.Background()
	s, err := store.Open(ctx, "null:")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("set:", s.Set(ctx, "greeting", []byte("hello"), store.Forever))
	_, err = s.Get(ctx, "greeting")
	fmt.Println("found:", !errors.Is(err, store.ErrNotFound))
	// Output:
	// set: <nil>
	// found: false
}
