package memo_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cairncache/cairn/memo"
)

// A page shows how old its figures are, and where they come from.
func ExampleFunc_Lookup() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, nil))
	for range 2 {
		r, err := users.Lookup(ctx, 42)
		fmt.Println(r.Value.Name, r.Source, r.Age < time.Minute, err)
	}
	// Output:
	// fetching 42
	// Ada loaded true <nil>
	// Ada memory true <nil>
}

// A button "reload": the value is loaded whatever is stored, and everybody
// gets the new one from then on.
func ExampleFunc_Refresh() {
	ctx := context.Background()
	visitors := 100
	count := func(_ context.Context, page string) (int, error) { visitors++; return visitors, nil }
	counts := memo.Must(memo.Wrap(newExampleMemo(), "visitors", count, nil))
	fmt.Println(counts.Get(ctx, "index"))
	fmt.Println(counts.Get(ctx, "index"))
	fmt.Println(counts.Refresh(ctx, "index"))
	fmt.Println(counts.Get(ctx, "index"))
	// Output:
	// 101 <nil>
	// 101 <nil>
	// 102 <nil>
	// 102 <nil>
}

// A user has been written to the database: the next reader needs no query.
func ExampleFunc_Set() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, nil))
	u := User{ID: 42, Name: "Ada Lovelace"}
	// UPDATE user SET name = … WHERE id = 42, and when that has succeeded:
	fmt.Println(users.Set(ctx, u.ID, u))
	fmt.Println(users.Get(ctx, 42))
	// Output:
	// <nil>
	// {42 Ada Lovelace} <nil>
}

// An import has changed several users.
func ExampleFunc_DeleteMany() {
	ctx := context.Background()
	name := func(_ context.Context, id int) (string, error) {
		fmt.Println("fetching", id)
		return fmt.Sprint("user ", id), nil
	}
	names := memo.Must(memo.Wrap(newExampleMemo(), "name", name, nil))
	for _, id := range []int{1, 2, 3} {
		names.Get(ctx, id)
	}
	fmt.Println(names.DeleteMany(ctx, []int{1, 3}))
	for _, id := range []int{1, 2, 3} {
		names.Get(ctx, id)
	}
	// Output:
	// fetching 1
	// fetching 2
	// fetching 3
	// <nil>
	// fetching 1
	// fetching 3
}

// A price has changed, and nobody shall wait for the new one: the old one is
// answered while it is loaded.
func ExampleFunc_Expire() {
	ctx := context.Background()
	price := 499
	fetchPrice := func(context.Context, string) (int, error) { return price, nil }
	prices := memo.Must(memo.Wrap(newExampleMemo(), "price", fetchPrice, &memo.FuncOptions[string, int]{
		Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour},
	}))
	fmt.Println(prices.Get(ctx, "tea"))
	price = 549
	fmt.Println(prices.Expire(ctx, "tea"))
	r, err := prices.Lookup(ctx, "tea")
	fmt.Println(r.Value, r.Source, err)
	// This caller would rather wait.
	r, err = prices.Lookup(ctx, "tea", memo.Call{Policy: memo.Policy{SoftTimeout: memo.Off}})
	fmt.Println(r.Value, err)
	// Output:
	// 499 <nil>
	// <nil>
	// 499 stale <nil>
	// 549 <nil>
}

// A session lives for another half hour whenever it is used.
func ExampleFunc_Touch() {
	ctx := context.Background()
	start := func(_ context.Context, id string) (string, error) { return "Ada", nil }
	sessions := memo.Must(memo.Wrap(newExampleMemo(), "session", start, &memo.FuncOptions[string, string]{
		Policy: memo.Policy{TTL: 30 * time.Minute},
	}))
	fiveMinutesLeft := memo.Call{Policy: memo.Policy{TTL: 5 * time.Minute}}
	fmt.Println(sessions.Set(ctx, "f00", "Ada", fiveMinutesLeft))
	fmt.Println(sessions.Touch(ctx, "f00"))
	left, err := sessions.TTL(ctx, "f00")
	fmt.Println(left.Round(time.Minute), err)
	fmt.Println(sessions.Touch(ctx, "unknown"))
	// Output:
	// <nil>
	// <nil>
	// 30m0s <nil>
	// store: not found
}

// A menu is right until the kitchen closes.
func ExampleFunc_TouchAt() {
	ctx := context.Background()
	write := func(_ context.Context, day string) (string, error) { return "soup", nil }
	menus := memo.Must(memo.Wrap(newExampleMemo(), "menu", write, nil))
	fmt.Println(menus.Get(ctx, "Monday"))
	closing := time.Now().Add(90 * time.Minute)
	fmt.Println(menus.TouchAt(ctx, "Monday", closing))
	meta, err := menus.Meta(ctx, "Monday")
	fmt.Println(meta.FreshUntil.Equal(closing), err)
	// Output:
	// soup <nil>
	// <nil>
	// true <nil>
}

// A warm-up asks what is there already. To ask does not load.
func ExampleFunc_Has() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, nil))
	fmt.Println(users.Has(ctx, 42))
	users.Get(ctx, 42)
	fmt.Println(users.Has(ctx, 42))
	// Output:
	// false <nil>
	// fetching 42
	// true <nil>
}

// How long the store will still keep a value: while it is fresh, and stale.
func ExampleFunc_TTL() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, &memo.FuncOptions[int64, User]{
		Policy: memo.Policy{TTL: 5 * time.Minute, Stale: time.Hour},
	}))
	users.Get(ctx, 42)
	left, err := users.TTL(ctx, 42)
	fmt.Println(left.Round(time.Minute), err)
	fmt.Println(users.TTL(ctx, 43))
	// Output:
	// fetching 42
	// 1h5m0s <nil>
	// 0s store: not found
}

// A debug page shows what is known about an entry.
func ExampleFunc_Meta() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, &memo.FuncOptions[int64, User]{
		Policy: memo.Policy{TTL: 5 * time.Minute, Stale: time.Hour},
		Tags:   func(int64) []string { return []string{"people"} },
	}))
	users.Get(ctx, 42)
	meta, err := users.Meta(ctx, 42)
	fmt.Println(err, meta.Absent, meta.Failure)
	fmt.Println("fresh for", meta.FreshUntil.Sub(meta.Created))
	fmt.Println("stale for", meta.StaleUntil.Sub(meta.FreshUntil))
	fmt.Println("tagged", meta.Tags, "of some bytes:", meta.Size > 0)
	// Output:
	// fetching 42
	// <nil> false false
	// fresh for 5m0s
	// stale for 1h0m0s
	// tagged [people] of some bytes: true
}

// A check against the database goes past the cache.
func ExampleFunc_Original() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, nil))
	fmt.Println(users.Set(ctx, 42, User{ID: 42, Name: "Bob"}))
	fmt.Println(users.Original(ctx, 42))
	fmt.Println(users.Get(ctx, 42))
	// Output:
	// <nil>
	// fetching 42
	// {42 Ada} <nil>
	// {42 Bob} <nil>
}
