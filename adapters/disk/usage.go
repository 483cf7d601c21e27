package disk

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"sync"
)

// usage is how many bytes the files of entries have, as a count for each
// stripe in a file that all processes share. Who has the lock of a stripe
// changes its count. It counts up before a file takes its name and down after
// one has lost it, so that after a crash it says too much rather than too
// little, until a sweep sets it right.
type usage struct {
	folder *folder
	mu     sync.Mutex
	opened *os.File
	info   fs.FileInfo // of opened, to know it again
}

const (
	usageName = "usage"
	countSize = 8

	// counted is the place behind the counts of one that is 0 until they are of
	// all entries. A file that was lost and made anew has 0 everywhere, and the
	// next sweep, of whichever Store, sets it.
	counted   = stripes
	usageSize = (stripes + 1) * countSize
)

func openUsage(f *folder) (*usage, error) {
	u := &usage{folder: f}
	_, err := u.file()
	if err == nil && f.fresh {
		err = u.set(counted, 1)
	}
	return u, err
}

// file is the one that other Stores open too, and has room for all counts. If it
// was removed, as by a program that empties the folder, it is made again, and so
// is the tag, without which nobody could open the folder any more. The old one
// may still be in use; the garbage collector closes it.
func (u *usage) file() (*os.File, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.opened != nil {
		info, err := u.folder.Lstat(usageName)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := u.folder.keepTag(); err != nil {
				return nil, u.folder.orRemoved(err)
			}
		case err != nil:
			return nil, err
		case os.SameFile(info, u.info) && info.Size() >= usageSize:
			return u.opened, nil
		}
	}
	file, err := u.folder.openShared(usageName)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() < usageSize {
		err = file.Truncate(usageSize) // with zeros; if another process was faster, with nothing
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	u.opened, u.info = file, info
	return file, nil
}

// add changes the count of a stripe, for who has its lock.
func (u *usage) add(stripe int, n int64) error {
	if n == 0 {
		return nil
	}
	file, err := u.file()
	if err != nil {
		return err
	}
	var b [countSize]byte
	if _, err := file.ReadAt(b[:], int64(stripe*countSize)); err != nil {
		return err
	}
	return setIn(file, stripe, count(b[:])+n)
}

// set sets the count of a stripe, for who has its lock.
func (u *usage) set(stripe int, n int64) error {
	file, err := u.file()
	if err != nil {
		return err
	}
	return setIn(file, stripe, n)
}

func setIn(file *os.File, stripe int, n int64) error {
	var b [countSize]byte
	binary.LittleEndian.PutUint64(b[:], uint64(max(n, 0)))
	_, err := file.WriteAt(b[:], int64(stripe*countSize))
	return err
}

// startCount is how a sweep begins, and endCount how it ends when it has counted
// all entries. Where not all were counted before, what startCount leaves in the
// place of counted shows whether the counts were lost meanwhile.
func (u *usage) startCount() (mark int64, err error) {
	file, err := u.file()
	if err != nil {
		return 0, err
	}
	var b [countSize]byte
	if _, err := file.ReadAt(b[:], counted*countSize); err != nil || count(b[:]) != 0 {
		return 0, err // nothing to be said at the end
	}
	mark = math.MaxInt64 - rand.Int64N(1<<32) // which count takes for 0
	return mark, setIn(file, counted, mark)
}

func (u *usage) endCount(mark int64) error {
	file, err := u.file()
	if err != nil || mark == 0 {
		return err
	}
	var b [countSize]byte
	if _, err := file.ReadAt(b[:], counted*countSize); err != nil || int64(binary.LittleEndian.Uint64(b[:])) != mark {
		return err
	}
	return setIn(file, counted, 1)
}

// total is the sum of all counts. It is too little unless all entries are
// counted, which a sweep sees to.
func (u *usage) total() (sum int64, all bool, err error) {
	file, err := u.file()
	if err != nil {
		return 0, false, err
	}
	var b [usageSize]byte
	if _, err := file.ReadAt(b[:], 0); err != nil {
		return 0, false, err
	}
	for i := range stripes {
		sum += count(b[i*countSize:])
	}
	return sum, count(b[counted*countSize:]) != 0, nil
}

// count reads a count. One that cannot be is 0, as a file may be damaged.
func count(b []byte) int64 {
	const most = 1 << 56 // of which 64 are less than 1<<63
	if n := int64(binary.LittleEndian.Uint64(b)); n >= 0 && n <= most {
		return n
	}
	return 0
}

func (u *usage) close() {
	if u.opened != nil {
		u.opened.Close()
	}
}
