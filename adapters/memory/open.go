package memory

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/cairncache/cairn/store"
)

func init() { store.Register("memory", open) }

// open opens memory:?max_entries=…&max_bytes=…&policy=…&ttl=…&prefix=…
func open(_ context.Context, u *store.URL) (store.Store, error) {
	u.NoAddress()
	o := &Options{
		MaxEntries: u.Int("max_entries"),
		MaxBytes:   u.Size("max_bytes"),
		TTL:        u.Duration("ttl"),
	}
	policy, badPolicy := policy(u)
	o.Policy = policy
	prefix := u.Text("prefix")
	if err := cmp.Or(u.Err(), badPolicy); err != nil {
		return nil, err
	}
	switch {
	case u.Has("max_entries") && o.MaxEntries == 0:
		return nil, u.Errorf("max_entries: 0 would hold nothing; leave it out for the default")
	case u.Has("max_bytes") && o.MaxBytes == 0:
		return nil, u.Errorf("max_bytes: 0 would hold nothing; leave it out for no bound in bytes")
	}
	s, err := New(o)
	if err != nil {
		return nil, u.Errorf("%w", errors.Unwrap(err))
	}
	if prefix != "" {
		return store.Prefix(s, prefix), nil
	}
	return s, nil
}

// policy takes the names of the constants in any case.
func policy(u *store.URL) (Policy, error) {
	name := u.Text("policy")
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
