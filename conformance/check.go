package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cairncache/cairn/store"
)

// Check is Run outside go test, as for a command that proves the store at a
// URL. open makes a store whose entries are its own, as for Run; it is called
// concurrently unless Options.Advance is set, and Check closes what it returns.
//
// The error is nil if no case has failed. It joins the failures otherwise, in
// the words in which Run prints them. A bad option, a store that cannot be
// used at all, and a ctx that ends are errors too; the report then has the
// cases that were tried until then.
func Check(ctx context.Context, open func(context.Context) (store.Store, error), opts *Options) (Report, error) {
	o, err := opts.resolve()
	if err == nil && o.Bubble {
		err = errors.New("conformance: Options.Bubble: a bubble needs a *testing.T; use Run, or Advance")
	}
	if err != nil {
		return Report{}, err
	}
	s := &suite{opts: o, canReopen: o.CheckReopen != nil}
	env := environment{open, o.CheckReopen}
	if v := s.learn(ctx, env); v.failure != "" {
		return Report{}, errors.New("conformance: " + v.failure)
	} else if ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	report := newReport(s)
	for _, c := range allCases {
		if c.breaks {
			s.checkCase(ctx, c, env, report)
		}
	}
	s.checkParallel(ctx, env, report)
	report.finish()
	if o.Report != nil {
		o.Report(report.Report)
	}
	return report.Report, errors.Join(report.err(), ctx.Err())
}

// checkParallel tries the cases that do not break the backend, some at a time:
// most of them wait.
func (s *suite) checkParallel(ctx context.Context, env environment, report *collector) {
	workers := 8
	if s.opts.Advance != nil {
		workers = 1
	}
	next := make(chan testCase)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for c := range next {
				s.checkCase(ctx, c, env, report)
			}
		})
	}
	for _, c := range allCases {
		if !c.breaks {
			next <- c
		}
	}
	close(next)
	wg.Wait()
}

// checkCase tries one case in all its ways, unless ctx is done.
func (s *suite) checkCase(ctx context.Context, c testCase, env environment, report *collector) {
	ways, reason := s.ways(c)
	if len(ways) == 0 {
		report.add(c, verdict{skipped: reason})
	}
	for _, w := range ways {
		if ctx.Err() == nil {
			report.add(c, s.try(ctx, c, w, env))
		}
	}
	report.progress(c, s.opts.Progress)
}

// progress tells that a case has ended, unless it was not tried at all.
func (r *collector) progress(c testCase, tell func(done, total int, ended Case)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ended := r.cases[c.id]; ended != nil && tell != nil {
		r.done++
		tell(r.done, len(allCases), *ended)
	}
}

// err joins the failures of all cases.
func (r *collector) err() error {
	var errs []error
	for _, c := range r.Cases {
		for _, failure := range c.Failures {
			errs = append(errs, fmt.Errorf("conformance: %s", failure))
		}
	}
	return errors.Join(errs...)
}
