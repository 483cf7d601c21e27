package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/store"
)

// processConfig is of another process that uses a folder.
type processConfig struct {
	ID       int
	Path     string
	Options  Options
	Writers  int
	Duration time.Duration // 0 is until it is killed
	Mixed    bool          // not only writes
	Serves   bool          // calls, and does nothing else
}

// run writes until it is told to end, and tells on standard output each write
// that has succeeded: the key and the number of the value.
func (c processConfig) run() error {
	if c.Serves {
		testprocess.Ready()
		return serve(os.Stdin, os.Stdout)
	}
	s, err := New(c.Path, &c.Options)
	if err != nil {
		return err
	}
	testprocess.Ready()
	errs := make(chan error, c.Writers)
	start := time.Now()
	for i := range c.Writers {
		go func() {
			for n := 1; c.Duration == 0 || time.Since(start) < c.Duration; n++ {
				var err error
				if c.Mixed {
					err = mixed(s)
				} else {
					err = c.write(s, i, n)
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range c.Writers {
		err = errors.Join(err, <-errs)
	}
	return errors.Join(err, s.Close())
}

// write writes the next value of a key that no other goroutine writes.
func (c processConfig) write(s *Store, i, n int) error {
	key := fmt.Sprintf("%d.%d", c.ID, i)
	if err := s.Set(context.Background(), key, valueOf(key, n), store.Forever); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString(key + " " + strconv.Itoa(n) + "\n") // in one piece
	return err
}

// mixed does one thing or another with a key that all use, every other time
// one of a few. All of them together are many times what there is room for.
func mixed(s *Store) error {
	ctx := context.Background()
	key := strconv.Itoa(rand.IntN([]int{20, mixedKeys}[rand.IntN(2)]))
	value := valueOf(key, rand.IntN(mixedValues))
	var err error
	switch n := rand.IntN(1000); {
	case n == 0:
		err = s.Clear(ctx)
	case n == 1:
		if err = s.sweepIfFree(ctx); errors.Is(err, errBusy) {
			err = nil
		}
	case n < 500:
		err = s.Set(ctx, key, value, store.Forever)
	case n < 550:
		err = s.Delete(ctx, key)
	case n < 600:
		_, err = s.Add(ctx, key, value, time.Millisecond)
	case n < 650:
		err = s.Touch(ctx, key, time.Minute)
	default:
		value, err = s.Get(ctx, key)
		if err == nil {
			_, err = numberOf(key, value)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

const mixedKeys, mixedValues = 1000, 1000

// largestMixed is the size of the largest file that mixed writes.
func largestMixed() (largest int64) {
	key := strconv.Itoa(mixedKeys - 1) // none is longer
	for n := range mixedValues {
		largest = max(largest, int64(len(encode(key, valueOf(key, n), never))))
	}
	return largest
}

// valueOf is the value number n of a key. Its length depends on both.
func valueOf(key string, n int) []byte {
	part := fmt.Sprintf("<%s:%d>", key, n)
	return []byte(strings.Repeat(part, 1+n*7919%1500))
}

// numberOf is the number of a value, and an error if it is not one of the key.
func numberOf(key string, value []byte) (n int, err error) {
	format := "<" + key + ":%d>"
	if _, err := fmt.Sscanf(string(value), format, &n); err != nil || string(value) != string(valueOf(key, n)) {
		return 0, fmt.Errorf("%s has the value %.100q… of %d bytes, which nobody wrote", key, value, len(value))
	}
	return n, nil
}

// lastWritten reads what a process tells, until its end: by key, the last number.
func lastWritten(p *testprocess.Process) map[string]int {
	last := make(map[string]int)
	for lines := bufio.NewScanner(p.Out); lines.Scan(); {
		var key string
		var n int
		if _, err := fmt.Sscan(lines.Text(), &key, &n); err == nil {
			last[key] = max(last[key], n)
		}
	}
	return last
}

// A process that is killed at any moment leaves whole values, and all that it
// has said are written: the page cache outlives it, with Fsync or without.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 20
	if n, err := strconv.Atoi(os.Getenv("CAIRN_DISK_KILLS")); err == nil {
		rounds = n
	}
	path := newPath(t)
	s := newStore(t, path, nil)
	for round := range rounds {
		p := testprocess.Start(t, processConfig{ID: round, Path: path, Options: Options{Fsync: round%2 == 0}, Writers: 2})
		time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { p.Signal(os.Kill) })
		last := lastWritten(p)
		p.End()
		for i := range 2 {
			key := fmt.Sprintf("%d.%d", round, i)
			value, err := s.Get(t.Context(), key)
			n := 0
			if err == nil {
				n, err = numberOf(key, value)
			}
			if err != nil && (!errors.Is(err, store.ErrNotFound) || last[key] > 0) {
				t.Errorf("round %d: %v; the last that was written is %d", round, err, last[key])
			}
			if n < last[key] || n > last[key]+1 {
				t.Errorf("round %d: %s has number %d, and %d was acknowledged last", round, key, n, last[key])
			}
			mustSet(t, s, key, string(valueOf(key, 1))) // nothing is locked
		}
	}
	if s.Stats().Damaged > 0 {
		t.Errorf("%d files were damaged", s.Stats().Damaged)
	}
	_, before := filesIn(t, path)
	ageTemporary(t, path)
	wantErr(t, "sweep", s.sweepIfFree(t.Context()), nil)
	if _, left := filesIn(t, path); left > 0 {
		t.Errorf("of %d temporary files %d are left", before, left)
	}
	if got := s.Stats().Bytes; got != sizeOf(t, path) {
		t.Errorf("the files have %d bytes, and Stats says %d", sizeOf(t, path), got)
	}
	t.Logf("%d temporary files were left, and swept", before)
}

// Two processes with 8 goroutines each write, read, sweep and clear one folder.
// Whoever looks at any moment finds no more than MaxBytes and an entry for each
// that writes, the temporary files included.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	duration := time.Second
	if d, err := time.ParseDuration(os.Getenv("CAIRN_DISK_DURATION")); err == nil {
		duration = d
	}
	const most, writers = 100_000, 16
	path := newPath(t)
	c := processConfig{Path: path, Options: Options{MaxBytes: most}, Writers: writers / 2, Duration: duration, Mixed: true}
	var wg sync.WaitGroup
	for range 2 {
		p := testprocess.Start(t, c)
		wg.Go(func() {
			lastWritten(p)
			p.End()
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	var highest int64
	looks := 0
	for ended := false; !ended; looks++ {
		select {
		case <-done:
			ended = true
		case <-time.After(time.Millisecond):
		}
		entries, temporary := sizesOf(t, path)
		highest = max(highest, entries+temporary)
	}
	if bound := most + writers*largestMixed(); highest > bound {
		t.Errorf("the files had %d bytes, more than %d", highest, bound)
	}
	s := newStore(t, path, &c.Options)
	if got := s.Stats().Bytes; got != sizeOf(t, path) {
		t.Errorf("the files have %d bytes, and Stats says %d", sizeOf(t, path), got)
	}
	t.Logf("the files had up to %d bytes, of %d looks; the largest is %d", highest, looks, largestMixed())
}
