package memo_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
)

// When package-level variables are made, nobody knows the store yet.
var (
	shop    = memo.Must(memo.New(memo.Later, &memo.Options{Namespace: "shop"}))
	slogans = memo.Must(memo.Wrap(shop, "slogan", writeSlogan, nil))
)

func writeSlogan(_ context.Context, product string) (string, error) {
	return strings.ToUpper(product) + "!", nil
}

// Memoized functions are package-level variables, and main opens the store once
// it has read its flags.
func ExampleMemo_Bind() {
	ctx := context.Background()
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	defer shop.Close(ctx)
	if err := shop.Bind(s); err != nil {
		log.Fatal(err)
	}
	fmt.Println(slogans.Get(ctx, "tea"))
	// Output:
	// TEA! <nil>
}
