package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"time"

	"github.com/cairncache/cairn/store"
)

var setCommand = command{
	name:    "set",
	args:    "KEY [VALUE]",
	summary: "store a value, that of stdin without VALUE",
	makes:   true,
	details: `
All of stdin is the value, a line end included. A VALUE or KEY that begins with
a - stands behind --, as in: cairn set -ttl 5m -- offset -5`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		left := store.DefaultTTL
		flags.Func("ttl", "how long it lives: a `DURATION` such as 90s, 5m or 1d12h, or forever; without it, the store's default", func(text string) (err error) {
			left, err = parseTTL(text)
			return err
		})
		return func(ctx context.Context, c *call) error { return set(ctx, c, left) }
	},
}

func parseTTL(text string) (time.Duration, error) {
	if text == ttl(store.Forever).String() {
		return store.Forever, nil
	}
	d, err := store.ParseDuration(text)
	if err == nil && d == 0 {
		err = errors.New("nothing lives for no time; del removes a key")
	}
	return d, err
}

func set(ctx context.Context, c *call, left time.Duration) error {
	if len(c.args) == 0 || len(c.args) > 2 {
		return usagef("takes KEY and VALUE, or KEY alone and the value from stdin")
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	if len(c.args) == 2 {
		return s.Set(ctx, c.args[0], []byte(c.args[1]), left)
	}
	value, err := readAll(ctx, c.stdin)
	if err != nil {
		return err
	}
	return s.Set(ctx, c.args[0], value, left)
}

// readAll reads to the end, or until ctx ends, as after Ctrl-C: reading from a
// terminal does not end then.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type text struct {
		b   []byte
		err error
	}
	done := make(chan text, 1)
	go func() {
		b, err := io.ReadAll(r)
		done <- text{b, err}
	}()
	select {
	case all := <-done:
		return all.b, all.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
