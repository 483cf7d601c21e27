//go:build darwin || linux

package disk

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/cairncache/cairn/store"
)

const limitVar = "CAIRN_DISK_LIMIT"

// The test runs in a process of its own, which it deprives of what the system
// lets everybody do without. It needs no privileges and no mount.
func TestSystemRefuses(t *testing.T) {
	if path := os.Getenv(limitVar); path != "" {
		s := newStore(t, path, nil)
		t.Run("LargeFiles", func(t *testing.T) { testLargeFilesRefused(t, s) })
		t.Run("MoreFiles", func(t *testing.T) { testMoreFilesRefused(t, s) })
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSystemRefuses$", "-test.v")
	cmd.Env = append(os.Environ(), limitVar+"="+newPath(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A file may have so many bytes and no more: a write ends in its midst, as on
// a disk that fills up.
func testLargeFilesRefused(t *testing.T, s *Store) {
	const most = 10_000
	ctx := t.Context()
	old := strings.Repeat("old", 100)
	mustSet(t, s, "k", old)
	setLimit(t, syscall.RLIMIT_FSIZE, most)
	large := make([]byte, 2*most)
	for range 3 {
		wantErr(t, "Set", s.Set(ctx, "k", large, 0), store.ErrUnavailable)
		wantErr(t, "Set", s.Set(ctx, "k", large, 0), syscall.EFBIG)
		swapped, err := s.CompareAndSwap(ctx, "k", []byte(old), large, 0)
		wantErr(t, "CompareAndSwap", err, store.ErrUnavailable)
		added, err := s.Add(ctx, "new", large, 0)
		wantErr(t, "Add", err, store.ErrUnavailable)
		if swapped || added {
			t.Error("a write is said to have succeeded")
		}
	}
	wantValue(t, s, "k", old)
	wantMiss(t, s, "new")
	mustSet(t, s, "small", old)
	wantNothingLeft(t, s)
}

// No more files can be opened: that is no miss, and nothing is removed.
func testMoreFilesRefused(t *testing.T, s *Store) {
	ctx := t.Context()
	mustSet(t, s, "k", "v")
	setLimit(t, syscall.RLIMIT_NOFILE, 100)
	var all []*os.File
	for {
		file, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		all = append(all, file)
	}
	for range 3 {
		_, err := s.Get(ctx, "k")
		wantErr(t, "Get", err, store.ErrUnavailable)
		wantErr(t, "Set", s.Set(ctx, "k", []byte("w"), 0), syscall.EMFILE)
		wantErr(t, "Set", s.Set(ctx, "new", []byte("w"), 0), store.ErrUnavailable)
		wantErr(t, "Delete", s.Delete(ctx, "k"), store.ErrUnavailable)
		wantErr(t, "Touch", s.Touch(ctx, "k", 1), store.ErrUnavailable)
		wantErr(t, "Clear", s.Clear(ctx), store.ErrUnavailable)
		if s.sweepIfFree(ctx) == nil {
			t.Error("a sweep has succeeded")
		}
		_, err = New(s.folder.Name(), nil)
		wantErr(t, "New", err, store.ErrUnavailable)
	}
	for _, file := range all {
		file.Close()
	}
	wantValue(t, s, "k", "v")
	mustSet(t, s, "k", "w")
	wantErr(t, "sweep", s.sweepIfFree(context.Background()), nil)
	wantNothingLeft(t, s)
}

func setLimit(t *testing.T, what int, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(what, &limit); err != nil {
		t.Fatal(err)
	}
	old := limit
	limit.Cur = n
	if err := syscall.Setrlimit(what, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(what, &old) })
}

// wantNothingLeft checks that no write has left a file behind, or a count.
func wantNothingLeft(t *testing.T, s *Store) {
	t.Helper()
	path := s.folder.Name()
	if _, temporary := filesIn(t, path); temporary != 0 {
		t.Errorf("%d temporary files are left", temporary)
	}
	if got := s.Stats(); got.Bytes != sizeOf(t, path) || got.Damaged != 0 {
		t.Errorf("got %+v; the files have %d bytes", got, sizeOf(t, path))
	}
}
