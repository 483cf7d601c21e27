package memo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/memo"
)

// An access token says itself how long it is good for. It is renewed a minute
// before.
func ExampleSetTTL() {
	ctx := context.Background()
	type token struct {
		Secret  string
		Expires time.Time
	}
	login := func(ctx context.Context, service string) (token, error) {
		t := token{"open sesame", time.Now().Add(time.Hour)} // what the service answers
		memo.SetTTL(ctx, time.Until(t.Expires)-time.Minute)
		return t, nil
	}
	tokens := memo.Must(memo.Wrap(newExampleMemo(), "token", login, nil))
	t, err := tokens.Get(ctx, "billing")
	fmt.Println(t.Secret, err)
	left, err := tokens.TTL(ctx, "billing")
	fmt.Println(left.Round(time.Minute), err)
	// Output:
	// open sesame <nil>
	// 59m0s <nil>
}

// A page with a gap in it is shown, and not kept.
func ExampleNoStore() {
	ctx := context.Background()
	weather := func(context.Context) (string, error) { return "", errors.New("the weather is away") }
	render := func(ctx context.Context, path string) (string, error) {
		w, err := weather(ctx)
		if err != nil {
			memo.NoStore(ctx)
			w = "(no forecast now)"
		}
		return path + " " + w, nil
	}
	pages := memo.Must(memo.Wrap(newExampleMemo(), "page", render, nil))
	fmt.Println(pages.Get(ctx, "/index"))
	fmt.Println(pages.Has(ctx, "/index"))
	// Output:
	// /index (no forecast now) <nil>
	// false <nil>
}

// A search that has found nothing is made anew the next time.
func ExampleFuncOptions_shouldStore() {
	ctx := context.Background()
	search := func(_ context.Context, text string) ([]string, error) {
		fmt.Println("searching", text)
		return nil, nil
	}
	searches := memo.Must(memo.Wrap(newExampleMemo(), "search", search, &memo.FuncOptions[string, []string]{
		ShouldStore: func(_ string, found []string) bool { return len(found) > 0 },
	}))
	for range 2 {
		fmt.Println(searches.Get(ctx, "teapot"))
	}
	// Output:
	// searching teapot
	// [] <nil>
	// searching teapot
	// [] <nil>
}

// A service that says "not now" is left alone for ten seconds. All other errors
// are none to remember.
func ExampleFuncOptions_cacheError() {
	errNotNow := errors.New("too many requests")
	call := func(_ context.Context, path string) (string, error) {
		fmt.Println("calling", path)
		return "", errNotNow
	}
	calls := memo.Must(memo.Wrap(newExampleMemo(), "call", call, &memo.FuncOptions[string, string]{
		CacheError: func(err error) time.Duration {
			if errors.Is(err, errNotNow) {
				return 10 * time.Second
			}
			return 0
		},
	}))
	for range 2 {
		_, err := calls.Get(context.Background(), "/orders")
		_, remembered := errors.AsType[*memo.RememberedError](err)
		fmt.Println(err, remembered)
	}
	// Output:
	// calling /orders
	// memo: load "app:call:/orders": too many requests false
	// memo: load "app:call:/orders": too many requests true
}

// A forecast may be shown a while after its time; a warning of a storm may not.
func ExampleSetStale() {
	ctx := context.Background()
	forecast := func(ctx context.Context, city string) (string, error) {
		if city == "Bergen" {
			memo.SetStale(ctx, 0)
			return "storm", nil
		}
		return "rain", nil
	}
	forecasts := memo.Must(memo.Wrap(newExampleMemo(), "forecast", forecast, &memo.FuncOptions[string, string]{
		Policy: memo.Policy{TTL: time.Hour, Stale: 12 * time.Hour},
	}))
	for _, city := range []string{"Oslo", "Bergen"} {
		text, err := forecasts.Get(ctx, city)
		left, _ := forecasts.TTL(ctx, city)
		fmt.Println(text, err, "for", left.Round(time.Minute))
	}
	// Output:
	// rain <nil> for 13h0m0s
	// storm <nil> for 1h0m0s
}
