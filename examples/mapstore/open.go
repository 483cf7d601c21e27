package mapstore

import (
	"context"

	"github.com/cairncache/cairn/store"
)

// What is claimed is pinned, so that a misspelt signature does not compile. One
// line for each ability would follow, such as store.AddStore.
var _ store.Store = (*Store)(nil)

func init() { store.Register("map", open) }

// open makes a Store from "map:" and the parameters that every scheme takes.
func open(_ context.Context, u *store.URL) (store.Store, error) {
	u.NoAddress()
	prefix := u.Text("prefix")
	ttl := u.Duration("ttl")
	if err := u.Err(); err != nil {
		return nil, err
	}
	if ttl != 0 {
		return nil, u.Errorf("ttl: a map has no default ttl; give each Set its own")
	}
	return store.Prefix(New(), prefix), nil
}
