package memory_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

// What a process had in memory is there again in the next one. A file is best
// written under another name, synced, and renamed when Save has succeeded; the
// context of a shutdown must not be one that is done already.
func ExampleStore_Save() {
	ctx := context.Background()
	before, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	before.Set(ctx, "color", []byte("red"), time.Hour)
	before.Set(ctx, "shape", []byte("round"), store.Forever)

	var file bytes.Buffer // or an *os.File
	saved, err := before.Save(ctx, &file)
	fmt.Println("saved", saved, err)
	before.Close()

	after, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer after.Close()
	restored, err := after.Restore(ctx, &file)
	fmt.Println("restored", restored, err)
	color, err := after.Get(ctx, "color")
	fmt.Printf("%s %v\n", color, err)
	left, err := after.TTL(ctx, "color")
	fmt.Println(left > 59*time.Minute, left <= time.Hour, err)
	// Output:
	// saved 2 <nil>
	// restored 2 <nil>
	// red <nil>
	// true true <nil>
}
