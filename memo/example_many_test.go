package memo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// productNames stands for a table of a database.
var productNames = map[int]string{1: "tea", 2: "milk", 3: "jam"}

func selectProduct(_ context.Context, id int) (string, error) {
	fmt.Println("SELECT … WHERE id =", id)
	name, ok := productNames[id]
	if !ok {
		return "", store.ErrNotFound
	}
	return name, nil
}

func selectProducts(_ context.Context, ids []int, put func(int, string)) error {
	fmt.Println("SELECT … WHERE id IN", slices.Sorted(slices.Values(ids)))
	for _, id := range ids {
		if name, ok := productNames[id]; ok {
			put(id, name)
		}
	}
	return nil
}

// A list of products: one query for those that are not cached.
func ExampleFunc_GetMany() {
	ctx := context.Background()
	products := memo.Must(memo.Wrap(newExampleMemo(), "product", selectProduct, &memo.FuncOptions[int, string]{
		FillMany: selectProducts,
	}))
	fmt.Println(products.Get(ctx, 2))
	results, err := products.GetMany(ctx, []int{1, 2, 3, 4})
	for _, r := range results {
		fmt.Printf("%q %v, absent: %v\n", r.Value, r.Source, errors.Is(r.Err, store.ErrNotFound))
	}
	fmt.Println(err)
	// Output:
	// SELECT … WHERE id = 2
	// milk <nil>
	// SELECT … WHERE id IN [1 3 4]
	// "tea" loaded, absent: false
	// "milk" memory, absent: false
	// "jam" loaded, absent: false
	// "" none, absent: true
	// <nil>
}
