package disk_test

import (
	"io"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cairncache/cairn/internal/testprocess"
)

// BenchmarkTwoProcesses is BenchmarkMixed while another process does the same with
// the same entries. bbolt is not in it, as it locks its file.
func BenchmarkTwoProcesses(b *testing.B) {
	compare(b, experiment{do: mixed, writes: true, beside: true})
}

// A job is what the other process is told to do.
type job struct {
	Library, Folder, Size string
	Fsync                 bool
	Goroutines            int
}

func TestMain(m *testing.M) {
	testprocess.Main(job.work)
	m.Run()
}

// work ends with the standard input, so that it does not outlive who has started
// it.
func (j job) work() (err error) {
	l := libraries[slices.IndexFunc(libraries, func(l library) bool { return l.name == j.Library })]
	s := sizes[slices.IndexFunc(sizes, func(s size) bool { return s.name == j.Size })]
	t := newTask(s, settings{j.Fsync, j.Goroutines})
	if t.cache, err = l.open(j.Folder, t.settings); err != nil {
		return err
	}
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	testprocess.Ready()
	if err := t.while(func() bool { return !ended.Load() }, mixed); err != nil {
		return err
	}
	return t.Close()
}
