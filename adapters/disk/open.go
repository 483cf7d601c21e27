package disk

import (
	"cmp"
	"context"
	"errors"

	"github.com/cairncache/cairn/internal/diskurl"
	"github.com/cairncache/cairn/store"
)

func init() { store.Register("disk", open) }

// open opens disk:path or disk:?name=…, with the parameters max_bytes, fsync,
// prefix and ttl. Unlike other openers it needs its backend: the folder.
func open(_ context.Context, u *store.URL) (store.Store, error) {
	folder, err := diskurl.Folder(u)
	o := &Options{MaxBytes: u.Size("max_bytes"), Fsync: u.Bool("fsync"), Prefix: u.Text("prefix"), TTL: u.Duration("ttl")}
	if err := cmp.Or(u.Err(), err); err != nil {
		return nil, err
	}
	if u.Has("max_bytes") && o.MaxBytes == 0 {
		return nil, u.Errorf("max_bytes: 0 would hold nothing; leave it out for no bound")
	}
	s, err := New(folder, o)
	if err != nil {
		cause := errors.Unwrap(err)
		return nil, store.Errorf("open", u.String(), cause, "%w", cause)
	}
	return s, nil
}
