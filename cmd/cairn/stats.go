package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"reflect"
	"time"

	"github.com/cairncache/cairn/adapters/disk"
	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

var statsCommand = command{
	name:    "stats",
	summary: "print what the store counts",
	details: `
The counts of memory, disk and layers are those of one process, here of the
command itself, which has only just begun: of use are the Bytes of disk, which
are those of all processes. The names are the fields of type Stats of the
adapter. Redis and Memcached count for themselves, and their own tools tell.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return printStats(ctx, c, *asJSON) }
	},
}

func printStats(ctx context.Context, c *call, asJSON bool) error {
	if err := c.none(); err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	stats := statsOf(s)
	if stats == nil {
		return errors.New("this store counts nothing; ask the server: redis-cli INFO stats, or stats of Memcached")
	}
	names, values := fields("", reflect.ValueOf(stats))
	if asJSON {
		object := make(map[string]any, len(names))
		for i, name := range names {
			object[name] = values[i]
		}
		return printJSON(c.stdout, object)
	}
	t := newTable(c.stdout)
	for i, name := range names {
		t.row(name, fmt.Sprint(values[i]))
	}
	return t.Flush()
}

// statsOf returns the Stats of the first store below wrappers that has some.
func statsOf(s store.Store) any {
	for {
		switch s := s.(type) {
		case *disk.Store:
			return s.Stats()
		case *layered.Store:
			return s.Stats()
		case *memory.Store:
			return s.Stats()
		}
		w, ok := s.(store.Wrapper)
		if !ok {
			return nil
		}
		s = w.Unwrap()
	}
}

// fields returns the names and values of a struct's fields, those of structs
// in it as Outer.Inner. What has words for itself is a string.
func fields(outer string, v reflect.Value) (names []string, values []any) {
	for i := range v.NumField() {
		name, value := outer+v.Type().Field(i).Name, v.Field(i).Interface()
		switch worded := value.(type) {
		case time.Time:
			if value = worded.UTC().Format(time.RFC3339); worded.IsZero() {
				value = "never"
			}
		case fmt.Stringer:
			value = worded.String()
		default:
			if v.Field(i).Kind() == reflect.Struct {
				n, v := fields(name+".", v.Field(i))
				names, values = append(names, n...), append(values, v...)
				continue
			}
		}
		names, values = append(names, name), append(values, value)
	}
	return names, values
}
