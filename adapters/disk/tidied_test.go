package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tidied are what may go from the folder of locks, as by a program that removes
// old files.
var tidied = map[string]string{"the files": lockFolder + "/*", "their folder": lockFolder}

func removeAll(t *testing.T, s *Store, pattern string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.folder.Name(), pattern))
	if err != nil || len(all) == 0 {
		t.Fatalf("there is no %s: %v", pattern, err)
	}
	for _, path := range all {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// Stores whose locks were opened before they were removed, and those that
// opened them since, exclude each other.
func TestRemovedLocks(t *testing.T) {
	t.Parallel()
	for name, pattern := range tidied {
		for _, first := range []string{"before", "since"} {
			before := newStore(t, newPath(t), nil)
			mustSet(t, before, "k", "v")
			removeAll(t, before, pattern)
			a, b := before, newStore(t, before.folder.Name(), nil)
			if first == "since" {
				a, b = b, a
			}
			p, _ := a.placeOf("k")
			err := a.hold(t.Context(), p.stripe(), func() error {
				locked, err := b.locks[p.stripe()].tryLock()
				if locked {
					b.locks[p.stripe()].unlock()
				}
				if locked || err != nil {
					t.Errorf("%s are removed, held by the one from %s: the other's lock = %v, %v", name, first, locked, err)
				}
				return nil
			})
			wantErr(t, "hold", err, nil)
			mustSet(t, b, "k", "w")
			wantValue(t, a, "k", "w")
		}
	}
}

// Whoever waited for a lock while it was removed then waits for the new one.
func TestRemovedLockWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := newStore(t, newPath(t), nil)
		old := newStore(t, waits.folder.Name(), nil)
		p, _ := old.placeOf("k")
		holder := old.locks[p.stripe()]
		wantErr(t, "lock", holder.lock(t.Context()), nil)
		set := make(chan error, 1)
		go func() { set <- waits.Set(context.Background(), "k", []byte("v"), 0) }()
		time.Sleep(time.Second)

		removeAll(t, waits, lockFolder)
		since := newStore(t, waits.folder.Name(), nil)
		err := since.hold(t.Context(), p.stripe(), func() error {
			holder.unlock()
			time.Sleep(time.Second)
			if exists(pathOfKey(since, "k")) {
				t.Error("it was written under the lock that is removed")
			}
			return nil
		})
		wantErr(t, "hold", err, nil)
		wantErr(t, "Set", <-set, nil)
		wantValue(t, since, "k", "v")
	})
}

// Where the file that says when the last sweep was is removed, an open Store
// sweeps within the hour, and makes room as before.
func TestRemovedSweepFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), &Options{MaxBytes: 1000})
		if err := s.Set(t.Context(), "k", nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		removeAll(t, s, sweepName)
		time.Sleep(sweepEvery * 2) // its time was that of the world outside
		synctest.Wait()
		if exists(pathOfKey(s, "k")) || s.Stats().Expired != 1 {
			t.Errorf("not swept: %+v", s.Stats())
		}
		removeAll(t, s, sweepName)
		for i := range 20 {
			mustSet(t, s, fmt.Sprint(i), strings.Repeat("v", 100))
			if size := sizeOf(t, s.folder.Name()); size > 1000 {
				t.Fatalf("the files have %d bytes", size)
			}
		}
	})
}

// The bound holds where the file of counts is lost, also if the first who
// opens the folder writes nothing.
func TestLostUsage(t *testing.T) {
	t.Parallel()
	const most = 10_000
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, countSize) },
		"zeros":   func(path string) error { return os.WriteFile(path, make([]byte, 4096), fileMode) },
	} {
		path := newPath(t)
		write := func(prefix string) *Store {
			s := newStore(t, path, &Options{MaxBytes: most})
			for i := range 9 {
				mustSet(t, s, prefix+fmt.Sprint(i), strings.Repeat("v", 1000))
				if size := sizeOf(t, path); size > most {
					t.Fatalf("%s: the files have %d bytes", name, size)
				}
			}
			return s
		}
		wantErr(t, "Close", write("a").Close(), nil)
		if err := lose(filepath.Join(path, usageName)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "Close", newStore(t, path, &Options{MaxBytes: most}).Close(), nil)
		if got := write("b").Stats().Bytes; got != sizeOf(t, path) {
			t.Errorf("%s: the files have %d bytes, and Stats says %d", name, sizeOf(t, path), got)
		}
	}
}

// Where files that Stores share are lost while one of them is open, all of them
// and those that open the folder since go on, and the bound holds.
func TestTidiedWhileOpen(t *testing.T) {
	t.Parallel()
	const most = 10_000
	for name, lose := range map[string]func(t *testing.T, s *Store){
		"everything": func(t *testing.T, s *Store) { removeAll(t, s, "*") },
		"everything with links elsewhere": func(t *testing.T, s *Store) {
			wantErr(t, "Link", os.Link(pathOfUsage(s), filepath.Join(t.TempDir(), "backup")), nil)
			removeAll(t, s, "*")
		},
		"the counts":    func(t *testing.T, s *Store) { removeAll(t, s, usageName) },
		"counts zeroed": func(t *testing.T, s *Store) { wantErr(t, "Truncate", os.Truncate(pathOfUsage(s), 0), nil) },
		"counts cut":    func(t *testing.T, s *Store) { wantErr(t, "Truncate", os.Truncate(pathOfUsage(s), 100), nil) },
	} {
		path, o := newPath(t), &Options{MaxBytes: most}
		stores := []*Store{newStore(t, path, o), newStore(t, path, o)}
		stores[0].sweeper.stop() // or it makes the file of its lock again, while the folder is emptied
		stores[1].sweeper.stop()
		write := func(prefix string) {
			for i := range 15 {
				mustSet(t, stores[i%len(stores)], prefix+fmt.Sprint(i), strings.Repeat("v", 1000))
				if size := sizeOf(t, path); size > most {
					t.Fatalf("%s are lost: the files have %d bytes", name, size)
				}
			}
		}
		write("before")
		lose(t, stores[0])
		mustSet(t, stores[0], "k", "v")
		stores = append(stores, newStore(t, path, o))
		write("since")
		for i, s := range stores {
			if got := s.Stats().Bytes; got != sizeOf(t, path) {
				t.Errorf("%s are lost: the files have %d bytes, and store %d says %d", name, sizeOf(t, path), i, got)
			}
		}
	}
}

func pathOfUsage(s *Store) string { return filepath.Join(s.folder.Name(), usageName) }

// A sweep during which the counts are lost does not say that it has counted all
// entries.
func TestUsageLostInSweep(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"not lost": func(string) error { return nil },
		"removed":  os.Remove,
		"cut":      func(path string) error { return os.Truncate(path, 0) },
		"zeros":    func(path string) error { return os.WriteFile(path, make([]byte, usageSize), fileMode) },
	} {
		path, o := newPath(t), &Options{MaxBytes: 1 << 20}
		s, other := newStore(t, path, o), newStore(t, path, o)
		mustSet(t, s, "k", "v")
		for _, before := range []int64{0, 1} { // not all were counted, or all
			wantErr(t, "set", s.usage.set(counted, before), nil)
			mark, err := s.usage.startCount()
			wantErr(t, "startCount", err, nil)
			wantErr(t, "lose", lose(pathOfUsage(s)), nil)
			_, err = other.usage.file() // makes it again, or gives it its size
			wantErr(t, "file", err, nil)
			wantErr(t, "endCount", s.usage.endCount(mark), nil)
			if _, all, err := s.usage.total(); all != (name == "not lost") || err != nil {
				t.Errorf("%s, all were counted before: %d: all are counted: %v, %v", name, before, all, err)
			}
		}
	}
}

// A folder whose tag is removed while it is open can be opened again, after the
// next sweep.
func TestRemovedTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), nil)
		mustSet(t, s, "k", "v")
		removeAll(t, s, tagName)
		removeAll(t, s, sweepName) // its time was that of the world outside
		time.Sleep(sweepEvery * 2)
		synctest.Wait()
		wantValue(t, newStore(t, s.folder.Name(), nil), "k", "v")
	})
}
