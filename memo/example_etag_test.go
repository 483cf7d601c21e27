package memo_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cairncache/cairn/memo"
)

// modTime is the version of a file. It is asked for at each call, and costs far
// less than reading the file.
func modTime(_ context.Context, name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	return info.ModTime().String(), nil
}

func readFile(_ context.Context, name string) (string, error) {
	fmt.Println("reading")
	b, err := os.ReadFile(name)
	return string(b), err
}

// A file is read again when it has changed.
func ExampleFuncOptions_eTag() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "greeting.txt")
	files := memo.Must(memo.Wrap(newExampleMemo(), "file", readFile, &memo.FuncOptions[string, string]{
		ETag: modTime,
	}))
	for year, text := range []string{"hello", "good day"} {
		os.WriteFile(name, []byte(text), 0o600)
		os.Chtimes(name, time.Time{}, time.Date(2000+year, 1, 1, 0, 0, 0, 0, time.UTC))
		fmt.Println(files.Get(ctx, name))
		fmt.Println(files.Get(ctx, name))
	}
	// Output:
	// reading
	// hello <nil>
	// hello <nil>
	// reading
	// good day <nil>
	// good day <nil>
}
