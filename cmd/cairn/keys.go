package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/cairncache/cairn/store"
)

var keysCommand = command{
	name:    "keys",
	summary: "list the keys",
	details: `
They come in any order and as they are found; a store that is written to
meanwhile may tell of a key twice. A pattern of -glob is for the whole key:
* is any text, ? one character, [a-z] and [!a-z] one of a set or not.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		var l lister
		flags.StringVar(&l.prefix, "prefix", "", "only the keys that begin with `TEXT`")
		flags.StringVar(&l.glob, "glob", "", "only the keys that `PATTERN` selects")
		flags.IntVar(&l.limit, "limit", 0, "stop after `N` keys; 0 is no limit")
		flags.BoolVar(&l.zero, "0", false, "end each key with a NUL character and not with a line end")
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error {
			l.json = *asJSON
			return l.list(ctx, c)
		}
	},
}

type lister struct {
	prefix, glob string
	limit        int
	zero, json   bool
}

func (l *lister) list(ctx context.Context, c *call) (err error) {
	if err := c.none(); err != nil {
		return err
	}
	match, err := l.match()
	if err != nil {
		return usageError{err}
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(c.stdout)
	defer func() { err = errors.Join(err, w.Flush()) }()
	prefix := l.prefix
	if strings.HasPrefix(match.Prefix(), prefix) {
		prefix = match.Prefix()
	}
	n := 0
	for key, err := range store.Keys(ctx, s, prefix) {
		if errors.Is(err, errors.ErrUnsupported) {
			return errors.New("this store cannot list its keys; Memcached, for example, has no way to")
		}
		if err != nil {
			return err
		}
		if !match.Match(key) || !strings.HasPrefix(key, l.prefix) {
			continue
		}
		if err := l.print(w, key); err != nil {
			return err
		}
		if n++; n == l.limit {
			break
		}
	}
	return nil
}

func (l *lister) match() (store.Match, error) {
	if l.limit < 0 {
		return store.Match{}, fmt.Errorf("-limit: %d is negative", l.limit)
	}
	if l.zero && l.json {
		return store.Match{}, errors.New("-0 and -json are two ways to print; give one of them")
	}
	if l.glob == "" {
		return store.MatchFunc(func(string) bool { return true }), nil
	}
	m, err := store.Glob(l.glob)
	if err != nil {
		err = errors.New("-glob" + strings.TrimPrefix(err.Error(), "store: glob"))
	}
	return m, err
}

func (l *lister) print(w *bufio.Writer, key string) error {
	if l.json {
		return newEncoder(w).Encode(text(key)) // a line each, so that nobody waits for the last one
	}
	end := byte('\n')
	if l.zero {
		end = 0
	}
	_, err := w.Write(append([]byte(key), end))
	return err
}
