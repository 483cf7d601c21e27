package disk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cairncache/cairn/adapters/disk"
	"github.com/cairncache/cairn/store"
)

// What one run has stored the next one finds.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	url := "disk:" + filepath.Join(folder, "cache") + "?max_bytes=1GiB"

	for range 2 {
		s, err := store.Open(ctx, url)
		if err != nil {
			fmt.Println(err)
			return
		}
		if value, err := s.Get(ctx, "user:42"); err == nil {
			fmt.Printf("found %s\n", value)
		} else if err := s.Set(ctx, "user:42", []byte("Ada"), 24*time.Hour); err == nil {
			fmt.Println("stored")
		}
		store.Close(s)
	}
	// Output:
	// stored
	// found Ada
}

func ExampleNew() {
	folder, err := os.UserCacheDir()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := disk.New(filepath.Join(folder, "app"), &disk.Options{MaxBytes: 10 << 30, Fsync: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Set(context.Background(), "report", []byte("…"), store.Forever); err != nil {
		fmt.Println(err)
	}
}
