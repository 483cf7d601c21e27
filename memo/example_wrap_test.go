package memo_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/cairncache/cairn/memo"
)

// A table of exchange rates, the same for all who ask: no argument.
func ExampleWrap0() {
	ctx := context.Background()
	fetchRates := func(context.Context) (map[string]float64, error) {
		fmt.Println("fetching")
		return map[string]float64{"CHF": 0.96, "USD": 1.09}, nil
	}
	rates := memo.Must(memo.Wrap0(newExampleMemo(), "rates", fetchRates, nil))
	for range 2 {
		fmt.Println(rates.Get(ctx))
	}
	// When the bank has published new ones:
	fmt.Println(rates.Delete(ctx))
	fmt.Println(rates.Key())
	// Output:
	// fetching
	// map[CHF:0.96 USD:1.09] <nil>
	// map[CHF:0.96 USD:1.09] <nil>
	// <nil>
	// app:rates: <nil>
}

// The price of a product in a currency: two arguments.
func ExampleWrap2() {
	ctx := context.Background()
	fetchPrice := func(_ context.Context, product int, currency string) (float64, error) {
		fmt.Println("fetching", product, currency)
		return 4.99, nil
	}
	prices := memo.Must(memo.Wrap2(newExampleMemo(), "price", fetchPrice, nil))
	for range 2 {
		fmt.Println(prices.Get(ctx, 7, "EUR"))
	}
	fmt.Println(prices.Key(7, "EUR"))
	// When the price has changed, in both currencies:
	fmt.Println(prices.DeleteMany(ctx, []memo.Args2[int, string]{{A: 7, B: "EUR"}, {A: 7, B: "USD"}}))
	// Output:
	// fetching 7 EUR
	// 4.99 <nil>
	// 4.99 <nil>
	// app:price:7,"EUR" <nil>
	// <nil>
}

// The results of a search, page by page: three arguments. Upper and lower case
// mean the same, so the key is made of the lower one.
func ExampleWrap3() {
	type query = memo.Args3[string, string, int]
	search := func(_ context.Context, text, language string, page int) ([]string, error) {
		fmt.Println("searching", text, language, page)
		return []string{"Earl Grey", "Darjeeling"}, nil
	}
	searches := memo.Must(memo.Wrap3(newExampleMemo(), "search", search, &memo.FuncOptions[query, []string]{
		KeyFunc: func(q query) (string, error) {
			return fmt.Sprintf("%s/%d/%s", q.B, q.C, strings.ToLower(q.A)), nil
		},
	}))
	for _, text := range []string{"Tea", "tea"} {
		fmt.Println(searches.Get(context.Background(), text, "en", 1))
	}
	fmt.Println(searches.Key("TEA", "en", 1))
	// Output:
	// searching Tea en 1
	// [Earl Grey Darjeeling] <nil>
	// [Earl Grey Darjeeling] <nil>
	// app:search:en/1/tea <nil>
}

// A number on the front page: a key and a function, nothing declared.
func ExampleGet() {
	ctx := context.Background()
	m := newExampleMemo()
	countSignups := func(context.Context) (int, error) {
		fmt.Println("counting")
		return 12, nil
	}
	for range 2 {
		fmt.Println(memo.Get(ctx, m, "signups:today", countSignups, nil))
	}
	// Output:
	// counting
	// 12 <nil>
	// 12 <nil>
}

// Somebody has signed up: the number on the front page is counted anew.
func ExampleDelete() {
	ctx := context.Background()
	m := newExampleMemo()
	signups := 12
	countSignups := func(context.Context) (int, error) { return signups, nil }
	fmt.Println(memo.Get(ctx, m, "signups:today", countSignups, nil))
	signups++
	fmt.Println(memo.Get(ctx, m, "signups:today", countSignups, nil))
	fmt.Println(memo.Delete(ctx, m, "signups:today", nil))
	fmt.Println(memo.Get(ctx, m, "signups:today", countSignups, nil))
	// Output:
	// 12 <nil>
	// 12 <nil>
	// <nil>
	// 13 <nil>
}

// The function returns something else since the last deployment. With another
// version, nothing is found of what it returned before.
func ExampleFuncOptions_version() {
	ctx := context.Background()
	s := newLiveStore() // there before and after the deployment
	for _, version := range []string{"v1", "v2"} {
		m := memo.Must(memo.New(s, &memo.Options{Namespace: "app"}))
		greet := func(_ context.Context, name string) (string, error) {
			return "Hello " + name + ", says " + version, nil
		}
		greetings := memo.Must(memo.Wrap(m, "greeting", greet, &memo.FuncOptions[string, string]{Version: version}))
		fmt.Println(greetings.Get(ctx, "Ada"))
		fmt.Println(greetings.Key("Ada"))
	}
	// Output:
	// Hello Ada, says v1 <nil>
	// app:greeting@v1:Ada <nil>
	// Hello Ada, says v2 <nil>
	// app:greeting@v2:Ada <nil>
}

// A large table that nobody changes: all callers are given the same one, without
// copies.
func ExampleFuncOptions_shared() {
	ctx := context.Background()
	type table struct{ Rows []string }
	read := func(context.Context) (*table, error) { return &table{[]string{"tea", "milk"}}, nil }
	for _, shared := range []bool{false, true} {
		tables := memo.Must(memo.Wrap0(newExampleMemo(), "table", read,
			&memo.FuncOptions[memo.Args0, *table]{Shared: shared}))
		one, _ := tables.Get(ctx)
		another, err := tables.Get(ctx)
		fmt.Println(one == another, another.Rows, err)
	}
	// Output:
	// false [tea milk] <nil>
	// true [tea milk] <nil>
}
