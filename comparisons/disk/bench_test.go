// Package disk_test compares adapters/disk with libraries that keep all entries
// in one file.
package disk_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testprocess"
)

// The names end in the library, for
//
//	benchstat -col /by -ignore /round
var rounds = flag.Int("rounds", 3, "how often each library has its turn")

// A size is that of values, and how many of them are there from the start. All
// of them fit into memory, so that no read waits for the disk. Their number is
// prime, so that mixed reads what it has written.
type size struct {
	name    string
	bytes   int
	entries int
}

var sizes = []size{
	{"100B", 100, 4999},
	{"1KB", 1000, 4999},
	{"10KB", 10_000, 1999},
	{"1MB", 1_000_000, 31},
}

// Keys come in no order, as those of a cache do. In order a tree would be at its
// best.
func newKey(i int) string { return fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15) }

// A task is a cache with entries.
type task struct {
	cache
	settings
	size
	random []byte
	next   atomic.Int64
}

func newTask(s size, o settings) *task {
	t := &task{settings: o, size: s, random: make([]byte, s.bytes+offsets)}
	_, _ = rand.NewChaCha8([32]byte{}).Read(t.random) // never fails
	return t
}

// offsets is how many values there are, another prime, so that a key hardly ever
// gets the one that it has: sqlite does not write pages that stay as they are.
const offsets = 4093

func (t *task) value(i int) []byte { return t.random[i%offsets:][:t.bytes] }

// An operation is the i-th that is done with a cache.
type operation func(t *task, i int) error

func get(t *task, i int) error {
	value, err := t.Get(t.anyKey(i))
	if err == nil && len(value) != t.bytes {
		err = fmt.Errorf("the value has %d bytes", len(value))
	}
	return err
}

func setNew(t *task, i int) error      { return t.Set(newKey(t.entries+i), t.value(i)) }
func setExisting(t *task, i int) error { return t.Set(t.anyKey(i), t.value(i)) }

// mixed has nine reads to each write.
func mixed(t *task, i int) error {
	if i%10 == 0 {
		return setExisting(t, i)
	}
	return get(t, i)
}

// anyKey is one that is there; all of them have their turn.
func (t *task) anyKey(i int) string { return newKey(i * 7919 % t.entries) }

func BenchmarkGet(b *testing.B)         { compare(b, experiment{do: get}) }
func BenchmarkSetNew(b *testing.B)      { compare(b, experiment{do: setNew, writes: true}) }
func BenchmarkSetExisting(b *testing.B) { compare(b, experiment{do: setExisting, writes: true}) }
func BenchmarkMixed(b *testing.B)       { compare(b, experiment{do: mixed, writes: true}) }

// An experiment is what the libraries are compared by.
type experiment struct {
	do     operation
	writes bool // and so may wait for the disk
	beside bool // another process, which does the same
}

// suits reports whether the experiment shows anything of a library.
func (e experiment) suits(l library, goroutines int) bool {
	switch {
	case l.shares:
		return e.writes && goroutines > 1 && !e.beside
	case l.alone:
		return !e.beside
	}
	return true
}

// compare lets the libraries take turns, so that all of them have the same share
// of what else the machine does.
func compare(b *testing.B, e experiment) {
	printFileSystem(b.TempDir())
	for _, size := range sizes {
		for _, fsync := range []bool{false, true} {
			if fsync && !e.writes {
				continue
			}
			for _, goroutines := range []int{1, 8} {
				for round := range *rounds {
					for _, l := range libraries {
						if e.suits(l, goroutines) {
							name := fmt.Sprintf("size=%s/fsync=%t/goroutines=%d/round=%d/by=%s", size.name, fsync, goroutines, round, l.name)
							measure(b, name, l, newTask(size, settings{fsync, goroutines}), e)
						}
					}
				}
			}
		}
	}
}

// measure runs an experiment. The testing package calls it with more and more
// operations until they take long enough, all with one cache.
func measure(b *testing.B, name string, l library, t *task, e experiment) {
	folder := b.TempDir()
	var other *testprocess.Process
	startOther := func() { // with this b, as the one below ends its processes after each call
		other = testprocess.Start(b, job{l.name, folder, t.name, t.fsync, t.goroutines})
	}
	b.Run(name, func(b *testing.B) {
		if t.cache == nil {
			t.open(b, l, folder)
			if e.beside {
				startOther()
			}
		}
		b.SetBytes(int64(t.bytes))
		b.ReportAllocs()
		runtime.GC()
		began := processorTime()
		b.ResetTimer()
		t.repeat(b, e.do)
		b.StopTimer()
		b.ReportMetric(float64(processorTime()-began)/float64(b.N), "cpu-ns/op")
	})
	if other != nil {
		other.End()
	}
	if t.cache != nil {
		if err := t.Close(); err != nil {
			b.Error(err)
		}
	}
	if err := os.RemoveAll(folder); err != nil { // now, and not with all others at the end
		b.Error(err)
	}
}

// open opens the cache and fills it, without fsync as that may take minutes.
func (t *task) open(b *testing.B, l library, folder string) {
	fast, err := l.open(folder, settings{goroutines: 1})
	if err != nil {
		b.Fatal(err)
	}
	for i := range t.entries {
		if err := fast.Set(newKey(i), t.value(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := fast.Close(); err != nil {
		b.Fatal(err)
	}
	syscall.Sync() // an fsync might wait for these entries as well
	if t.cache, err = l.open(folder, t.settings); err != nil {
		b.Fatal(err)
	}
}

// repeat does the operation b.N times.
func (t *task) repeat(b *testing.B, do operation) {
	var left atomic.Int64
	left.Store(int64(b.N))
	if err := t.while(func() bool { return left.Add(-1) >= 0 }, do); err != nil {
		b.Error(err)
	}
}

// while has all goroutines do the operation for as long as there is more to do.
func (t *task) while(more func() bool, do operation) error {
	errs := make([]error, t.goroutines)
	var wg sync.WaitGroup
	for g := range errs {
		wg.Go(func() {
			for errs[g] == nil && more() {
				errs[g] = do(t, int(t.next.Add(1)))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// processorTime is what this process has used, and the system for it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// printFileSystem prints on which one the folders are, as a line that benchstat
// understands. TMPDIR chooses another. In memory nothing can be learned of fsync,
// and an ext4 without a journal (without a folder in /proc/fs/jbd2) takes ten
// times as long to make a file: it passes over all that were deleted in the last
// minute, to find one that was not.
func printFileSystem(folder string) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil {
		panic(err)
	}
	name, ok := map[int64]string{0xef53: "ext", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlay", 0x01021994: "tmpfs"}[int64(fs.Type)]
	if !ok {
		name = fmt.Sprintf("%#x", fs.Type)
	}
	fmt.Println("filesystem:", name)
}
