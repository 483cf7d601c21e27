package cairn_test

import (
	"context"
	"fmt"
	"log"
	"time"

	_ "github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

type User struct {
	ID   int64
	Name string
}

func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("loading", id)
	return User{id, "Ada"}, nil
}

func Example() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memory:?max_entries=10000") // or redis://localhost:6379/0?prefix=app:
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(s)
	m, err := memo.New(s, &memo.Options{Namespace: "app", Policy: memo.Policy{TTL: 5 * time.Minute}})
	if err != nil {
		log.Fatal(err)
	}
	users, err := memo.Wrap(m, "user", fetchUser, nil)
	if err != nil {
		log.Fatal(err)
	}

	u, err := users.Get(ctx, 42) // calls fetchUser
	fmt.Println(u.Name, err)
	u, err = users.Get(ctx, 42) // does not
	fmt.Println(u.Name, err)
	err = users.Delete(ctx, 42) // the next Get calls it again
	fmt.Println(err)
	// Output:
	// loading 42
	// Ada <nil>
	// Ada <nil>
	// <nil>
}

type Product struct {
	ID   int64
	Name string
}

var catalogue = map[int64]string{1: "Tea", 3: "Honey"}

func fetchProduct(_ context.Context, id int64) (Product, error) {
	name, ok := catalogue[id]
	if !ok {
		return Product{}, fmt.Errorf("no product %d: %w", id, store.ErrNotFound)
	}
	return Product{id, name}, nil
}

func fetchProducts(_ context.Context, ids []int64, put func(int64, Product)) error {
	fmt.Println("loading", ids)
	for _, id := range ids {
		if name, ok := catalogue[id]; ok {
			put(id, Product{id, name})
		}
	}
	return nil
}

func Example_policy() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(s)
	m, err := memo.New(s, &memo.Options{Namespace: "app"})
	if err != nil {
		log.Fatal(err)
	}
	products, err := memo.Wrap(m, "product", fetchProduct, &memo.FuncOptions[int64, Product]{
		Policy: memo.Policy{
			TTL:    time.Minute,      // fresh for so long, then
			Stale:  time.Hour,        // answered while one load refreshes it, and through an outage
			Absent: 10 * time.Second, // a product that does not exist is asked for once
		},
		Tags:     func(id int64) []string { return []string{"products"} },
		FillMany: fetchProducts, // GetMany: one query for all that are missing
	})
	if err != nil {
		log.Fatal(err)
	}
	results, err := products.GetMany(ctx, []int64{1, 2, 3})
	for _, r := range results {
		fmt.Println(r.Value.Name, r.Source, r.Err)
	}
	fmt.Println(err)                        // nil: that there is no product 2 is no failure
	err = m.InvalidateTags(ctx, "products") // all of them, in every process, in two writes
	fmt.Println(err)
	// Output:
	// loading [1 2 3]
	// Tea loaded <nil>
	//  none memo: load "app:product:2": FillMany has not put it: store: not found
	// Honey loaded <nil>
	// <nil>
	// <nil>
}
