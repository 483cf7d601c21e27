package memo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// An outage: the last value is answered, and Result.Err says why.
func ExamplePolicy_stale() {
	ctx := context.Background()
	var outage error
	fetchPrice := func(context.Context, string) (int, error) { return 499, outage }
	prices := memo.Must(memo.Wrap(newExampleMemo(), "price", fetchPrice, &memo.FuncOptions[string, int]{
		Policy: memo.Policy{
			TTL:         time.Minute,
			Stale:       24 * time.Hour,
			SoftTimeout: memo.Off, // after a minute, callers want a new price if there is one
		},
	}))
	fmt.Println(prices.Get(ctx, "tea"))
	outage = errors.New("connection refused")
	prices.Expire(ctx, "tea") // as if a minute had passed
	r, err := prices.Lookup(ctx, "tea")
	fmt.Println(r.Value, r.Source, err)
	fmt.Println(r.Err)
	// Output:
	// 499 <nil>
	// 499 stale <nil>
	// memo: load "app:price:tea": connection refused
}

// A user who does not exist is asked for once in ten seconds.
func ExamplePolicy_absent() {
	ctx := context.Background()
	find := func(_ context.Context, name string) (User, error) {
		fmt.Println("asking for", name)
		return User{}, fmt.Errorf("user %q: %w", name, store.ErrNotFound)
	}
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", find, &memo.FuncOptions[string, User]{
		Policy: memo.Policy{TTL: time.Hour, Absent: 10 * time.Second},
	}))
	for range 3 {
		_, err := users.Get(ctx, "nobody")
		fmt.Println(err, errors.Is(err, store.ErrNotFound))
	}
	// Output:
	// asking for nobody
	// memo: load "app:user:nobody": user "nobody": store: not found true
	// memo: load "app:user:nobody": user "nobody": store: not found true
	// memo: load "app:user:nobody": user "nobody": store: not found true
}

// What a warm-up has loaded at one moment does not expire at one moment: each
// entry gets a ttl of its own, between 9 and 10 minutes.
func ExamplePolicy_jitter() {
	ctx := context.Background()
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, &memo.FuncOptions[int64, User]{
		Policy: memo.Policy{TTL: 10 * time.Minute, Jitter: 0.1},
	}))
	users.Get(ctx, 42)
	meta, err := users.Meta(ctx, 42)
	ttl := meta.FreshUntil.Sub(meta.Created)
	fmt.Println(9*time.Minute <= ttl && ttl <= 10*time.Minute, err)
	// Output:
	// fetching 42
	// true <nil>
}

// A value that is asked for all the time never expires: after 8 of 10 minutes,
// the first who asks begins a load in the background, and gets the old value as
// all others do. EarlyRefresh does the like for many processes at once, which
// do not know of each other's loads.
func ExamplePolicy_refreshAhead() {
	users := memo.Must(memo.Wrap(newExampleMemo(), "user", fetchUser, &memo.FuncOptions[int64, User]{
		Policy: memo.Policy{TTL: 10 * time.Minute, RefreshAhead: 0.8, EarlyRefresh: 1},
	}))
	fmt.Println(users.Get(context.Background(), 42))
	// Output:
	// fetching 42
	// {42 Ada} <nil>
}

// A slow load: callers wait for 10 milliseconds, then get the old value, while
// the load goes on.
func ExamplePolicy_softTimeout() {
	ctx := context.Background()
	price, ready := 499, make(chan struct{}, 1)
	fetchPrice := func(context.Context, string) (int, error) { <-ready; return price, nil }
	prices := memo.Must(memo.Wrap(newExampleMemo(), "price", fetchPrice, &memo.FuncOptions[string, int]{
		Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: 10 * time.Millisecond},
	}))
	ready <- struct{}{}
	fmt.Println(prices.Get(ctx, "tea"))
	price = 549
	prices.Expire(ctx, "tea")           // as if a minute had passed
	fmt.Println(prices.Get(ctx, "tea")) // the load is under way
	ready <- struct{}{}
	r, err := prices.Lookup(ctx, "tea", memo.Call{Policy: memo.Policy{SoftTimeout: memo.Off}})
	fmt.Println(r.Value, err)
	// Output:
	// 499 <nil>
	// 499 <nil>
	// 549 <nil>
}

// A query may take 10 milliseconds. What it does afterwards is of no effect.
func ExamplePolicy_loadTimeout() {
	query := func(ctx context.Context, _ string) (int, error) {
		<-ctx.Done() // a query that hangs until its context ends
		return 0, ctx.Err()
	}
	counts := memo.Must(memo.Wrap(newExampleMemo(), "count", query, &memo.FuncOptions[string, int]{
		Policy: memo.Policy{LoadTimeout: 10 * time.Millisecond},
	}))
	_, err := counts.Get(context.Background(), "orders")
	fmt.Println(errors.Is(err, memo.ErrTimeout))
	// Output: true
}

// A report takes long. Nobody waits for it longer than 10 milliseconds; it is
// made all the same, for those who come later.
func ExamplePolicy_waitTimeout() {
	ctx := context.Background()
	done := make(chan struct{})
	write := func(_ context.Context, year int) (string, error) {
		<-done
		return fmt.Sprint("All about ", year), nil
	}
	reports := memo.Must(memo.Wrap(newExampleMemo(), "report", write, &memo.FuncOptions[int, string]{
		Policy: memo.Policy{WaitTimeout: 10 * time.Millisecond},
	}))
	_, err := reports.Get(ctx, 1843)
	fmt.Println(errors.Is(err, memo.ErrTimeout))
	close(done)
	// This caller has time.
	r, err := reports.Lookup(ctx, 1843, memo.Call{Policy: memo.Policy{WaitTimeout: memo.Off}})
	fmt.Println(r.Value, err)
	// Output:
	// true
	// All about 1843 <nil>
}

// Functions share policies by the name of a region. Prices are as short-lived as
// all in "short", but never stale.
func ExampleRegion() {
	ctx := context.Background()
	m := memo.Must(memo.New(newLiveStore(), &memo.Options{
		Namespace: "app",
		Policy:    memo.Policy{TTL: time.Hour, Stale: 24 * time.Hour},
		Regions: map[string]memo.Region{
			"short": {Policy: memo.Policy{TTL: time.Minute}},
			"money": {Parent: "short", Namespace: "shop", Policy: memo.Policy{Stale: memo.Off}},
		},
	}))
	length := func(_ context.Context, s string) (int, error) { return len(s), nil }
	for _, region := range []string{"", "short", "money"} {
		f := memo.Must(memo.Wrap(m, "length"+region, length, &memo.FuncOptions[string, int]{Region: region}))
		f.Get(ctx, "tea")
		meta, err := f.Meta(ctx, "tea")
		key, _ := f.Key("tea")
		fmt.Println(key, meta.FreshUntil.Sub(meta.Created), "stale:", !meta.StaleUntil.IsZero(), err)
	}
	// Output:
	// app:length:tea 1h0m0s stale: true <nil>
	// app:lengthshort:tea 1m0s stale: true <nil>
	// shop:lengthmoney:tea 1m0s stale: false <nil>
}
