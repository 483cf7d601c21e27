package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
)

// opened is a store that is open.
type opened struct {
	name   string
	store  store.Store      // the whole
	view   store.Store      // what the program sees of it
	levels []*layered.Store // of layers, the nearest first

	scheme, prefix string // of the URL; empty for layers, and for what is registered
	ttl            time.Duration
}

func byName(a, b *opened) int { return strings.Compare(a.name, b.name) }

// close closes the store, but of layers not what they are made of.
func (o *opened) close() error {
	if len(o.levels) == 0 {
		return store.Close(o.store)
	}
	var errs []error
	for _, level := range o.levels {
		errs = append(errs, level.Close())
	}
	return errors.Join(errs...)
}

// open returns the store of that name, and opens it if it is not open yet. s.mu
// is held, or nobody else has s.
func (s *Stores) open(ctx context.Context, name string) (*opened, error) {
	if s.closed {
		return nil, errClosed
	}
	if o, ok := s.opened[name]; ok {
		return o, nil
	}
	d, ok := s.config.Stores[name]
	if !ok {
		return nil, s.unknown(name)
	}
	openNew := s.openURL
	if len(d.Layers) > 0 {
		openNew = s.openLayers
	}
	o, err := openNew(ctx, name, d)
	if err != nil {
		return nil, err
	}
	o.name, o.view = name, o.store
	if len(s.config.nearIn(name)) > 0 {
		o.view = store.Prefix(o.store, viewPrefix(""))
	}
	s.opened[name] = o
	s.order = append(s.order, o)
	return o, nil
}

func (s *Stores) openURL(ctx context.Context, name string, d Store) (*opened, error) {
	u, err := s.config.parseURL(name, d)
	if err != nil {
		return nil, err
	}
	st, err := store.OpenURL(ctx, u)
	if err == nil && st == nil {
		err = fmt.Errorf("the package of the scheme %s has opened no store, and says no reason", u.Scheme)
	}
	if err != nil {
		return nil, s.config.urlError(inside("stores", name+".url"), d.URL, err)
	}
	if len(u.Layers()) > 0 {
		st = store.Prefix(st, d.Prefix)
	}
	return &opened{store: st, scheme: u.Scheme, prefix: u.Text("prefix"), ttl: u.Duration("ttl")}, nil
}

// parseURL returns the URL of a store with what is said beside it.
func (c *Config) parseURL(name string, d Store) (*store.URL, error) {
	u, err := store.ParseURL(d.URL)
	if err == nil && d.Prefix != "" && len(u.Layers()) == 0 { // which have none
		err = u.Add("prefix", d.Prefix)
	}
	if err == nil && d.TTL != 0 {
		err = u.Add("ttl", d.TTL.String())
	}
	if err != nil {
		return nil, c.urlError(inside("stores", name+".url"), d.URL, err)
	}
	return u, nil
}

// nearIn returns the names of the stores of which name is a near layer, any but
// the last.
func (c *Config) nearIn(name string) []string {
	var names []string
	for other, d := range c.Stores {
		if i := slices.Index(d.Layers, name); i >= 0 && i < len(d.Layers)-1 {
			names = append(names, other)
		}
	}
	return names
}
