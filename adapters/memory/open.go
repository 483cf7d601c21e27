package memory

import (
	"context"
	"errors"

	"github.com/cairncache/cairn/store"
)

func init() { store.Register("memory", open) }

// open opens memory:?max_entries=…&max_bytes=…&ttl=…&prefix=…
func open(_ context.Context, u *store.URL) (store.Store, error) {
	u.NoAddress()
	o := &Options{
		MaxEntries: u.Int("max_entries"),
		MaxBytes:   u.Size("max_bytes"),
		TTL:        u.Duration("ttl"),
	}
	prefix := u.Text("prefix")
	if err := u.Err(); err != nil {
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
