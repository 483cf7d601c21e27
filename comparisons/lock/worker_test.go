package lock_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cairncache/cairn/internal/testprocess"
)

// A job is what a process of its own is told to do.
type job struct {
	Library, Addr, Name string
	Section             string // file of the section
	First               int    // id of its first goroutine
	Goroutines          int
	Time                time.Duration
}

// A section is what the lock protects. It is in memory that the processes share,
// and is changed without any care, so that the count is wrong if two are in it at
// once.
type section struct {
	Entered   uint64
	Handovers uint64 // by another goroutine than the time before
	Last      int64
}

func (s *section) enter(id int) {
	s.Entered++
	if s.Last != int64(id) {
		s.Handovers++
		s.Last = int64(id)
	}
}

func openSection(file string) (*section, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int(unsafe.Sizeof(section{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*section)(unsafe.Pointer(&b[0])), nil // mapped until the process ends
}

// grace is how long after the end of a run somebody still gets the lock, if
// nothing is wrong: nobody holds on to it then.
const grace = 2 * time.Second

// A result is what a process has done.
type result struct {
	Counts []int // by goroutine, how often it got the lock
	Stuck  int   // those that waited for a lock that was free
}

// work is the main function of a process. It says when it is ready, begins when
// it is told to, and prints how often each goroutine got the lock.
func work(j job) error {
	s, err := openSection(j.Section)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(libraries, func(l library) bool { return l.name == j.Library })
	take, end, err := libraries[i].open(j.Addr)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	unlock, err := take(ctx, fmt.Sprint("warm ", j.First))
	if err != nil {
		return err
	}
	if err := unlock(); err != nil {
		return err
	}
	testprocess.Ready()
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	var all sync.WaitGroup
	counts, errs := make([]int, j.Goroutines), make([]error, j.Goroutines)
	deadline := time.Now().Add(j.Time)
	defer time.AfterFunc(j.Time+grace, cancel).Stop()
	for i := range j.Goroutines {
		all.Go(func() {
			for time.Now().Before(deadline) && errs[i] == nil {
				unlock, err := take(ctx, j.Name)
				if err != nil {
					errs[i] = err
					return
				}
				if time.Now().After(deadline) {
					errs[i] = unlock()
					return
				}
				s.enter(j.First + i)
				counts[i]++
				errs[i] = unlock()
			}
		})
	}
	all.Wait()
	r := result{Counts: counts}
	for _, err := range errs {
		switch {
		case errors.Is(err, context.Canceled) && time.Since(deadline) >= grace:
			r.Stuck++
		case err != nil:
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func TestMain(m *testing.M) {
	testprocess.Main(work)
	m.Run()
	printTable()
}

// resultOf waits for as long as the process works.
func resultOf(b *testing.B, p *testprocess.Process) (r result) {
	b.Helper()
	if err := json.NewDecoder(p.Out).Decode(&r); err != nil {
		b.Fatal(err)
	}
	p.End()
	return r
}
