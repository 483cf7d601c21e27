// Package diskurl knows which folder a URL of adapters/disk means.
package diskurl

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/cairncache/cairn/store"
)

// Folder is the folder of disk:path, or of disk:?name=…, which is below the
// user's folder for caches. What is no such URL matches store.ErrInvalid. The
// folder need not be there.
func Folder(u *store.URL) (string, error) {
	name := u.Text("name")
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
