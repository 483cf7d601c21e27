package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cairncache/cairn/store"
)

const (
	folderMode = 0o700
	fileMode   = 0o600
)

// tag marks a folder as one of ours, and tells programs that back up or clean
// that a cache is in it: see https://bford.info/cachedir/.
const (
	tagName = "CACHEDIR.TAG"
	tag     = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of Cairn (https://github.com/cairncache/cairn).\n"
)

// A folder is the root of a Store. Everything is done below it, which os.Root
// sees to.
type folder struct {
	*os.Root
	checked [256]atomic.Bool // by shard: that it is a folder of our own
	fresh   bool             // it was empty when it was opened
}

// errForeign is something in the way that is not ours.
var errForeign = errors.New("refused")

var (
	errRemoved     = errors.New("the folder was removed; open the store again")
	errUnsupported = fmt.Errorf("%w: files cannot be locked on this system", errors.ErrUnsupported)
)

func openFolder(path string) (*folder, error) {
	switch {
	case !supported:
		return nil, errUnsupported
	case path == "":
		return nil, fmt.Errorf("%w: the path is empty", errForeign)
	}
	path = filepath.Clean(path) // a slash at the end would follow a link
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err == nil {
		err = ownFolder(path, info)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	f := &folder{Root: root}
	if err := f.claim(info); err != nil {
		root.Close()
		return nil, err
	}
	return f, nil
}

// ownFolder is an error unless info is of a folder, and no link to one, that
// belongs to this user.
func ownFolder(path string, info fs.FileInfo) error {
	switch {
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a folder but a %s; remove it or name another path", errForeign, path, kindOfFile(info))
	case !isOwn(info):
		return fmt.Errorf("%w: %s belongs to another user", errForeign, path)
	}
	return nil
}

// ownFile is likewise for a file.
func ownFile(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a file but a %s; remove it", errForeign, path, kindOfFile(info))
	case !isOwn(info):
		return fmt.Errorf("%w: %s belongs to another user", errForeign, path)
	}
	return nil
}

func kindOfFile(info fs.FileInfo) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return "symbolic link"
	case info.IsDir():
		return "folder"
	case info.Mode().IsRegular():
		return "file"
	}
	return "special file"
}

// claim takes an empty folder, or one that was taken before. seen is what was
// at its path before it was opened.
func (f *folder) claim(seen fs.FileInfo) error {
	info, err := f.Stat(".")
	if err != nil {
		return err
	}
	if !os.SameFile(info, seen) {
		return fmt.Errorf("%w: %s was replaced meanwhile", errForeign, f.Name())
	}
	content, err := f.readTag()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := f.claimEmpty(); err != nil {
			return err
		}
		f.fresh = true
	case err != nil:
		return err
	case content != tag:
		return fmt.Errorf("%w: %s in %s is not Cairn's; name another folder", errForeign, tagName, f.Name())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%w: others may enter %s; run chmod 700 on it", errForeign, f.Name())
	}
	return f.makeFolder(lockFolder)
}

func (f *folder) readTag() (string, error) {
	file, info, err := f.open(tagName)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := readUpTo(file, info.Size(), int64(len(tag))+1)
	return string(content), err
}

func (f *folder) claimEmpty() error {
	there, err := fs.ReadDir(f.FS(), ".")
	if err != nil {
		return err
	}
	for _, one := range there {
		// Another process may be claiming it too.
		if name := one.Name(); name != tagName && name != lockFolder && name != usageName && name != sweepName && !isTemporary(name) {
			return fmt.Errorf("%w: %s has other things in it, such as %q; name another folder", errForeign, f.Name(), name)
		}
	}
	if err := f.Chmod(".", folderMode); err != nil {
		return err
	}
	return f.writeTag()
}

func (f *folder) writeTag() error {
	name, err := f.temporary(tagName, []byte(tag), false)
	if err != nil {
		return err
	}
	return f.rename(name, tagName)
}

// keepTag writes the tag of a folder that was claimed, if it was removed.
func (f *folder) keepTag() error {
	_, err := f.Lstat(tagName)
	if errors.Is(err, fs.ErrNotExist) {
		return f.writeTag()
	}
	return err
}

// makeFolder makes a folder unless there is one. It refuses anything else that
// is in the way.
func (f *folder) makeFolder(name string) error {
	if err := f.Mkdir(name, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := f.Lstat(name)
	if err != nil {
		return err
	}
	return ownFolder(name, info)
}

// checkShard refuses what is in the way of a shard, once. It says nothing of
// one that does not exist.
func (f *folder) checkShard(p place) error {
	if f.checked[p.shard].Load() {
		return nil
	}
	info, err := f.Lstat(p.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = ownFolder(p.folder(), info)
	}
	if err == nil {
		f.checked[p.shard].Store(true)
	}
	return err
}

// removed is an error if the folder has no name any more. In such a one
// nothing is found, which looks like a miss.
func (f *folder) removed() error {
	info, err := f.Stat(".")
	if err == nil && isRemoved(info) {
		err = errRemoved
	}
	return err
}

// orRemoved is err, or why it came if the folder has no name any more.
func (f *folder) orRemoved(err error) error {
	if e := f.removed(); e != nil {
		return e
	}
	return err
}

// missing is why there is no file at path: nil if it was not written or was
// removed, as usual.
func (f *folder) missing(path string) error {
	if err := f.removed(); err != nil {
		return err
	}
	if info, err := f.Lstat(path); err == nil { // a link to nothing, or written just now
		return ownFile(path, info)
	}
	return nil
}

// A place is where an entry is: a file named after its key, in one of 256
// shards.
type place struct {
	shard byte
	file  string
}

func (p place) folder() string { return hex.EncodeToString([]byte{p.shard}) }
func (p place) path() string   { return p.folder() + "/" + p.file }
func (p place) stripe() int    { return int(p.shard) % stripes }

// nameLen is the length of a place's file.
const nameLen = 38

// placeOf finds the place by a hash of which nobody can find two keys.
func placeOf(key string) place {
	sum := sha256.Sum256([]byte(key))
	return place{shard: sum[0], file: hex.EncodeToString(sum[1 : 1+nameLen/2])}
}

// kindOf is what a caller is told of an error.
func kindOf(err error) error {
	switch {
	case errors.Is(err, errForeign):
		return store.ErrInvalid
	case errors.Is(err, errors.ErrUnsupported) && !supported:
		return errors.ErrUnsupported
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return store.ErrUnavailable
}
