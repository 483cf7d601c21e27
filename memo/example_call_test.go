package memo_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cairncache/cairn/memo"
)

// The check-out wants a stock level that has just been counted, where the list
// of products takes one of any age.
func ExampleCall_maxAge() {
	ctx := context.Background()
	stock := 8
	count := func(context.Context, string) (int, error) { return stock, nil }
	levels := memo.Must(memo.Wrap(newExampleMemo(), "stock", count, &memo.FuncOptions[string, int]{
		Policy: memo.Policy{TTL: time.Hour},
	}))
	levels.Get(ctx, "tea")
	stock = 7
	time.Sleep(10 * time.Millisecond)

	fmt.Println(levels.Get(ctx, "tea"))
	r, err := levels.Lookup(ctx, "tea", memo.Call{MaxAge: 5 * time.Millisecond})
	fmt.Println(r.Value, r.Source, err)
	fmt.Println(levels.Get(ctx, "tea")) // what one has loaded is there for all
	// Output:
	// 8 <nil>
	// 7 loaded <nil>
	// 7 <nil>
}

// A health check wants an answer at once: whatever is there, however old.
func ExampleCall_staleOK() {
	ctx := context.Background()
	price := 499
	fetchPrice := func(context.Context, string) (int, error) { return price, nil }
	prices := memo.Must(memo.Wrap(newExampleMemo(), "price", fetchPrice, &memo.FuncOptions[string, int]{
		Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: memo.Off},
	}))
	prices.Get(ctx, "tea")
	price = 549
	prices.Expire(ctx, "tea") // as if a minute had passed
	r, err := prices.Lookup(ctx, "tea", memo.Call{StaleOK: true})
	fmt.Println(r.Value, r.Source, err)
	fmt.Println(prices.Get(ctx, "tea")) // as the policy says, this one waits
	// Output:
	// 499 stale <nil>
	// 549 <nil>
}

// A robot reads every page once. What it reads shall not take up the cache.
func ExampleCall_noStore() {
	ctx := context.Background()
	render := func(_ context.Context, path string) (string, error) { return "<p>" + path, nil }
	pages := memo.Must(memo.Wrap(newExampleMemo(), "page", render, nil))
	r, err := pages.Lookup(ctx, "/old/1", memo.Call{NoStore: true})
	fmt.Println(r.Value, err)
	fmt.Println(pages.Has(ctx, "/old/1"))
	// Output:
	// <p>/old/1 <nil>
	// false <nil>
}

// Pages are made with a template, whose version the program knows. When there
// is another one, each page is made anew.
func ExampleCall_eTag() {
	ctx := context.Background()
	version := "template 1"
	render := func(_ context.Context, path string) (string, error) { return path + " by " + version, nil }
	pages := memo.Must(memo.Wrap(newExampleMemo(), "page", render, nil))
	for _, v := range []string{"template 1", "template 1", "template 2"} {
		version = v
		r, err := pages.Lookup(ctx, "/index", memo.Call{ETag: &v})
		fmt.Println(r.Value, r.Source, err)
	}
	// Output:
	// /index by template 1 loaded <nil>
	// /index by template 1 memory <nil>
	// /index by template 2 loaded <nil>
}
