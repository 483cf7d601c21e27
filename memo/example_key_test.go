package memo_test

import (
	"context"
	"fmt"

	"github.com/cairncache/cairn/memo"
)

// City is known by its id. Its population does not change the weather.
type City struct {
	ID         string
	Population int
}

func (c City) CacheKey() string { return c.ID }

// A type decides itself what of it belongs into the key, by a method CacheKey.
func ExampleFunc_Key() {
	forecast := func(_ context.Context, c City, day int) (string, error) { return "rain", nil }
	forecasts := memo.Must(memo.Wrap2(newExampleMemo(), "forecast", forecast, nil))
	fmt.Println(forecasts.Key(City{"ZRH", 443_000}, 3))
	fmt.Println(forecasts.Key(City{"ZRH", 444_000}, 3))
	// Output:
	// app:forecast:k"ZRH",3 <nil>
	// app:forecast:k"ZRH",3 <nil>
}
