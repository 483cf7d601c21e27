package memo_test

import (
	"context"
	"fmt"

	"github.com/cairncache/cairn/memo"
)

// An author has a new name: all pages of this author are invalid, and no others.
func ExampleMemo_InvalidateTags() {
	ctx := context.Background()
	authors := map[string]string{"/tea": "ada", "/milk": "ada", "/jam": "bob"}
	m := newExampleMemo()
	render := func(_ context.Context, path string) (string, error) {
		fmt.Println("rendering", path)
		return path + " by " + authors[path], nil
	}
	pages := memo.Must(memo.Wrap(m, "page", render, &memo.FuncOptions[string, string]{
		Tags: func(path string) []string { return []string{"author:" + authors[path]} },
	}))
	readAll := func() {
		for _, path := range []string{"/tea", "/milk", "/jam"} {
			pages.Get(ctx, path)
		}
	}
	readAll()
	fmt.Println(m.InvalidateTags(ctx, "author:ada"))
	readAll()
	// Output:
	// rendering /tea
	// rendering /milk
	// rendering /jam
	// <nil>
	// rendering /tea
	// rendering /milk
}

// Which authors a page has is known only when it has been read.
func ExampleTag() {
	ctx := context.Background()
	m := newExampleMemo()
	render := func(ctx context.Context, path string) (string, error) {
		authors := []string{"ada", "bob"} // as the page says
		for _, a := range authors {
			memo.Tag(ctx, "author:"+a)
		}
		return fmt.Sprint(path, " by ", authors), nil
	}
	pages := memo.Must(memo.Wrap(m, "page", render, nil))
	fmt.Println(pages.Get(ctx, "/tea"))
	fmt.Println(pages.Has(ctx, "/tea"))
	fmt.Println(m.InvalidateTags(ctx, "author:bob"))
	fmt.Println(pages.Has(ctx, "/tea"))
	// Output:
	// /tea by [ada bob] <nil>
	// true <nil>
	// <nil>
	// false <nil>
}

// The layout has changed: all pages are gone, in all processes, and nothing
// else is.
func ExampleFunc_Clear() {
	ctx := context.Background()
	m := newExampleMemo()
	pages := memo.Must(memo.Wrap(m, "page", fetchText, nil))
	feeds := memo.Must(memo.Wrap(m, "feed", fetchText, nil))
	pages.Get(ctx, "/tea")
	feeds.Get(ctx, "/tea")
	fmt.Println(pages.Clear(ctx))
	fmt.Println(pages.Has(ctx, "/tea"))
	fmt.Println(feeds.Has(ctx, "/tea"))
	// Output:
	// <nil>
	// false <nil>
	// true <nil>
}

// The database was restored from a backup: nothing that is stored is right.
func ExampleMemo_Clear() {
	ctx := context.Background()
	m := newExampleMemo()
	pages := memo.Must(memo.Wrap(m, "page", fetchText, nil))
	feeds := memo.Must(memo.Wrap(m, "feed", fetchText, nil))
	pages.Get(ctx, "/tea")
	feeds.Get(ctx, "/tea")
	fmt.Println(m.Clear(ctx))
	fmt.Println(pages.Has(ctx, "/tea"))
	fmt.Println(feeds.Has(ctx, "/tea"))
	// Output:
	// <nil>
	// false <nil>
	// false <nil>
}

func fetchText(_ context.Context, path string) (string, error) { return "all of " + path, nil }
