package memory

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/cairncache/cairn/store"
)

const scheme = "memory"

func init() { store.Register(scheme, open) }

// open opens memory:?max_entries=…&max_bytes=…&policy=…&ttl=…&prefix=…
func open(_ context.Context, u *store.URL) (store.Store, error) {
	prefix := u.Text("prefix")
	o, err := options(u)
	if err != nil {
		return nil, err
	}
	s, err := New(o)
	if err != nil {
		return nil, u.Errorf("%w", errors.Unwrap(err))
	}
	return store.Prefix(s, prefix), nil
}

// ReconfigureURL gives the Store the options of a URL of the scheme memory, as
// Reconfigure does: what the URL leaves out becomes the default again. The
// hooks stay, which no URL has, and the parameter prefix does nothing, as it
// belongs to a view of the Store.
//
// A URL that could not be opened is ErrInvalid, and so is a value that cannot be
// encoded. Nothing has changed then.
func (s *Store) ReconfigureURL(u *store.URL) error {
	const op = "reconfigure"
	if u == nil {
		return store.Errorf(op, "", store.ErrInvalid, "the URL is nil; store.ParseURL makes one")
	}
	if u.Scheme != scheme {
		return u.Errorf("the store is one of the scheme %s, and cannot become another; open another store", scheme)
	}
	u.Text("prefix")
	o, err := options(u)
	if err == nil {
		o, err = o.complete(op)
	}
	if err != nil {
		return err
	}
	return s.reconfigure(op, func(before *Options) *Options {
		o.OnGet, o.OnSet, o.OnRemove = before.OnGet, before.OnSet, before.OnRemove
		return o
	})
}

// options reads all parameters but prefix.
func options(u *store.URL) (*Options, error) {
	u.NoAddress()
	o := &Options{
		MaxEntries: u.Int("max_entries"),
		MaxBytes:   u.Size("max_bytes"),
		TTL:        u.Duration("ttl"),
	}
	policy, badPolicy := policy(u)
	o.Policy = policy
	if err := cmp.Or(u.Err(), badPolicy); err != nil {
		return nil, err
	}
	switch {
	case u.Has("max_entries") && o.MaxEntries == 0:
		return nil, u.Errorf("max_entries: 0 would hold nothing; leave it out for the default")
	case u.Has("max_bytes") && o.MaxBytes == 0:
		return nil, u.Errorf("max_bytes: 0 would hold nothing; leave it out for no bound in bytes")
	}
	return o, nil
}

// policy takes the names of the constants in any case.
func policy(u *store.URL) (Policy, error) {
	name := u.Word("policy")
	if !u.Has("policy") {
		return TinyLFU, nil
	}
	var names []string
	for p := TinyLFU; p.Valid(); p++ {
		if strings.EqualFold(name, p.String()) {
			return p, nil
		}
		names = append(names, strings.ToLower(p.String()))
	}
	return 0, u.Errorf("policy: there is no %q; write one of %s", name, strings.Join(names, ", "))
}
