package main

import (
	"context"
	"flag"

	"github.com/cairncache/cairn/store"
)

var delCommand = command{
	name:    "del",
	args:    "KEY...",
	summary: "delete keys",
	details: `
That a key is absent is no error. To delete what a pattern selects:
cairn keys -0 -glob 'user:*' | xargs -0 -r cairn del --`,
	define: func(*flag.FlagSet) func(context.Context, *call) error {
		return func(ctx context.Context, c *call) error {
			if len(c.args) == 0 {
				return usagef("KEY is missing")
			}
			s, err := c.open(ctx)
			if err != nil {
				return err
			}
			return store.DeleteMany(ctx, s, c.args)
		}
	},
}
