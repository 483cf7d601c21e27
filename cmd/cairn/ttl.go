package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/cairncache/cairn/store"
)

var ttlCommand = command{
	name:    "ttl",
	args:    "KEY",
	summary: "print how long a key will still live",
	details: `
The answer is a duration such as 4m59.8s, "forever", or "unknown" where the
store cannot tell.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return printTTL(ctx, c, *asJSON) }
	},
}

func printTTL(ctx context.Context, c *call, asJSON bool) error {
	key, s, err := c.openKey(ctx)
	if err != nil {
		return err
	}
	left, err := s.TTL(ctx, key)
	if asJSON && errors.Is(err, store.ErrNotFound) {
		return errors.Join(printAbsent(c.stdout, key), err)
	}
	if err != nil {
		return err
	}
	if !asJSON {
		_, err := fmt.Fprintln(c.stdout, ttl(left))
		return err
	}
	return printJSON(c.stdout, struct {
		Key   any  `json:"key"`
		Found bool `json:"found"`
		TTL   ttl  `json:"ttl"`
	}{text(key), true, ttl(left)})
}
