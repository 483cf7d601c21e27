package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cairncache/cairn/store"
)

// ClearAll clears all stores, those as well that are not open yet, each as
// store.Clear does: those that were registered first, then layers after what
// they are made of, and near layers last, so that nothing which was stored
// before comes back from a layer beyond. One that cannot be cleared, or opened,
// does not stop the others; the error joins one for each such store, with its
// name. They match what the errors of the stores do: errors.ErrUnsupported where
// a store can neither clear nor list its keys, unless it is layers of which the
// last has been cleared. When ctx ends, what is not cleared yet stays.
func (s *Stores) ClearAll(ctx context.Context) error {
	stores, errs := s.all(ctx, "clear")
	slices.SortStableFunc(stores, func(a, b *opened) int {
		return cmp.Compare(s.config.clearedIn(a.name), s.config.clearedIn(b.name))
	})
	cleared := make(map[string]bool)
	for _, o := range stores {
		err := o.clear(ctx)
		if layers := s.config.Stores[o.name].Layers; len(layers) > 0 && cleared[layers[len(layers)-1]] && errors.Is(err, errors.ErrUnsupported) {
			err = nil // the layers have no entries but those of the last
		}
		cleared[o.name] = err == nil
		errs = append(errs, o.named(err))
	}
	return errors.Join(errs...)
}

// clearedIn is which stores ClearAll clears before others.
func (c *Config) clearedIn(name string) (turn int) {
	if _, configured := c.Stores[name]; !configured {
		return 0
	}
	if len(c.nearIn(name)) == 0 {
		return 1
	}
	return 2
}

// clear clears the store. All that layers are made of is cleared anyway, so they
// are cleared without their prefix, the view of which cannot clear what has no
// list of its keys. But a Redis without a prefix of its own lets itself be
// cleared by the keys of the view alone.
func (o *opened) clear(ctx context.Context) error {
	if len(o.levels) > 0 {
		if err := store.Clear(ctx, o.levels[0]); !errors.Is(err, store.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return store.Clear(ctx, o.store)
}

// Ping asks all stores at once for a sign of life, those as well that are not
// open yet, each as store.Ping does. The error joins one for each store that
// does not answer, or cannot be opened, with its name; it matches what the
// errors of the stores do, store.ErrUnavailable for most. Ping returns when all
// have answered, or ctx ends.
func (s *Stores) Ping(ctx context.Context) error {
	opened, errs := s.all(ctx, "ping")
	slices.SortFunc(opened, byName)
	pings := make([]error, len(opened))
	var wg sync.WaitGroup
	for i, o := range opened {
		wg.Go(func() { pings[i] = o.named(store.Ping(ctx, o.store)) })
	}
	wg.Wait()
	return errors.Join(append(errs, pings...)...)
}

// all opens what is not open yet and returns all that is open, layers after
// what they are made of, and then what is registered.
func (s *Stores) all(ctx context.Context, op string) ([]*opened, []error) {
	if err := store.Check(ctx, op); err != nil {
		return nil, []error{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, []error{errClosed}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.config.Stores)) {
		if _, err := s.open(ctx, name); err != nil {
			errs = append(errs, err)
		}
	}
	return slices.Concat(s.order, s.registered), errs
}

// Close closes all stores, each once: those that were registered first, then
// layers before what they are made of. It closes the others although one fails;
// the error joins one for each that did, with its name. A second Close does
// nothing and returns nil. Who calls Store meanwhile gets an error, and whoever
// has a store gets store.ErrClosed of it.
func (s *Stores) Close() error {
	s.mu.Lock()
	order := slices.Concat(s.order, s.registered)
	s.order, s.registered, s.closed = nil, nil, true
	s.mu.Unlock()
	var errs []error
	for _, o := range slices.Backward(order) {
		errs = append(errs, o.named(o.close()))
	}
	return errors.Join(errs...)
}

// named is err with the name of the store, or nil.
func (o *opened) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("config: stores.%s: %w", o.name, err)
}
