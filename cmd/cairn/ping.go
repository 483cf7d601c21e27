package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/cairncache/cairn/store"
)

var pingCommand = command{
	name:    "ping",
	summary: "ask whether the store answers, and how soon",
	details: `
It asks twice, as the first answer takes the time to connect too.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return ping(ctx, c, *asJSON) }
	},
}

func ping(ctx context.Context, c *call, asJSON bool) error {
	if err := c.none(); err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	var took [2]time.Duration
	for i := range took {
		begin := time.Now()
		if err := store.Ping(ctx, s); err != nil {
			return err
		}
		took[i] = time.Since(begin).Round(time.Microsecond)
	}
	if !asJSON {
		_, err := fmt.Fprintf(c.stdout, "up: %v with the connection, %v without\n", took[0], took[1])
		return err
	}
	return printJSON(c.stdout, struct {
		First float64 `json:"first_ms"`
		Next  float64 `json:"next_ms"`
	}{millis(took[0]), millis(took[1])})
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
