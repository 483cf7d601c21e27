package conformance_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/examples/mapstore"
	"github.com/cairncache/cairn/store"
)

// A store of four methods keeps the contract, and Check proves it. In a test
// it would be
//
//	conformance.Run(t, func(*testing.T) store.Store { return mapstore.New() }, &conformance.Options{Bubble: true})
func Example() {
	open := func(context.Context) (store.Store, error) { return mapstore.New(), nil }
	report, err := conformance.Check(context.Background(), open, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Count(conformance.Failed), "cases failed")
	fmt.Println("abilities:", len(report.Abilities))
	// Output:
	// 0 cases failed
	// abilities: 0
}

// A store that forgets the ttl fails, in words.
func ExampleCheck() {
	open := func(context.Context) (store.Store, error) { return forgetful{mapstore.New()}, nil }
	report, err := conformance.Check(context.Background(), open, &conformance.Options{
		Want: []string{},
		Skip: map[string]string{"Expiry/Month": "this store is restarted every night"},
	})
	fmt.Println("failed:", err != nil)
	for _, c := range report.Cases {
		if c.ID == "Expiry/LivesItsTTL" || c.ID == "Expiry/Month" {
			fmt.Printf("%s %s: %q\n", c.ID, c.Status, c.Reason)
		}
	}
	// Output:
	// failed: true
	// Expiry/LivesItsTTL failed: ""
	// Expiry/Month skipped: "this store is restarted every night"
}

type forgetful struct{ *mapstore.Store }

func (s forgetful) Set(ctx context.Context, key string, value []byte, _ time.Duration) error {
	return s.Store.Set(ctx, key, value, store.Forever)
}
