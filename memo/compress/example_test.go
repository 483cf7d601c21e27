package compress_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
)

func Example() {
	ctx := context.Background()
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	m, err := memo.New(s, &memo.Options{
		Namespace:   "app",
		Compression: &memo.Compression{With: compress.Zstd()},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close(ctx)

	render := func(_ context.Context, page string) (string, error) {
		return strings.Repeat("<p>All work and no play makes "+page+" a dull page.</p>\n", 1000), nil
	}
	pages := memo.Must(memo.Wrap(m, "page", render, nil)) // compresses as its Memo says
	quick := memo.Must(memo.Wrap(m, "quick", render, &memo.FuncOptions[string, string]{
		Codec:       memo.String(),
		Compression: &memo.Compression{With: compress.S2(), Above: 10 << 10},
	}))
	plain := memo.Must(memo.Wrap(m, "plain", render, &memo.FuncOptions[string, string]{
		Compression: &memo.Compression{}, // none
	}))
	for _, f := range []*memo.Func[string, string]{pages, quick, plain} {
		page, err := f.Get(ctx, "index")
		if err != nil {
			log.Fatal(err)
		}
		again, err := f.Get(ctx, "index")
		if err != nil || again != page {
			log.Fatal("another page came back: ", err)
		}
		meta, err := f.Meta(ctx, "index")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(page), "bytes take less than 1000:", meta.Size < 1000)
	}
	// Output:
	// 53000 bytes take less than 1000: true
	// 53000 bytes take less than 1000: true
	// 53000 bytes take less than 1000: false
}
