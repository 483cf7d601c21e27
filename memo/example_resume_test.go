package memo_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cairncache/cairn/adapters/disk"
	"github.com/cairncache/cairn/memo"
)

// A script that keeps what it has computed in a folder goes on where it was
// stopped. A flag -refresh of it would be Options.Refresh, which computes all
// items anew and stores them, and a flag -skip would be Options.Skip, which
// leaves the folder alone:
//
//	refresh := flag.Bool("refresh", false, "compute anew what was computed before")
//	skip := flag.Bool("skip", false, "neither use nor keep results")
//	…
//	m, err := memo.New(s, &memo.Options{Namespace: "thumbnails", Refresh: *refresh, Skip: *skip})
//
// For one run of a program without flags, there are CAIRN_MEMO_REFRESH=1 and
// CAIRN_MEMO_SKIP=1 in the environment.
func Example_resume() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	diskIsFull := true // in the first run
	script := func(ctx context.Context) error {
		s, err := disk.New(folder, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		m, err := memo.New(s, &memo.Options{Namespace: "thumbnails"})
		if err != nil {
			return err
		}
		defer m.Close(ctx)
		thumbnail, err := memo.Wrap(m, "thumbnail", func(_ context.Context, photo string) (string, error) {
			if photo == "c.jpg" && diskIsFull {
				return "", errors.New("the disk is full")
			}
			fmt.Println("computed", photo)
			return "small " + photo, nil
		}, nil)
		if err != nil {
			return err
		}
		for _, photo := range []string{"a.jpg", "b.jpg", "c.jpg", "d.jpg"} {
			if _, err := thumbnail.Get(ctx, photo); err != nil {
				return err
			}
		}
		fmt.Println("all done")
		return nil
	}

	ctx := context.Background()
	fmt.Println("first run:", script(ctx))
	diskIsFull = false
	fmt.Println("second run:", script(ctx))
	// Output:
	// computed a.jpg
	// computed b.jpg
	// first run: memo: load "thumbnails:thumbnail:c.jpg": the disk is full
	// computed c.jpg
	// computed d.jpg
	// all done
	// second run: <nil>
}
