package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/store"
)

func TestMain(m *testing.M) {
	testprocess.Main(processConfig.run)
	if supported { // or else New refuses
		os.Exit(m.Run())
	}
}

func mustSet(t testing.TB, s *Store, key, value string) {
	t.Helper()
	if err := s.Set(context.Background(), key, []byte(value), store.Forever); err != nil {
		t.Fatalf("Set(%q) = %v", key, err)
	}
}

func wantValue(t testing.TB, s *Store, key, want string) {
	t.Helper()
	if got, err := s.Get(context.Background(), key); string(got) != want || err != nil {
		t.Errorf("Get(%q) = %.40q, %v; want %.40q", key, got, err, want)
	}
}

func wantMiss(t testing.TB, s *Store, key string) {
	t.Helper()
	if got, err := s.Get(context.Background(), key); err != store.ErrNotFound {
		t.Errorf("Get(%q) = %.40q, %v; want a miss", key, got, err)
	}
}

// wantErr checks that err matches want, nil included, and is no miss by
// accident.
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want != nil && errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// pathOfKey is where the file of a key is.
func pathOfKey(s *Store, key string) string {
	p, _ := s.placeOf(key)
	return filepath.Join(s.folder.Name(), p.path())
}

// filesIn counts the files of entries, and the temporary ones.
func filesIn(t testing.TB, path string) (entries, temporary int) {
	t.Helper()
	for _, pattern := range []string{"??/*", "*" + temporarySuffix} {
		files, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if isTemporary(file) {
				temporary++
			} else {
				entries++
			}
		}
	}
	return entries, temporary
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sizeOf is the size of the files of all entries.
func sizeOf(t testing.TB, path string) int64 {
	t.Helper()
	entries, _ := sizesOf(t, path)
	return entries
}

// sizesOf is the size of the files of all entries, and of the temporary ones.
func sizesOf(t testing.TB, path string) (entries, temporary int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(path, "??/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := os.Lstat(file)
		switch {
		case err != nil: // was removed meanwhile
		case isTemporary(file):
			temporary += info.Size()
		default:
			entries += info.Size()
		}
	}
	return entries, temporary
}

// ageTemporary makes temporary files look abandoned.
func ageTemporary(t testing.TB, path string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(path, "??/*"+temporarySuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		age(t, file, 2*temporaryAge)
	}
}
