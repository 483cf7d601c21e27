package main

import (
	"context"
	"errors"
	"flag"

	"github.com/cairncache/cairn/store"
)

var getCommand = command{
	name:    "get",
	args:    "KEY",
	summary: "print the value of a key",
	details: `
The value is printed as it is stored, with nothing added. An entry of a
memoized function has a header before the value: cairn get KEY | cairn decode
takes it apart.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return get(ctx, c, *asJSON) }
	},
}

func get(ctx context.Context, c *call, asJSON bool) error {
	key, s, err := c.openKey(ctx)
	if err != nil {
		return err
	}
	if !asJSON {
		value, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		_, err = c.stdout.Write(value)
		return err
	}
	value, left, err := store.GetWithTTL(ctx, s, key)
	if errors.Is(err, store.ErrNotFound) {
		return errors.Join(printAbsent(c.stdout, key), err)
	}
	if err != nil {
		return err
	}
	return printJSON(c.stdout, struct {
		Key   any  `json:"key"`
		Found bool `json:"found"`
		Value any  `json:"value"`
		TTL   ttl  `json:"ttl"`
	}{text(key), true, text(string(value)), ttl(left)})
}
