package disk

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairncache/cairn/store"
)

// Links that appear in an open folder are not followed: what they point to is
// neither read nor changed, and whoever comes upon one is told.
func TestPlantedLinks(t *testing.T) {
	t.Parallel()
	in := func(name string) func(*Store) string {
		return func(s *Store) string { return filepath.Join(s.folder.Name(), name) }
	}
	for name, c := range map[string]struct {
		at       func(*Store) string // where the link appears
		toFolder bool
		get, set error // of a key that was not used yet; Get misses if it does not fail
		again    error // of Set, if the key was used before
		open     error // of New
	}{
		"an entry": {
			at:  func(s *Store) string { return pathOfKey(s, "k") },
			get: store.ErrInvalid, set: store.ErrInvalid, again: store.ErrInvalid,
		},
		"a shard": {
			at: func(s *Store) string { return filepath.Dir(pathOfKey(s, "k")) }, toFolder: true,
			get: store.ErrInvalid, set: store.ErrInvalid, again: store.ErrInvalid,
		},
		"a stripe's lock": {
			at: func(s *Store) string {
				p, _ := s.placeOf("k")
				return filepath.Join(s.folder.Name(), s.locks[p.stripe()].path)
			},
			set: store.ErrInvalid, again: store.ErrInvalid, // as the one that is open was removed
		},
		"the locks":        {at: in(lockFolder), toFolder: true, set: store.ErrInvalid, again: store.ErrInvalid, open: store.ErrInvalid},
		"the sweep's lock": {at: in(sweepName), open: store.ErrInvalid},
		"the counts":       {at: in(usageName), set: store.ErrInvalid, again: store.ErrInvalid, open: store.ErrInvalid},
		"the tag":          {at: in(tagName), open: store.ErrInvalid},
	} {
		for _, used := range []bool{false, true} {
			what := fmt.Sprintf("%s is a link, used before: %v", name, used)
			outside, s := t.TempDir(), newStore(t, newPath(t), &Options{MaxBytes: 1 << 20})
			if used {
				mustSet(t, s, "k", "v")
				c.set = c.again
			}
			s.sweeper.stop() // or it makes the file of its lock again, before the link is there
			plantLink(t, c.at(s), outside, c.toFolder)
			before := listOf(t, outside)

			value, err := s.Get(t.Context(), "k")
			switch {
			case c.get != nil:
				wantErr(t, what+": Get", err, c.get)
			case used && (string(value) != "v" || err != nil) || !used && err != store.ErrNotFound:
				t.Errorf("%s: Get = %q, %v", what, value, err)
			}
			wantErr(t, what+": Set", s.Set(t.Context(), "k", []byte("new"), 0), c.set)
			_ = s.Delete(t.Context(), "k")
			_ = s.sweepIfFree(t.Context())
			_ = s.evictTo(t.Context(), 0)
			_ = s.Clear(t.Context())
			second, err := New(s.folder.Name(), nil)
			if err == nil {
				second.Close()
			}
			wantErr(t, what+": New", err, c.open)
			if after := listOf(t, outside); after != before {
				t.Errorf("%s: outside was\n%sand is\n%s", what, before, after)
			}
		}
	}
}

// plantLink puts a link in the place of what is at path. It points to a file
// of the entry "k", or a folder with one.
func plantLink(t *testing.T, path, outside string, toFolder bool) {
	t.Helper()
	p, target := placeOf("k"), filepath.Join(outside, "target")
	file := target
	if toFolder {
		file = filepath.Join(target, p.file)
	}
	for _, folder := range []string{filepath.Dir(file), filepath.Dir(path)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, file, string(encode("k", []byte("stolen"), never)))
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// listOf is all that there is to be seen of what is in a folder.
func listOf(t *testing.T, path string) (list string) {
	t.Helper()
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			list += fmt.Sprintln(path, info.Mode(), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A link to what is inside, but not where it belongs, is at best a miss.
func TestPlantedLinkInside(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), nil)
	mustSet(t, s, "k", "v")
	mustSet(t, s, "other", "of another key")
	if err := os.Remove(pathOfKey(s, "k")); err != nil {
		t.Fatal(err)
	}
	to, err := filepath.Rel(filepath.Dir(pathOfKey(s, "k")), pathOfKey(s, "other"))
	if err == nil {
		err = os.Symlink(to, pathOfKey(s, "k"))
	}
	if err != nil {
		t.Fatal(err)
	}
	wantMiss(t, s, "k")
	wantErr(t, "Set", s.Set(t.Context(), "k", nil, 0), store.ErrInvalid)
	wantErr(t, "Delete", s.Delete(t.Context(), "k"), store.ErrInvalid)
	wantValue(t, s, "other", "of another key")
}

// A link to an entry, or to a file that would be one, is not taken for a file
// that processes share.
func TestPlantedLinkToEntry(t *testing.T) {
	t.Parallel()
	p, _ := (&Store{}).placeOf("other")
	for name, open := range map[string]error{
		usageName: store.ErrInvalid,
		sweepName: store.ErrInvalid,
		fmt.Sprintf("%s/%02d", lockFolder, p.stripe()): nil, // New opens none
	} {
		for _, there := range []bool{true, false} {
			s := newStore(t, newPath(t), nil)
			target := pathOfKey(s, "k")
			mustSet(t, s, "k", "v")
			if !there {
				target += "0"
			}
			path := filepath.Join(s.folder.Name(), name)
			to, err := filepath.Rel(filepath.Dir(path), target)
			wantErr(t, "Rel", err, nil)
			s.sweeper.stop()    // or it makes the file of its lock again, before the link is there
			_ = os.Remove(path) // a lock was not made yet
			wantErr(t, "Symlink", os.Symlink(to, path), nil)

			second, err := New(s.folder.Name(), nil)
			wantErr(t, name+": New", err, open)
			if err == nil {
				wantErr(t, name+": Set", second.Set(t.Context(), "other", nil, 0), store.ErrInvalid)
				second.Close()
			}
			wantValue(t, s, "k", "v")
			if exists(target) != there {
				t.Errorf("%s: what it points to was there: %v", name, there)
			}
		}
	}
}
