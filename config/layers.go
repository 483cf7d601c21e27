package config

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
)

// openLayers makes a store of others: each but the last is the L1 of the rest.
func (s *Stores) openLayers(ctx context.Context, name string, d Store) (*opened, error) {
	layers := make([]*opened, len(d.Layers))
	for i, layer := range d.Layers {
		var err error
		if layers[i], err = s.open(ctx, layer); err != nil {
			return nil, err
		}
	}
	options, err := d.layeredOptions()
	if err != nil {
		return nil, err
	}
	if err := s.config.checkLayers(name, d, layers); err != nil {
		return nil, err
	}
	o := new(opened)
	far := layers[len(layers)-1].view
	for i := len(layers) - 2; i >= 0; i-- {
		level := *options
		if ttl := layers[i].ttl; ttl > 0 {
			level.MaxTTL = min(ttl, cmp.Or(options.MaxTTL, ttl))
		}
		l, err := layered.New(s.config.near(name, layers[i]), far, &level)
		if err != nil {
			o.close() // nobody has used it
			return nil, s.config.errorf(inside("stores", name), "%w", reason(err))
		}
		o.levels = slices.Insert(o.levels, 0, l)
		far = l
	}
	o.store = store.Prefix(far, d.Prefix)
	return o, nil
}

// layeredOptions returns what is said for all levels. check has read it
// already.
func (d *Store) layeredOptions() (*layered.Options, error) {
	coherence, err1 := layered.ParseCoherence(cmp.Or(d.Coherence, "watch"))
	degraded, err2 := layered.ParseDegraded(cmp.Or(d.Degraded, "fail"))
	return &layered.Options{Coherence: coherence, Timeout: d.Timeout, MaxTTL: d.MaxTTL, Degraded: degraded}, cmp.Or(err1, err2)
}

// checkLayers finds what can be known only of open stores, and says it in the
// words of a configuration.
func (c *Config) checkLayers(name string, d Store, layers []*opened) error {
	path, last := inside("stores", name), len(layers)-1
	for i, layer := range layers[:last] {
		if !store.Supports[store.LiveStore](layer.store) {
			return c.errorf(fmt.Sprintf("%s.layers[%d]", path, i), "%q does not keep its entries in the process, and would be cleared; layers are written nearest first, as in [memory, redis]", layer.name)
		}
	}
	watches := strings.HasPrefix(cmp.Or(d.Coherence, "watch"), "watch")
	if watches && !store.Supports[store.WatchStore](layers[last].store) {
		return c.errorf(inside(path, "coherence"), "the last layer, %q, tells of no changes; say how old an answer of the others may be, as in bounded:5s", layers[last].name)
	}
	return nil
}

// near is a near layer as the store of that name sees it. What several use,
// they see through a view each: what one has of its far layer is no answer for
// another, nor for who uses the near layer by itself. A view costs time, so
// where nothing else in c names the near layer there is none.
func (c *Config) near(name string, layer *opened) store.Store {
	others := c.Default == layer.name
	for other, d := range c.Stores {
		others = others || other != name && slices.Contains(d.Layers, layer.name)
	}
	for _, r := range c.Regions {
		others = others || r.Store == layer.name
	}
	if !others {
		return layer.store
	}
	return store.Prefix(layer.store, viewPrefix(name))
}

// viewPrefix begins the keys that the store of that name has in a near layer,
// and with an empty name those of who uses it by itself. As nobody can guess it,
// no key of layers that have no view is in one.
func viewPrefix(name string) string { return "\x00" + process + name + "\x00" }

// process is different in each process, whose memory the near layers are.
var process = rand.Text()[:16]

// reason is an error of package layered without the name of the function that
// the program has not called.
func reason(err error) error {
	if e := (*store.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
