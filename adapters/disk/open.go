package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/cairncache/cairn/store"
)

func init() { store.Register("disk", open) }

// open opens disk:path or disk:?name=…, with the parameters max_bytes, fsync,
// prefix and ttl. Unlike other openers it needs its backend: the folder.
func open(_ context.Context, u *store.URL) (store.Store, error) {
	name := u.Text("name")
	o := &Options{MaxBytes: u.Size("max_bytes"), Fsync: u.Bool("fsync"), Prefix: u.Text("prefix"), TTL: u.Duration("ttl")}
	if err := u.Err(); err != nil {
		return nil, err
	}
	if u.Has("max_bytes") && o.MaxBytes == 0 {
		return nil, u.Errorf("max_bytes: 0 would hold nothing; leave it out for no bound")
	}
	path, err := pathOf(u, name)
	if err != nil {
		return nil, err
	}
	s, err := New(path, o)
	if err != nil {
		cause := errors.Unwrap(err)
		return nil, store.Errorf("open", u.String(), cause, "%w", cause)
	}
	return s, nil
}

func pathOf(u *store.URL, name string) (string, error) {
	switch {
	case len(u.Hosts) > 0 || u.Username != "" || u.Password != "":
		rest := strings.Join(u.Hosts, ",") + u.Path
		return "", u.Errorf("after two slashes comes a host, and a folder has none; write disk:%s, or disk:///%s if it begins at the root", rest, rest)
	case u.Path != "" && name != "":
		return "", u.Errorf("a path and name= are two places; leave out one of them")
	case u.Path != "" && strings.HasPrefix(u.Path, "~"):
		return "", u.Errorf("~ does not stand for your home here; write the path in full, or disk:?name=app for a folder below the user's cache")
	case u.Path != "":
		return u.Path, nil
	case name == "":
		return "", u.Errorf("the folder is missing; write disk:./cache, disk:///var/cache/app, or disk:?name=app for one below the user's cache")
	case strings.ContainsAny(name, `/\`) || !filepath.IsLocal(name) || name == ".":
		return "", u.Errorf("name: is not one of a folder; write the path before the ? instead")
	}
	parent, err := os.UserCacheDir()
	if err != nil {
		return "", u.Errorf("name: there is no folder for caches: %w; write a path, such as disk:///var/cache/app", err)
	}
	return filepath.Join(parent, name), nil
}
