package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/internal/diskurl"
	"github.com/cairncache/cairn/store"
)

// urlVariable names the store where no flag does.
const urlVariable = "CACHE_URL"

// storeFlags say which store a command works on.
type storeFlags struct {
	url, config, name string

	loaded *config.Config // of the file, once the store is open; name is then never empty
}

func (f *storeFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.url, "store", "", "`URL` of the store; without it and -config, that in $"+urlVariable)
	flags.StringVar(&f.config, "config", "", "`FILE` that describes stores")
	flags.StringVar(&f.name, "name", "", "`NAME` of a store in the file; without it, its default")
}

// flags defines all flags of the command and returns what it does.
func (cmd *command) flags(f *storeFlags) (*flag.FlagSet, func(context.Context, *call) error) {
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error, and help the usage
	do := cmd.define(flags)
	if !cmd.storeless {
		f.define(flags)
	}
	return flags, do
}

// parse parses flags wherever they stand, and returns the arguments.
func parse(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, flagError(flags, err)
		}
		left := flags.Args()
		parsed := args[:len(args)-len(left)]
		if len(left) == 0 || terminated(flags, parsed) {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// terminated reports whether a -- ends the flags. It may be the value of one.
func terminated(flags *flag.FlagSet, parsed []string) bool {
	for i := 0; i < len(parsed); i++ {
		if parsed[i] == "--" {
			return true
		}
		f := flags.Lookup(strings.TrimLeft(parsed[i], "-"))
		if f == nil {
			continue // -flag=value
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); !ok || !b.IsBoolFlag() {
			i++ // the value
		}
	}
	return false
}

// flagError adds the flag that was meant to the error of an unknown one.
func flagError(flags *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	unknown, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !ok {
		return usageError{err}
	}
	var names []string
	flags.VisitAll(func(f *flag.Flag) { names = append(names, "-"+f.Name) })
	return usagef("unknown flag -%s%s", unknown, didYouMean("-"+unknown, names))
}

// open opens the store that the flags or the environment name. It is closed
// when the command has returned. A second call opens it once more.
func (c *call) open(ctx context.Context) (store.Store, error) {
	url, err := c.location()
	if err != nil {
		return nil, err
	}
	if url == "" {
		return c.openConfigured(ctx)
	}
	return c.openURL(ctx, url)
}

// location is the URL that the flags or the environment give; "" if they name
// a store in a file.
func (c *call) location() (url string, err error) {
	switch {
	case c.url != "" && c.config != "":
		return "", usagef("-store and -config name two stores; give one of them")
	case c.name != "" && c.config == "":
		return "", usagef("-name is that of a store in a file; give -config too")
	case c.config != "":
		return "", nil
	case c.url != "":
		return c.url, nil
	}
	if url = c.getenv(urlVariable); url == "" {
		return "", usagef("which store? give -store URL, or -config FILE, or set $%s", urlVariable)
	}
	return url, nil
}

// openURL opens a store, as open does.
func (c *call) openURL(ctx context.Context, url string) (store.Store, error) {
	if !c.makes {
		if err := missingFolder(url); err != nil {
			return nil, err
		}
	}
	s, err := store.Open(ctx, url)
	if errors.Is(err, store.ErrInvalid) {
		return nil, usageError{err}
	}
	if err != nil {
		return nil, err
	}
	c.opened = append(c.opened, closer(func() error { return store.Close(s) }))
	return s, nil
}

func (c *call) openConfigured(ctx context.Context) (store.Store, error) {
	cfg, err := config.Load(c.config)
	if err != nil {
		return nil, err
	}
	cfg.Lazy = true // the others are not needed
	c.loaded, c.name = cfg, cmp.Or(c.name, cfg.DefaultName())
	if !c.makes {
		if err := missingFolders(cfg, c.name, len(cfg.Stores)); err != nil {
			return nil, err
		}
	}
	stores, err := cfg.Open(ctx)
	if err != nil {
		return nil, err
	}
	c.opened = append(c.opened, stores)
	if c.name == "" {
		return stores.Default()
	}
	return stores.Store(c.name)
}

// missingFolder reports a folder on disk that is not there. A bad URL is not
// reported: to open it does.
func missingFolder(url string) error {
	u, err := store.ParseURL(url)
	if err != nil {
		return nil
	}
	for _, u := range append(u.Layers(), u) {
		if u.Scheme != "disk" {
			continue
		}
		folder, err := diskurl.Folder(u)
		if err != nil {
			continue
		}
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("open %q: there is no folder %s; cairn set would make it", u, folder)
		}
	}
	return nil
}

// missingFolders does so for a store in a file and its layers, down to a depth.
func missingFolders(cfg *config.Config, name string, depth int) error {
	s := cfg.Stores[name]
	if s.URL != "" {
		return missingFolder(s.URL)
	}
	for _, layer := range s.Layers {
		if depth == 0 {
			break // in a circle, which is an error elsewhere
		}
		if err := missingFolders(cfg, layer, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// source is what the flags name, without secrets, for reports.
func (c *call) source() string {
	switch {
	case c.config != "" && c.name != "":
		return c.config + " " + c.name
	case c.config != "":
		return c.config
	case c.url != "":
		return store.RedactURL(c.url)
	}
	return store.RedactURL(c.getenv(urlVariable))
}

type closer func() error

func (c closer) Close() error { return c() }

// one returns the only argument.
func (c *call) one(what string) (string, error) {
	switch len(c.args) {
	case 0:
		return "", usagef("%s is missing", what)
	case 1:
		return c.args[0], nil
	}
	return "", usagef("takes one %s, not %d arguments", what, len(c.args))
}

// openKey returns the only argument, a key, and opens the store that has it.
func (c *call) openKey(ctx context.Context) (string, store.Store, error) {
	key, err := c.one("KEY")
	if err != nil {
		return "", nil, err
	}
	s, err := c.open(ctx)
	return key, s, err
}

// none returns an error if there are arguments.
func (c *call) none() error {
	if len(c.args) > 0 {
		return usagef("takes no arguments")
	}
	return nil
}
