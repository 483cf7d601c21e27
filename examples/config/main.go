// Command config counts the words of files. The count of one file is a memoized
// function, and where it is remembered is no matter of the code: a file says it,
// the environment, or a flag.
//
//	go run ./examples/config -config examples/config/memory.yaml README.md docs/*.md
//	REDIS_URL=redis://cache:6379 go run ./examples/config -config examples/config/layered.yaml README.md
//	CACHE_URL=disk:./cache go run ./examples/config README.md
//	go run ./examples/config -store memcache://localhost:11211 README.md
//
// It counts twice, and says how often the cache had the answer.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	_ "github.com/cairncache/cairn/adapters/disk"
	_ "github.com/cairncache/cairn/adapters/layered"
	_ "github.com/cairncache/cairn/adapters/memcache"
	_ "github.com/cairncache/cairn/adapters/memory"
	_ "github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("config", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "`file` with stores and regions")
	url := flags.String("store", "", "`URL` of the store")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	c, err := configuration(*file, *url)
	if err != nil {
		return err
	}
	stores, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	for _, name := range stores.Names() {
		st := c.Stores[name]
		fmt.Fprintln(stderr, "store", name+":", store.RedactURL(st.URL)+strings.Join(st.Layers, " | "))
	}
	if err := stores.Ping(ctx); err != nil {
		return err
	}
	return count(ctx, stores, flags.Args(), stdout)
}

// configuration is that of the file, of one store, or of the environment. What
// the program needs is the region words, which they may describe.
func configuration(file, url string) (c *config.Config, err error) {
	switch {
	case file != "" && url != "":
		return nil, errors.New("-config and -store are two answers to one question; leave out one of them")
	case file != "":
		c, err = config.Load(file)
	case url != "":
		c = &config.Config{Stores: map[string]config.Store{"main": {URL: url}}}
	default:
		c, err = config.FromEnv("CACHE")
	}
	if err != nil {
		return nil, err
	}
	if c.Regions == nil {
		c.Regions = make(map[string]config.Region)
	}
	if _, ok := c.Regions["words"]; !ok {
		c.Regions["words"] = config.Region{TTL: time.Hour}
	}
	return c, nil
}

// A File is what a count belongs to: one that was edited is another.
type File struct {
	Path     string
	Size     int64
	Modified time.Time
}

func count(ctx context.Context, stores *config.Stores, paths []string, w io.Writer) error {
	main, err := stores.Default()
	if err != nil {
		return err
	}
	regions, err := stores.Regions()
	if err != nil {
		return err
	}
	m, err := memo.New(main, &memo.Options{Namespace: "example", Regions: regions})
	if err != nil {
		return err
	}
	defer m.Close(context.WithoutCancel(ctx))
	var loads atomic.Int64
	words, err := memo.Wrap(m, "words", func(_ context.Context, f File) (int, error) {
		loads.Add(1)
		return countWords(f.Path)
	}, &memo.FuncOptions[File, int]{Region: "words"})
	if err != nil {
		return err
	}

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, pass := range []string{"first", "second"} {
		before := loads.Load()
		sum := 0
		for _, path := range paths {
			n, err := wordsOf(ctx, words.Get, path)
			if err != nil {
				return err
			}
			if pass == "first" {
				fmt.Fprintf(table, "%d\t%s\n", n, path)
			}
			sum += n
		}
		counted := int(loads.Load() - before)
		fmt.Fprintf(table, "%d\t%s pass: %d hits, %d counted\n", sum, pass, len(paths)-counted, counted)
	}
	return table.Flush()
}

func wordsOf(ctx context.Context, words func(context.Context, File) (int, error), path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return words(ctx, File{path, info.Size(), info.ModTime()})
}

func countWords(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Split(bufio.ScanWords)
	for scanner.Scan() {
		n++
	}
	return n, scanner.Err()
}
