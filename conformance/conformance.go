// Package conformance proves that a store keeps the contract of package store.
//
// An adapter's test is a few lines, and a subtest per rule comes of it:
//
//	func TestStore(t *testing.T) {
//		conformance.Run(t, func(t *testing.T) store.Store {
//			return mystore.New(…)
//		}, nil)
//	}
//
// Every case has an id, such as Expiry/RoundsUp, which is the subtest's name,
// and holds one rule. When it fails it prints the call, what came of it, what
// should have, the rule with what breaks in a real system otherwise, and the
// calls before. Each ability (an extension interface of package store) is tried
// by its method and by the function of the same name, in a subtest each; on a
// store without it the function's documented fallback is tried, or that it is
// refused.
//
// [Options] tell what cannot be found out: which abilities are meant, how fine
// the expiry is, how to move the clock, how to break the backend. [Check] is
// the same outside go test, [Fuzz] compares random calls with a model, and
// [Bench] measures. A [Report] says what was tried and what was not.
//
// Run the tests under the race detector: some faults show in no other way. And
// use [Options].Bubble where no network is involved: the run then takes no time,
// and fails if a goroutine of the store outlives Close.
package conformance

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// Run tries every case in a subtest that bears its id, and then logs a report.
//
// open makes a store whose entries are its own: those of no other call of
// open, and none at the beginning. It is called once to learn the store's
// abilities and then at least once for each case, in the subtest whose t it is
// given, also from several subtests at once; it may call t.Fatal and
// t.Cleanup. Run closes each store at the end of its case.
//
// Cases run in parallel unless Options.Advance is set. Where time is real they
// wait for ttls of tens of milliseconds, so that all of them take some seconds;
// with an Options.TTLStep of a second it is a minute or more. They read the
// clock before and after each call: on a slow machine a case may prove less,
// but it does not fail. One that does not end is cut off after a minute, or
// later where the store takes its time for each call.
func Run(t *testing.T, open func(t *testing.T) store.Store, opts *Options) {
	t.Helper()
	o, err := opts.resolve()
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{opts: o, canReopen: o.Reopen != nil}
	r := &runner{s, open}
	r.learn(t)
	report := newReport(s)
	t.Cleanup(func() {
		report.finish()
		t.Log("\n" + report.summary())
		if o.Report != nil {
			o.Report(report.Report)
		}
	})
	for _, alone := range []bool{true, false} { // those that break the backend run before the parallel ones begin
		for _, c := range allCases {
			if c.breaks == alone {
				t.Run(c.id, func(t *testing.T) { r.runCase(t, c, report) })
			}
		}
	}
}

// A runner tries cases in subtests.
type runner struct {
	*suite
	open func(*testing.T) store.Store
}

func (r *runner) runCase(t *testing.T, c testCase, report *collector) {
	ways, reason := r.ways(c)
	if len(ways) == 0 {
		report.add(c, verdict{skipped: reason})
		t.Skip(reason)
	}
	if r.opts.Advance == nil && !c.breaks {
		t.Parallel()
	}
	for _, w := range ways {
		try := func(t *testing.T) {
			v := r.tryIn(t, c, w)
			switch {
			case t.Skipped():
				v.skipped = "open skipped it"
			case v.failure != "":
				t.Error(v.failure)
			case t.Failed():
				v.failure = c.id + ": open or Reopen failed the test"
			}
			report.add(c, v)
			if v.skipped != "" && v.failure == "" {
				t.Skip(v.skipped)
			}
		}
		if w == plainly {
			try(t)
		} else {
			t.Run(string(w), try)
		}
	}
}

// tryIn tries a case, in a bubble of its own if there is to be one.
func (r *runner) tryIn(t *testing.T, c testCase, w way) verdict {
	return r.inside(t, c, func(t *testing.T) verdict { return r.try(t.Context(), c, w, r.environment(t)) })
}

// inside calls try in a bubble if there is to be one.
func (r *runner) inside(t *testing.T, c testCase, try func(t *testing.T) verdict) verdict {
	if !r.opts.Bubble {
		return try(t)
	}
	result := make(chan verdict, 1)
	err := inBubble(t, func(t *testing.T) { result <- try(t) })
	var v verdict
	select {
	case v = <-result:
	default:
	}
	if err != nil && v.failure == "" {
		v.failure = fmt.Sprintf("%s\n    bubble: %v\n    rule:   %s\n    where:  %s", c.id, err, c.rule, c.where)
	}
	return v
}

// environment makes stores by the functions that take a *testing.T.
func (r *runner) environment(t *testing.T) environment {
	return environment{
		open: func(context.Context) (store.Store, error) { return r.open(t), nil },
		reopen: func(_ context.Context, s store.Store) (store.Store, error) {
			return r.opts.Reopen(t, s), nil
		},
	}
}

// learn finds out what the store can do. If open skips the test, or the store
// cannot be used at all, the test ends here.
func (r *runner) learn(t *testing.T) {
	t.Helper()
	v := r.inside(t, learning, func(t *testing.T) verdict { return r.suite.learn(t.Context(), r.environment(t)) })
	if t.Skipped() {
		t.SkipNow()
	}
	if v.failure != "" {
		t.Fatal(v.failure)
	}
	if t.Failed() {
		t.FailNow() // as open said
	}
}

// bubbleLimit is how long, in real time, a bubble may take: a store that
// blocks on a mutex for ever stops the virtual time too. Tests shorten it.
var bubbleLimit = time.Minute

// inBubble runs f in a bubble. It returns an error if the bubble ends in a
// deadlock, as when a goroutine of the store does not stop at Close, or does
// not end.
func inBubble(t *testing.T, f func(*testing.T)) error {
	done := make(chan error, 1)
	go func() {
		result := fmt.Errorf("it ended early, by t.FailNow or t.SkipNow in open")
		defer func() {
			if p := recover(); p != nil {
				result = fmt.Errorf("%v; does Close stop the store's goroutines?", p)
			}
			done <- result
		}()
		synctest.Test(t, f)
		result = nil
	}()
	limit := time.NewTimer(bubbleLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return fmt.Errorf("no end after %v: something waits for what is not in the bubble, or blocks on a mutex", bubbleLimit)
	}
}
