package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/testreport"
	"github.com/cairncache/cairn/store"
)

// abilities are those that a view of store.Prefix has too.
var abilities = []string{
	"GetMany", "GetWithTTL", "Add", "CompareAndSwap", "CompareAndDelete", "Touch", "Keys",
}

// newStore opens a Store that is closed with the test.
func newStore(t testing.TB, path string, o *Options) *Store {
	t.Helper()
	s, err := New(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newPath is that of a folder that does not exist.
func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "cache") }

// newFastPath is newPath in memory, if there is a file system for that: the
// suite makes more than a thousand folders of 256 shards each.
func newFastPath(t testing.TB) string {
	const memory = "/dev/shm"
	path, err := os.MkdirTemp(memory, "cairn")
	if err != nil {
		return newPath(t)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return filepath.Join(path, "cache")
}

// In a bubble expiry is judged to the nanosecond.
func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) store.Store { return newStore(t, newFastPath(t), nil) }, &conformance.Options{
		Bubble:  true,
		TTLStep: 1,
		Want:    append([]string{"Clear"}, abilities...),
		Reopen:  reopen,
		Report:  testreport.Check(t),
	})
}

func reopen(t *testing.T, s store.Store) store.Store {
	first := s.(*Store)
	return newStore(t, first.folder.Name(), &first.options)
}

func TestConformanceOfOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*Options{
		"Fsync":    {Fsync: true},
		"MaxBytes": {MaxBytes: 1 << 20},
		"Prefix":   {Prefix: "p:", TTL: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := &conformance.Options{Want: append([]string{"Clear"}, abilities...), Reopen: reopen, DefaultTTL: o.TTL}
			suite.MaxValue = int(o.MaxBytes * 3 / 4)
			suite.MaxKey = store.MaxKeyLen - len(o.Prefix)
			conformance.Run(t, func(t *testing.T) store.Store { return newStore(t, newFastPath(t), o) }, suite)
		})
	}
}

// Views are of one folder, beside each other.
func TestConformanceBehindPrefix(t *testing.T) {
	t.Parallel()
	var whole sync.Map // by its view
	conformance.Run(t, func(t *testing.T) store.Store {
		s := newStore(t, newFastPath(t), nil)
		view := store.Prefix(s, "p:")
		whole.Store(view, s)
		return view
	}, &conformance.Options{
		Bubble: true,
		Want:   abilities,
		MaxKey: store.MaxKeyLen - len("p:"),
		Reopen: func(t *testing.T, s store.Store) store.Store {
			first, _ := whole.Load(s)
			return store.Prefix(reopen(t, first.(store.Store)), "p:")
		},
	})
}

// Stores with different prefixes share a folder.
func TestConformanceOpened(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	var n int
	var mu sync.Mutex
	conformance.Run(t, func(t *testing.T) store.Store {
		mu.Lock()
		defer mu.Unlock()
		n++
		s, err := store.Open(t.Context(), fmt.Sprintf("disk:%s?max_bytes=1GiB&ttl=5m&prefix=%04d:", path, n))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close(s) })
		return s
	}, &conformance.Options{
		Want:       append([]string{"Clear"}, abilities...),
		DefaultTTL: 5 * time.Minute,
		MaxKey:     store.MaxKeyLen - len("0001:"),
		Reopen:     reopen,
	})
}

// A store of few bytes forgets most of what it is told, and must not lie.
func FuzzStore(f *testing.F) {
	conformance.Fuzz(f, func(t *testing.T) store.Store { return newStore(t, newFastPath(t), &Options{MaxBytes: 1 << 10}) }, &conformance.Options{Bubble: true})
}
