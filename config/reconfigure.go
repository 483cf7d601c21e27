package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cairncache/cairn/store"
)

// reconfigurer is a store that can change while it is in use and keep its
// entries, as *memory.Store can. It changes nothing if it returns an error.
type reconfigurer interface {
	ReconfigureURL(u *store.URL) error
}

// Reconfigure changes the options of a store while it is in use, to all that d
// says: what d leaves out becomes the default again. The entries stay, but for
// those that there is no room for any more, and whoever has the store goes on
// with it.
//
// A store of the scheme memory can change so, and one of another package whose
// store has a method ReconfigureURL(*store.URL) error. For others the error
// matches errors.ErrUnsupported, and says what to do instead; so it does for
// another scheme or prefix, under which the entries would not be found, for
// layers, and for the ttl of a near layer, which bounds what its layers keep. A
// d that makes no sense and a name that there is not match store.ErrInvalid.
// After an error nothing has changed. A store that was not open yet is opened
// first, as it was.
func (s *Stores) Reconfigure(name string, d Store) error {
	o, err := s.find(name)
	if err != nil {
		return err
	}
	if _, ok := s.config.Stores[name]; !ok {
		return unsupported(name, "the program has registered it, and can reconfigure it there")
	}
	next := s.config.clone()
	next.source = source{} // d stands in no file
	next.Stores[name] = d
	if err := next.check(); err != nil {
		return err
	}
	if len(d.Layers) > 0 || o.scheme == "" {
		return unsupported(name, "layers stay as they were opened; reconfigure one of them by its name, or close the stores and open them anew")
	}
	u, err := next.parseURL(name, d)
	if err != nil {
		return err
	}
	if problem := s.config.fixed(o, u); problem != "" {
		return unsupported(name, problem)
	}
	r, ok := unwrap[reconfigurer](o.store)
	if !ok {
		return unsupported(name, "a store of the scheme "+u.Scheme+" stays as it was opened; close the stores and open them anew")
	}
	err = r.ReconfigureURL(u)
	switch {
	case errors.Is(err, store.ErrInvalid):
		return next.urlError(inside("stores", name+".url"), d.URL, err)
	case err != nil:
		return fmt.Errorf("config: reconfigure stores.%s: %w", name, err)
	}
	return nil
}

// fixed says what u would change that cannot change while o is open, or "".
func (c *Config) fixed(o *opened, u *store.URL) string {
	nearIn := c.nearIn(o.name)
	slices.Sort(nearIn)
	switch {
	case u.Scheme != o.scheme:
		return fmt.Sprintf("it is of the scheme %s, and cannot become one of %s; close the stores and open them anew", o.scheme, u.Scheme)
	case u.Text("prefix") != o.prefix:
		return "with another prefix its entries would not be found; close the stores and open them anew"
	case len(nearIn) > 0 && u.Duration("ttl") != o.ttl:
		return fmt.Sprintf("its ttl bounds what %s keeps in it, and stays; close the stores and open them anew", strings.Join(nearIn, ", "))
	}
	return ""
}

func unsupported(name, what string) error {
	return fmt.Errorf("config: reconfigure stores.%s: %w: %s", name, errors.ErrUnsupported, what)
}

// unwrap returns the first that is a T of s and what it wraps.
func unwrap[T any](s store.Store) (T, bool) {
	for {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(store.Wrapper)
		if !ok {
			var none T
			return none, false
		}
		s = w.Unwrap()
	}
}
