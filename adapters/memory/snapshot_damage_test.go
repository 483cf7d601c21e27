package memory

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// The format of version 1 does not change.
func TestSnapshotFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &Options{Policy: LFU})
		set(t, s, "a", "bc", 300)
		set(t, s, "d", "", store.Forever)
		s.Get(t.Context(), "d")
		want := hex.EncodeToString([]byte("cairn memory snapshot\n")) + "01" + "00004352cf4c230d" + "f30e5d7c" +
			"0d00000000000000" + "0161" + "026263" + "ac02" + "00" + "0164" + "00" + "00" + "01" + "1f6a5eff" +
			"0000000000000000" + "0200000000000000" + "0c007770"
		if got := hex.EncodeToString(save(t, s)); got != want {
			t.Errorf("the snapshot is\n%s, want\n%s", got, want)
		}
	})
}

// refuse fails unless s refuses the snapshot and stores nothing.
func refuse(t *testing.T, s *Store, snapshot []byte, what, message string) {
	t.Helper()
	n, err := s.Restore(t.Context(), bytes.NewReader(snapshot))
	if n != 0 || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), message) {
		t.Errorf("Restore of a snapshot with %s = %d, %v, want ErrInvalid with %q", what, n, err, message)
	}
	if n := s.Len(); n != 0 {
		t.Fatalf("Restore of a snapshot with %s has stored %d entries", what, n)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	from, to := newStore(t, nil), newStore(t, nil)
	for i := range 12 {
		set(t, from, fmt.Sprint("key", i), strings.Repeat("value", i), time.Duration(i)*time.Hour)
	}
	snapshot := save(t, from)
	for i := range snapshot {
		for bit := range 8 {
			damaged := bytes.Clone(snapshot)
			damaged[i] ^= 1 << bit
			refuse(t, to, damaged, fmt.Sprintf("bit %d of byte %d flipped", bit, i), "store: restore: byte ")
		}
		damaged := slices.Delete(bytes.Clone(snapshot), i, i+1)
		refuse(t, to, damaged, fmt.Sprintf("no byte %d", i), "store: restore: byte ")
		refuse(t, to, snapshot[:i], fmt.Sprintf("%d bytes alone", i), fmt.Sprintf("byte %d: the snapshot is cut off", i))
	}
	refuse(t, to, append(bytes.Clone(snapshot), 0), "one byte more", "something follows the end")
	refuse(t, to, append(bytes.Clone(snapshot), snapshot...), "another one", "something follows the end")
	newer := bytes.Clone(snapshot)
	newer[len(snapshotMagic)]++
	refuse(t, to, newer, "a newer version", "byte 22: the version is 2; only 1 is known")
	refuse(t, to, []byte(strings.Repeat("foreign ", 10)), "foreign bytes", "byte 0: this is no snapshot")
	restore(t, to, snapshot, 12)
}

// Whole blocks that are lost, doubled or exchanged have right sums of their own.
func TestRestoreRefusesBlocksInDisorder(t *testing.T) {
	var b bytes.Buffer
	ends := []int{}
	out := newSnapshotWriter(&b, time.Now())
	for _, key := range []string{"a", "b", "c"} {
		ends = append(ends, b.Len())
		out.entry(key, nil, 0, 0)
		out.block()
	}
	ends = append(ends, b.Len())
	out.end(3)
	s := newStore(t, nil)
	for _, blocks := range [][]int{{0, 1}, {1, 2}, {0, 2}, {0, 2, 1}, {1, 0, 2}, {0, 0, 1, 2}, {0, 1, 2, 2}, {0, 1, 1}} {
		snapshot := bytes.Clone(b.Bytes()[:ends[0]])
		for _, i := range blocks {
			snapshot = append(snapshot, b.Bytes()[ends[i]:ends[i+1]]...)
		}
		snapshot = append(snapshot, b.Bytes()[ends[3]:]...)
		refuse(t, s, snapshot, fmt.Sprint("the blocks ", blocks), "checksum")
	}
	restore(t, s, b.Bytes(), 3)
}

// A length says how much is to come, and takes no memory by itself.
func TestRestoreTakesNoMemoryForLengths(t *testing.T) {
	s := newStore(t, nil)
	for name, block := range map[string][]byte{
		"a key":   {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'k'},
		"a value": {1, 'k', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 'v'},
		"a ttl":   {1, 'k', 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0},
		"no key":  {0, 0, 0, 0},
	} {
		refuse(t, s, sealed(block), name, "entry 1, in the block that begins here, makes no sense")
	}
	header := sealed(nil)[:len(snapshotMagic)+1+8+4]
	for _, length := range []byte{0x10, 0x7f, 0xff} {
		snapshot := append(bytes.Clone(header), 0, 0, 0, 0, 0, 0, length, length, 'x')
		if got := allocated(func() { refuse(t, s, snapshot, "a huge block", "cut off") }); got > 1<<20 {
			t.Errorf("Restore has taken %d bytes for the promise of many", got)
		}
	}
}

// sealed is a snapshot of one block, with checksums that are right.
func sealed(block []byte) []byte {
	var b bytes.Buffer
	out := newSnapshotWriter(&b, time.Now())
	out.buf = append(out.buf, block...)
	out.end(1)
	return b.Bytes()
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// The input is a snapshot, or the block of one whose checksums are right.
func FuzzRestore(f *testing.F) {
	s, err := New(nil)
	if err != nil {
		f.Fatal(err)
	}
	for i, value := range []string{"", "value", strings.Repeat("x", 300)} {
		s.Set(f.Context(), fmt.Sprint("key", i), []byte(value), time.Duration(i)*time.Hour)
	}
	snapshot := save(f, s)
	f.Add(snapshot, false)
	f.Add([]byte{}, false)
	f.Add([]byte("\x01a\x01b\x00\x00"), true)
	f.Add(snapshot[len(snapshotMagic)+1+8+4+8:len(snapshot)-4-16-4], true)
	f.Fuzz(func(t *testing.T, b []byte, block bool) {
		if block {
			b = sealed(b)
		}
		s := newStore(t, nil)
		var n int
		var err error
		if got, most := allocated(func() { n, err = s.Restore(t.Context(), bytes.NewReader(b)) }), uint64(1<<20+500*len(b)); got > most {
			t.Errorf("Restore of %d bytes has taken %d, want %d at most", len(b), got, most)
		}
		if err != nil && (n != 0 || s.Len() != 0 || !errors.Is(err, store.ErrInvalid)) {
			t.Errorf("Restore = %d, %v, and there are %d entries", n, err, s.Len())
		}
		to := newStore(t, nil)
		restore(t, to, save(t, s), s.Len())
		for key, l := range s.All() {
			want, _ := l.Bytes()
			if value, err := to.Get(t.Context(), key); err != nil || !bytes.Equal(value, want) {
				t.Errorf("the value of %q is %q, %v, want %q", key, value, err, want)
			}
		}
	})
}
