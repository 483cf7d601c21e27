package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/store"
)

var conformCommand = command{
	name:    "conform",
	summary: "prove that a store keeps the contract",
	makes:   true,
	details: `
The suite of package conformance is run against the store. Each case works on
entries of its own, behind the URL's prefix and a random one, and deletes them
at the end: what else is in the store is neither read nor changed, but a store
that is full may forget it for them. Memcached cannot list its keys: there the
entries can no longer be reached, and are dropped when it needs the room. The
locks that were taken on Redis, at keys that begin with cairn:lock:, cannot be
deleted either: they stay until they expire, within 36h at most.

The exit code is 1 if a case has failed or was not tried, as after Ctrl-C; the
report then has the cases that were.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		o := conformOptions{format: "text"}
		flags.StringVar(&o.format, "format", o.format, "`FORMAT` of the report: text, markdown or json")
		flags.Var((*durationValue)(&o.timeout), "timeout", "end after this `TIME`, such as 5m; 0 is never")
		flags.Var((*durationValue)(&o.ttlStep), "ttl-step", "an entry may live this `TIME` longer than its ttl (default 2ms for Redis, else 1ms)")
		return o.run
	},
}

type conformOptions struct {
	format           string
	timeout, ttlStep time.Duration
}

func (o *conformOptions) run(ctx context.Context, c *call) error {
	render, err := o.renderer()
	if err == nil {
		err = c.none()
	}
	if err != nil {
		return err
	}
	opened, err := c.open(ctx) // to see what is wrong with the URL
	if err != nil {
		return err
	}
	s, err := newSubject(c)
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	if err := store.Ping(ctx, opened); err != nil {
		return err // which says in fewer words than the suite that nothing is there
	}
	suite := s.options()
	suite.TTLStep = cmp.Or(o.ttlStep, suite.TTLStep)
	line := newProgress(c.stderr)
	suite.Progress = caseProgress(line)
	report, err := conformance.Check(ctx, s.open, suite)
	line.clear()
	left := s.clean(context.WithoutCancel(ctx)) // before the report, which may fail or block
	if len(report.Cases) > 0 {
		err = failures(report)
		text, problem := render(report)
		if o.format == "text" && s.leavesLocks() {
			text += "locks:     those of this run stay on the server until they expire, within 36h at most\n"
		}
		if problem == nil {
			_, problem = io.WriteString(c.stdout, text)
		}
		err = errors.Join(err, problem)
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = errors.Join(err, fmt.Errorf("ended after %v, with cases that were not tried; give a longer -timeout", o.timeout))
	case ctx.Err() != nil:
		err = errors.Join(err, ctx.Err())
	}
	return errors.Join(err, left)
}

// renderer returns what writes the report in the chosen format.
func (o *conformOptions) renderer() (func(conformance.Report) (string, error), error) {
	switch o.format {
	case "text":
		return func(r conformance.Report) (string, error) { return r.Text(), nil }, nil
	case "markdown":
		return func(r conformance.Report) (string, error) { return r.Markdown(), nil }, nil
	case "json":
		return func(r conformance.Report) (string, error) {
			text, err := r.JSON()
			return string(text) + "\n", err
		}, nil
	}
	return nil, usagef("-format %q is none of text, markdown and json", o.format)
}

// failures names the cases that have failed, if there are any.
func failures(r conformance.Report) error {
	var failed []string
	for _, c := range r.Cases {
		if c.Status == conformance.Failed {
			failed = append(failed, c.ID)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	n, more := len(failed), ""
	if n > 10 {
		failed, more = failed[:10], fmt.Sprintf(" and %d more", n-10)
	}
	return fmt.Errorf("%d of %d cases failed: %s%s", n, len(r.Cases), strings.Join(failed, " "), more)
}

// caseProgress shows how many cases have ended and how many of them failed.
func caseProgress(line *progress) func(done, total int, ended conformance.Case) {
	failed := 0
	return func(done, total int, ended conformance.Case) {
		text := fmt.Sprintf("%d of %d cases", done, total)
		if ended.Status == conformance.Failed {
			failed++
		}
		if failed > 0 {
			text += fmt.Sprintf(", %d failed", failed)
		}
		line.show(text + "  " + ended.ID)
	}
}
