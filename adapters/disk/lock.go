package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// A fileLock excludes other goroutines by its turn, and other Stores, of this
// process or another one, by a lock on a file. The system gives that back when
// a process ends, however it ends.
type fileLock struct {
	folder *folder
	path   string
	turn   chan struct{} // of capacity 1, and full while the lock is taken
	file   *os.File      // opened when first needed; for who has the turn
}

func newFileLock(f *folder, path string) *fileLock {
	return &fileLock{folder: f, path: path, turn: make(chan struct{}, 1)}
}

// The system tells nobody that a file is free again, so it is asked, soon at
// first and then more rarely.
const (
	firstPause = 20 * time.Microsecond
	longPause  = 2 * time.Millisecond
)

// lock waits until it has the lock or ctx ends. ctx is the only thing that may
// end in its error.
func (l *fileLock) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		locked, err := l.try()
		if locked {
			return nil
		}
		if err == nil {
			err = sleep(ctx, pause)
		}
		if err != nil {
			<-l.turn
			return err
		}
	}
}

// tryLock is lock for who does not wait.
func (l *fileLock) tryLock() (bool, error) {
	select {
	case l.turn <- struct{}{}:
	default:
		return false, nil
	}
	locked, err := l.try()
	if !locked {
		<-l.turn
	}
	return locked, err
}

// try opens the file anew if it was removed, as by a program that tidies old
// files: a lock on it excludes nobody who has opened its path since. It relies
// on files only ever being removed, and does not see that one was moved. Who has
// the lock while its file is removed has it no more, but does not notice.
func (l *fileLock) try() (locked bool, err error) {
	for {
		if l.file == nil {
			if err := l.open(); err != nil {
				return false, err
			}
		}
		if locked, err = tryFlock(l.file); !locked {
			return false, err
		}
		info, err := l.file.Stat()
		if err == nil && !isRemoved(info) {
			return true, nil
		}
		l.close()
		if err != nil {
			return false, err
		}
	}
}

// open makes the folder of locks again if that was removed too.
func (l *fileLock) open() (err error) {
	l.file, err = l.folder.openShared(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.folder.makeFolder(lockFolder); err == nil {
			l.file, err = l.folder.openShared(l.path)
		}
	}
	return err
}

func (l *fileLock) unlock() {
	if unflock(l.file) != nil {
		l.close() // which gives it back too
	}
	<-l.turn
}

func (l *fileLock) close() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stripes is how many parts the places are divided into. Each has a lock of
// its own, which whoever changes an entry holds.
const stripes = 64

const lockFolder = "lock"

func newStripeLocks(f *folder) (locks [stripes]*fileLock) {
	for i := range locks {
		locks[i] = newFileLock(f, fmt.Sprintf("%s/%02d", lockFolder, i))
	}
	return locks
}

// hold calls do while nobody else changes an entry of a stripe.
func (s *Store) hold(ctx context.Context, stripe int, do func() error) error {
	l := s.locks[stripe]
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	return do()
}
