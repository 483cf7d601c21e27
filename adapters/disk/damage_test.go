package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// damages are what may become of a file of the key "k".
func damages(whole []byte) map[string][]byte {
	changed := func(i int) []byte {
		b := bytes.Clone(whole)
		b[i] ^= 1
		return b
	}
	huge := bytes.Clone(whole)
	huge[38] = 0x7f // a length of which nobody has the memory
	return map[string][]byte{
		"magic":       changed(0),
		"version":     changed(7),
		"deadline":    changed(8),
		"key length":  changed(25),
		"header sum":  changed(40),
		"key":         changed(headerSize),
		"value":       changed(len(whole) - 1),
		"huge":        huge,
		"empty":       {},
		"half header": whole[:headerSize/2],
		"no value":    whole[:headerSize+1],
		"truncated":   whole[:len(whole)-1],
		"longer":      append(bytes.Clone(whole), 'x'),
		"zeros":       make([]byte, len(whole)),
		"foreign":     []byte("#!/bin/sh\necho this is not a file of Cairn's\n"),
		"another key": encode("other", []byte("value"), never),
	}
}

// A damaged file is a miss, is counted and removed, and the key is as good as
// new, whether the value fits into the first read or not.
func TestDamagedFileIsMiss(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 100_000} {
		s := newStore(t, newPath(t), nil)
		value := strings.Repeat("v", size)
		mustSet(t, s, "k", value)
		path := pathOfKey(s, "k")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, damaged := range damages(whole) {
			before := s.Stats().Damaged
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "huge" {
				if err := os.Truncate(path, 1<<40); err != nil {
					t.Fatal(err)
				}
			}
			wantMiss(t, s, "k")
			if exists(path) && len(damaged) > 0 || s.Stats().Damaged != before+1 {
				t.Errorf("%s: it is still there, or counted %d times", name, s.Stats().Damaged-before)
			}
			if added, err := s.Add(t.Context(), "k", []byte(value), store.Forever); !added || err != nil {
				t.Errorf("%s: Add = %v, %v", name, added, err)
			}
			wantValue(t, s, "k", value)
		}
	}
}

// What nobody reads is removed by the sweep, and what is no file of ours is
// not touched.
func TestSweepRemoves(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), nil)
	root := s.folder.Name()
	outside := filepath.Join(t.TempDir(), "outside")
	mustWrite(t, outside, "not ours")
	mustSet(t, s, "damaged", "v")
	mustSet(t, s, "k", "v")
	if err := s.Set(t.Context(), "expired", nil, 1); err != nil {
		t.Fatal(err)
	}
	shard := filepath.Dir(pathOfKey(s, "k"))
	mustWrite(t, pathOfKey(s, "damaged"), "rubbish")
	mustWrite(t, filepath.Join(shard, "rubbish"), "rubbish")
	mustWrite(t, filepath.Join(shard, "misplaced"), string(encode("k", nil, never)))
	for _, old := range []string{filepath.Join(shard, "old.tmp"), filepath.Join(root, "old.tmp")} {
		mustWrite(t, old, "half")
		age(t, old, temporaryAge+time.Minute)
	}
	young := filepath.Join(shard, "young.tmp")
	mustWrite(t, young, "half")
	age(t, young, temporaryAge-time.Minute)
	link, folder := filepath.Join(shard, "link"), filepath.Join(shard, "folder")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}

	wantErr(t, "sweep", s.sweepIfFree(t.Context()), nil)
	for _, path := range []string{outside, young, link, folder, pathOfKey(s, "k")} {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	os.Remove(young)
	os.Remove(link)
	os.Remove(folder)
	if entries, temporary := filesIn(t, root); entries != 1 || temporary != 0 {
		t.Errorf("%d files and %d temporary ones are left", entries, temporary)
	}
	if got := s.Stats(); got.Damaged != 3 || got.Expired != 1 || got.Bytes != sizeOf(t, root) {
		t.Errorf("got %+v; the files have %d bytes", got, sizeOf(t, root))
	}
}

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// age makes a file look as if it was written some time ago.
func age(t testing.TB, path string, d time.Duration) {
	t.Helper()
	when := time.Now().Add(-d)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}
