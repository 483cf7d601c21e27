package config

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/cairncache/cairn/internal/suggest"
	"github.com/cairncache/cairn/store"
)

// Stores are the open stores of a Config, and those that the program has
// registered. The methods may be called concurrently.
//
// After Close all of them fail, with an error matching store.ErrClosed, but
// Names, which stays, All, which has none any more, and Close, which does
// nothing.
type Stores struct {
	config *Config // a copy, which does not change

	mu         sync.Mutex
	opened     map[string]*opened
	order      []*opened // of the Config, layers after what they are made of
	registered []*opened
	closed     bool
}

// errClosed is the error after Close.
var errClosed = fmt.Errorf("config: %w", store.ErrClosed)

// Open checks c and opens its stores, each once, also if it is a layer of
// several; none if c is Lazy. It connects to nothing: Ping does. If one cannot
// be opened, those before it are closed, in the order of Close.
//
// What is wrong with c matches store.ErrInvalid; the error tells where it
// stands in the file, and what would be right. A scheme that is not registered
// is such an error too, and says which package to import. What a backend
// refuses, such as a folder that cannot be made, matches what the error of its
// store does.
//
// The Stores have a copy of c, which may be changed and opened again. ctx is
// for the opening alone. The Stores must be closed.
func (c *Config) Open(ctx context.Context) (*Stores, error) {
	if err := store.Check(ctx, "open"); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Stores{config: c.clone(), opened: make(map[string]*opened)}
	if c.Lazy {
		return s, nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.Stores)) {
		if _, err := s.open(ctx, name); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// clone is a copy that shares nothing which can be changed.
func (c *Config) clone() *Config {
	d := *c
	d.Stores, d.Regions = make(map[string]Store, len(c.Stores)), maps.Clone(c.Regions)
	for name, st := range c.Stores {
		st.Layers = slices.Clone(st.Layers)
		d.Stores[name] = st
	}
	return &d
}

// Store returns the store of that name. It stays the property of s, and must
// not be closed but by Close of s. Of a Lazy Config it is opened at its first
// use, by one of those who ask at the same time, with the errors of Open; after
// a failure the next who asks tries again.
//
// A store that is a near layer of others is seen through a view here, with keys
// of its own: what is written to it is not in those layers. They share its room,
// and what is written here may go at any time: where room is needed, with each
// Clear of those layers, and when they are opened. Unwrap (store.Wrapper) leads
// to what was opened, for its statistics.
//
// A name that there is not matches store.ErrInvalid.
func (s *Stores) Store(name string) (store.Store, error) {
	o, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return o.view, nil
}

func (s *Stores) find(name string) (*opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open(context.Background(), name)
}

// Default returns the store that Config.Default names, or else the only one
// that is no layer of another, as Store does. What is registered is never the
// default.
func (s *Stores) Default() (store.Store, error) {
	return s.Store(s.config.DefaultName())
}

// Names returns the names of all stores, open or not, in alphabetical order.
func (s *Stores) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names()
}

// names is Names. s.mu is held.
func (s *Stores) names() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(s.config.Stores)), maps.Keys(s.opened))
	slices.Sort(names)
	return slices.Compact(names)
}

// All returns the stores that are open, as Store does, by name and in
// alphabetical order. It opens none, so that of a Lazy Config it has those in
// use. What is opened or closed during the iteration is not seen.
func (s *Stores) All() iter.Seq2[string, store.Store] {
	return func(yield func(string, store.Store) bool) {
		s.mu.Lock()
		opened := slices.Concat(s.order, s.registered)
		s.mu.Unlock()
		slices.SortFunc(opened, byName)
		for _, o := range opened {
			if !yield(o.name, o.view) {
				return
			}
		}
	}
}

// Register adds a store that the program has made, so that ClearAll, Ping and
// Close have it among the others. It is closed with them, before them: it may
// be made of them. If Register fails, with an error matching store.ErrInvalid
// for a name that is empty or taken, and for a store that is nil, the store
// remains the caller's. Layers and regions of the Config cannot name it.
func (s *Stores) Register(name string, st store.Store) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, configured := s.config.Stores[name]
	_, registered := s.opened[name]
	problem := ""
	switch {
	case s.closed:
		return errClosed
	case name == "":
		problem = "the name is empty"
	case st == nil:
		problem = "the store is nil"
	case configured:
		problem = "the configuration has a store of that name; choose another"
	case registered:
		problem = "a store of that name is registered already; choose another"
	}
	if problem != "" {
		return new(Config).errorf("", "register %q: %s", name, problem)
	}
	o := &opened{name: name, store: st, view: st}
	s.opened[name] = o
	s.registered = append(s.registered, o)
	return nil
}

// unknown is the error for a name that there is not. s.mu is held.
func (s *Stores) unknown(name string) error {
	names := s.names()
	there := "there are none"
	if len(names) > 0 {
		there = "there are: " + list(names)
	}
	return new(Config).errorf("", "no store named %q (%s%s)", name, suggest.DidYouMean(name, names), there)
}
