package store

import (
	"context"
	"sync"
)

// maxParallel bounds the calls that a fallback has under way.
const maxParallel = 16

// forEach calls do for each item, at most maxParallel at a time, and runs the
// functions that do returns one after another. It tries every item until ctx
// is done; items that were not tried then count as one failure. A panic of do
// goes on in the caller, who may recover it.
func forEach[T any](ctx context.Context, items []T, do func(T) (commit func(), err error)) error {
	var (
		mu       sync.Mutex
		errs     []error
		panicked any
		wg       sync.WaitGroup
		next     = make(chan T)
	)
	try := func(item T) {
		defer func() {
			if p := recover(); p != nil {
				mu.Lock()
				defer mu.Unlock()
				panicked = p
			}
		}()
		commit, err := do(item)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		} else if commit != nil {
			commit()
		}
	}
	for range min(maxParallel, len(items)) {
		wg.Go(func() {
			for item := range next {
				try(item)
			}
		})
	}
	var stopped error
feed:
	for _, item := range items {
		select {
		case next <- item:
		case <-ctx.Done():
			stopped = ctx.Err()
			break feed
		}
	}
	close(next)
	wg.Wait()
	if panicked != nil {
		panic(panicked)
	}
	if stopped != nil {
		errs = append([]error{stopped}, errs...)
	}
	return joinErrors(errs)
}
