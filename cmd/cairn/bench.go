package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

var benchCommand = command{
	name:    "bench",
	summary: "measure a store's speed and hit ratio",
	makes:   true,
	details: `
All keys are stored at the beginning. Each of -concurrency callers then reads
or writes one key after another, chosen by a Zipf distribution as in most
programs' traffic, and waits for each answer. A read that misses is followed by
a write of that key. What fails is counted, is no part of the latencies, and
makes the caller pause for 10ms; the exit code is then 1.

The keys are behind a random prefix and are deleted at the end, also after
Ctrl-C, which prints what was measured so far and counts as success if all keys
were stored. What a killed run leaves expires with -ttl. A store that is full
may forget other entries for those of the benchmark.

With -vs two stores are measured in turn, in rounds of about 250ms, for
-duration each. The ratios are those of neighbouring rounds: their median, and
the least and greatest.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		b := benchOptions{load: load{
			Duration: 5 * time.Second, Concurrency: 16, Size: 100, Keys: 10_000, TTL: 10 * time.Minute, Read: 0.9, Zipf: 1.1,
		}}
		flags.Var((*durationValue)(&b.Duration), "duration", "measure for this `TIME`")
		flags.IntVar(&b.Concurrency, "concurrency", b.Concurrency, "`NUMBER` of callers at once")
		flags.Var((*sizeValue)(&b.Size), "size", "`SIZE` of the values, such as 4KiB")
		flags.IntVar(&b.Keys, "keys", b.Keys, "`NUMBER` of different keys")
		flags.Var((*durationValue)(&b.TTL), "ttl", "ttl of the entries, a `TIME`")
		flags.Float64Var(&b.Read, "read", b.Read, "`FRACTION` of the calls that read")
		flags.Float64Var(&b.Zipf, "zipf", b.Zipf, "`EXPONENT` of the distribution, above 1; 0 chooses all keys alike")
		flags.StringVar(&b.vs, "vs", "", "`URL` of another store to compare with")
		flags.BoolVar(&b.json, "json", false, "print JSON")
		return b.run
	},
}

type benchOptions struct {
	load
	vs   string
	json bool
}

func (b *benchOptions) run(ctx context.Context, c *call) error {
	if err := errors.Join(c.none(), b.check()); err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	targets := []*target{newTarget(&b.load, c.source(), s)}
	if b.vs != "" {
		s, err := c.openURL(ctx, b.vs)
		if err != nil {
			return err
		}
		targets = append(targets, newTarget(&b.load, store.RedactURL(b.vs), s))
	}
	line := newProgress(c.stderr)
	ratios, err := measure(ctx, targets, line)
	interrupted := ctx.Err() != nil
	line.clear()
	var left error
	for _, t := range targets { // before the report, which may fail or block
		left = errors.Join(left, t.clean(context.WithoutCancel(ctx)))
	}
	if err == nil {
		err = b.print(c.stdout, newBenchResult(&b.load, targets, ratios, interrupted))
	}
	return errors.Join(err, left)
}

// check reports a flag that makes no sense.
func (l *load) check() error {
	switch {
	case l.Duration <= 0:
		return usagef("-duration must be above 0")
	case l.TTL <= 0:
		return usagef("-ttl must be above 0, so that nothing is left for ever if the benchmark is killed")
	case l.Concurrency < 1 || l.Concurrency > maxConcurrency:
		return usagef("-concurrency %d is not between 1 and %d", l.Concurrency, maxConcurrency)
	case l.Size > maxSize:
		return usagef("-size is more than 512MiB")
	case l.Keys < 1 || l.Keys > maxKeys:
		return usagef("-keys %d is not between 1 and %d", l.Keys, maxKeys)
	case l.Size > 0 && int64(l.Keys) > maxData/l.Size:
		return usagef("-keys %d of -size %dB are more than 1GiB together; give fewer or smaller ones", l.Keys, l.Size)
	case !(l.Read >= 0 && l.Read <= 1):
		return usagef("-read %v is not between 0 and 1", l.Read)
	case l.Zipf != 0 && !(l.Zipf > 1 && l.Zipf <= math.MaxInt32):
		return usagef("-zipf %v is neither above 1 nor 0", l.Zipf)
	}
	return nil
}

const (
	maxConcurrency = 10_000
	maxKeys        = 100_000_000
	maxSize        = 512 << 20
	maxData        = 1 << 30
)

// print prints the result. The error is that calls have failed.
func (b *benchOptions) print(w io.Writer, r *benchResult) error {
	var err error
	if b.json {
		err = printJSON(w, r)
	} else {
		terminal := terminalOf(w)
		_, err = io.WriteString(w, r.text(page{widthOf(terminal), terminal == nil}))
	}
	for _, s := range r.Stores {
		if s.Errors > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d calls of %s failed; the first: %s", s.Errors, s.Calls, s.Store, s.FirstError))
		}
	}
	return err
}

// A durationValue is a flag that is read by store.ParseDuration.
type durationValue time.Duration

func (d *durationValue) String() string {
	if *d == 0 {
		return "" // no default to be shown
	}
	return time.Duration(*d).String()
}

func (d *durationValue) Set(text string) error {
	parsed, err := store.ParseDuration(text)
	*d = durationValue(parsed)
	return err
}

// A sizeValue is a flag that is read by store.ParseSize.
type sizeValue int64

func (s *sizeValue) String() string {
	n, unit := int64(*s), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, larger
	}
	return fmt.Sprintf("%d%s", n, unit)
}

func (s *sizeValue) Set(text string) error {
	parsed, err := store.ParseSize(text)
	*s = sizeValue(parsed)
	return err
}
