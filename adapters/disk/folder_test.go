package disk

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// Folders and files are for their owner alone.
func TestPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "cache")
	s := newStore(t, path, &Options{MaxBytes: 1 << 20})
	mustSet(t, s, "k", "v")
	wantErr(t, "sweep", s.sweepIfFree(t.Context()), nil)
	err := filepath.WalkDir(filepath.Dir(filepath.Dir(path)), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An empty folder is taken, whatever its mode was.
func TestTakesEmptyFolder(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	newStore(t, path+"/", nil)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("Stat = %v, %v", info, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(path string) error
		text    string
	}{
		"a link to a folder": {func(path string) error {
			return os.Symlink(t.TempDir(), path)
		}, "not a folder but a symbolic link"},
		"a file": {func(path string) error {
			return os.WriteFile(path, nil, 0o600)
		}, "not a folder but a file"},
		"a folder with other things": {func(path string) error {
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(path, "thesis.txt"), nil, 0o600)
		}, "has other things in it"},
		"another program's cache": {func(path string) error {
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(path, tagName), []byte(tag[:43]+"\n"), 0o600)
		}, "is not Cairn's"},
		"a pipe as the tag": {func(path string) error {
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			return makePipe(filepath.Join(path, tagName))
		}, "not a file but a special file"},
		"a folder that others may enter": {func(path string) error {
			s, err := New(path, nil)
			if err != nil {
				return err
			}
			s.Close()
			return os.Chmod(path, 0o750)
		}, "chmod 700"},
		"another owner's folder": {func(path string) error {
			if os.Geteuid() != 0 {
				return errNeedsRoot
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			return os.Chown(path, os.Geteuid()+1, -1)
		}, "belongs to another user"},
	} {
		path := newPath(t)
		switch err := c.prepare(path); err {
		case nil:
		case errNeedsRoot:
			t.Logf("%s: left out, as only root can prepare it", name)
			continue
		default:
			t.Fatal(err)
		}
		for _, path := range []string{path, path + "/"} {
			s, err := New(path, nil)
			if err == nil {
				s.Close()
			}
			wantErr(t, name, err, store.ErrInvalid)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v does not say %q", name, err, c.text)
			}
		}
	}
}

var errNeedsRoot = os.ErrPermission

func TestNewRefusesOptions(t *testing.T) {
	t.Parallel()
	for text, o := range map[string]*Options{
		"MaxBytes is negative":  {MaxBytes: -1},
		"TTL is negative":       {TTL: -1},
		"Prefix leaves no room": {Prefix: strings.Repeat("p", store.MaxKeyLen)},
		"the path is empty":     nil,
	} {
		_, err := New("", o)
		wantErr(t, text, err, store.ErrInvalid)
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%v does not say %q", err, text)
		}
	}
}

// Something in the way of an entry is refused, and what a link points to is
// neither read nor written.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	stolen := encode("k", []byte("stolen"), never)
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	for name, place := range map[string]func(path string) error{
		"link to a file outside":   link(outside),
		"link to nothing":          link("nothing"),
		"link to a folder outside": link(filepath.Dir(outside)),
		"folder":                   func(path string) error { return os.Mkdir(path, 0o700) },
		"file":                     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"pipe":                     makePipe,
		"another owner's file": func(path string) error {
			if err := os.WriteFile(path, encode("k", []byte("theirs"), never), 0o644); err != nil {
				return err
			}
			return os.Chown(path, os.Geteuid()+1, -1)
		},
	} {
		for _, inWayOf := range []string{"entry", "shard"} {
			mustWrite(t, outside, string(stolen))
			s := newStore(t, newPath(t), &Options{MaxBytes: 1 << 20})
			path := pathOfKey(s, "k")
			if name == "file" && inWayOf == "entry" || name == "folder" && inWayOf == "shard" {
				continue // is as it should be
			}
			if inWayOf == "shard" {
				path = filepath.Dir(path)
			} else if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := place(path); os.IsPermission(err) {
				t.Log("another owner's file: left out, as only root can give a file away")
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			what := name + " in the way of the " + inWayOf
			_, err := s.Get(t.Context(), "k")
			wantErr(t, what+": Get", err, store.ErrInvalid)
			wantErr(t, what+": Set", s.Set(t.Context(), "k", nil, 0), store.ErrInvalid)
			wantErr(t, what+": Delete", s.Delete(t.Context(), "k"), store.ErrInvalid)
			wantErr(t, what+": Touch", s.Touch(t.Context(), "k", 1), store.ErrInvalid)
			_, err = s.Add(t.Context(), "k", nil, 0)
			wantErr(t, what+": Add", err, store.ErrInvalid)
			if inWayOf == "entry" {
				wantErr(t, what+": sweep", s.sweepIfFree(t.Context()), nil)
				wantErr(t, what+": Clear", s.Clear(t.Context()), nil)
			}
			if !exists(path) {
				t.Errorf("%s: it was removed", what)
			}
			if b, err := os.ReadFile(outside); err != nil || string(b) != string(stolen) {
				t.Errorf("%s: what is outside has changed", what)
			}
			if n, _ := filepath.Glob(filepath.Join(filepath.Dir(outside), "*")); len(n) != 1 {
				t.Errorf("%s: outside is %q", what, n)
			}
			if _, temporary := filesIn(t, s.folder.Name()); temporary != 0 {
				t.Errorf("%s: %d temporary files are left", what, temporary)
			}
		}
	}
}

// A folder that is gone is an error, and not a miss: whoever loads on a miss
// would load again and again.
func TestRemovedFolder(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), &Options{MaxBytes: 1 << 20})
	mustSet(t, s, "k", "v")
	s.sweeper.stop() // or it makes the file of its lock again, while the folder is emptied
	if err := os.RemoveAll(s.folder.Name()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, err := s.Get(ctx, "k")
	wantErr(t, "Get", err, store.ErrUnavailable)
	_, err = s.TTL(ctx, "k")
	wantErr(t, "TTL", err, store.ErrUnavailable)
	_, err = s.GetMany(ctx, []string{"k", "other"})
	wantErr(t, "GetMany", err, store.ErrUnavailable)
	wantErr(t, "Set", s.Set(ctx, "k", []byte("v"), 0), store.ErrUnavailable)
	wantErr(t, "Delete", s.Delete(ctx, "k"), store.ErrUnavailable)
	wantErr(t, "Touch", s.Touch(ctx, "k", 0), store.ErrUnavailable)
	wantErr(t, "Clear", s.Clear(ctx), store.ErrUnavailable)
	_, err = s.Add(ctx, "k", nil, 0)
	wantErr(t, "Add", err, store.ErrUnavailable)
	for _, err = range s.Keys(ctx, "") {
		wantErr(t, "Keys", err, store.ErrUnavailable)
	}
	if err := s.sweepIfFree(ctx); err == nil {
		t.Error("a sweep succeeds")
	}
	wantErr(t, "Close", s.Close(), nil)
}

// A shard that is gone is made again.
func TestRemovedShard(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), nil)
	mustSet(t, s, "k", "v")
	if err := os.RemoveAll(filepath.Dir(pathOfKey(s, "k"))); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, s, "k")
	mustSet(t, s, "k", "w")
	wantValue(t, s, "k", "w")
}

// A folder that becomes read-only is still read.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 && dropPrivileges() != nil {
		t.Skip("root may write everywhere; TestFileSystemRefuses has a mount that is read-only")
	}
	s := newStore(t, newPath(t), nil)
	mustSet(t, s, "k", "v")
	shard := filepath.Dir(pathOfKey(s, "k"))
	if err := os.Chmod(shard, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(shard, 0o700)
	wantErr(t, "Set", s.Set(t.Context(), "k", []byte("new"), 0), store.ErrUnavailable)
	wantErr(t, "Delete", s.Delete(t.Context(), "k"), store.ErrUnavailable)
	wantErr(t, "Touch", s.Touch(t.Context(), "k", 1), store.ErrUnavailable)
	wantErr(t, "Clear", s.Clear(t.Context()), store.ErrUnavailable)
	wantValue(t, s, "k", "v")
	if s.Stats().Bytes != sizeOf(t, s.folder.Name()) {
		t.Errorf("Stats says %d bytes", s.Stats().Bytes)
	}
}
