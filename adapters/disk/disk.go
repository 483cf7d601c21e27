// Package disk is a store in a folder of the file system, one file for each
// entry. It outlives the process, and several processes may use one folder at
// the same time.
//
// Importing the package registers the scheme disk for [store.Open]:
//
//	disk:./cache
//	disk:///var/cache/app?max_bytes=10GiB&fsync=on
//	disk:?name=app
//
// The last one is a folder of that name below [os.UserCacheDir].
//
// Cairn's folders are private, mode 0700, and so are the files. They hold
// nothing else: a new one that has other things in it is refused, and nothing
// outside is ever touched.
package disk

import (
	"context"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// Options are the choices for New. The zero Options, and nil, are the
// defaults.
type Options struct {
	// MaxBytes bounds the size of all files of entries together. A write that
	// needs room evicts those that were used longest ago, to about 10 s, until
	// a tenth is free. It looks through the folder first, unless it still knows
	// of old ones from the last time, and then removes what has expired before
	// it evicts anything. While writes overlap there may be one entry more for
	// each of them. All processes that use the folder must agree on it. 0 is no
	// bound.
	//
	// An entry that is larger by itself is ErrTooLarge, and what its key held
	// before is gone.
	MaxBytes int64

	// TTL is what store.DefaultTTL stands for. 0 is store.Forever.
	TTL time.Duration

	// Prefix is put before each key. Stores with different prefixes in one
	// folder do not see each other's entries.
	Prefix string

	// Fsync makes a write wait until its data, and the name of its file, are on
	// the disk, so that it survives a crash of the system, and not only one of
	// the process.
	Fsync bool
}

// Store is a store in a folder. New makes it. Its methods may be called
// concurrently, also from several processes.
//
// A value is written to a file of its own, which then takes the place of the
// old one at once: whoever reads sees the one or the other, and one that was
// killed while it wrote has written nothing. What is read is checked by a sum;
// a file that is damaged is a miss, and removed. Time is that of the wall
// clock, to the nanosecond.
//
// What the file system refuses (a full disk, a removed folder, no more open
// files) is ErrUnavailable. A link, a folder or another user's file in the place
// of an entry is ErrInvalid until somebody removes it; but a read follows a link
// to another file in the folder, and finds an entry there only if it is that of
// the key. Either way the old entry
// stays as it was. A read waits for nobody. A write waits while another one
// changes or sweeps the same 64th of the folder, or makes room; if its context
// ends meanwhile it has written nothing.
//
// The folder must be on a disk of this machine: locks and renames may not hold
// between machines that share one over a network. A Store keeps up to 67 files
// open, most of them locks, and each call opens a few more.
//
// An open Store has a goroutine that sweeps the folder once an hour, if no
// other process has: it removes what has expired, what is damaged, and what
// processes left that were killed while they wrote. Close ends it.
type Store struct {
	options Options
	folder  *folder
	locks   [stripes]*fileLock
	usage   *usage
	sweeper sweeper
	counts  counts

	inUse  sync.RWMutex // held while a call runs; Close waits for all
	closed bool
}

var (
	_ store.GetManyStore          = (*Store)(nil)
	_ store.GetWithTTLStore       = (*Store)(nil)
	_ store.AddStore              = (*Store)(nil)
	_ store.CompareAndSwapStore   = (*Store)(nil)
	_ store.CompareAndDeleteStore = (*Store)(nil)
	_ store.TouchStore            = (*Store)(nil)
	_ store.KeysStore             = (*Store)(nil)
	_ store.ClearStore            = (*Store)(nil)
)

// New opens the folder at path, and makes it if there is none, with those above
// it. A path that is a symbolic link, a folder of another owner, one that others
// may enter, or one that is not Cairn's yet and has other things in it is
// ErrInvalid, and so is a bad Option; a file system that refuses is
// ErrUnavailable. Where files cannot be locked, as on Windows, it is
// errors.ErrUnsupported.
func New(path string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if problem := o.problem(); problem != "" {
		return nil, store.Errorf("new", "", store.ErrInvalid, "%s", problem)
	}
	s := &Store{options: *o}
	if s.options.TTL == store.DefaultTTL {
		s.options.TTL = store.Forever
	}
	if err := s.open(path); err != nil {
		s.release()
		return nil, failed("new", "", err)
	}
	s.startSweeper()
	return s, nil
}

func (o *Options) problem() string {
	switch {
	case o.MaxBytes < 0:
		return "MaxBytes is negative; leave it 0 for no bound"
	case o.TTL < 0:
		return "TTL is negative; leave it 0 for entries without expiry"
	case len(o.Prefix) >= store.MaxKeyLen:
		return "Prefix leaves no room for keys"
	}
	return ""
}

func (s *Store) open(path string) (err error) {
	if s.folder, err = openFolder(path); err != nil {
		return err
	}
	s.locks = newStripeLocks(s.folder)
	s.sweeper.lock, s.sweeper.most = newFileLock(s.folder, sweepName), mostCandidates
	if s.usage, err = openUsage(s.folder); err != nil {
		return err
	}
	// The file is made now, so that a new folder is swept in an hour.
	s.sweeper.lock.file, err = s.folder.openShared(sweepName)
	return err
}

// release gives back what open has taken, however far that came.
func (s *Store) release() {
	if s.folder == nil {
		return
	}
	if s.usage != nil {
		s.usage.close()
	}
	s.sweeper.lock.close()
	for _, l := range s.locks {
		l.close()
	}
	s.folder.Close()
}

// Close waits for calls that are under way, and for a sweep. What is stored
// stays. Every later call is ErrClosed, but a second Close does nothing and
// returns nil.
func (s *Store) Close() error {
	s.sweeper.stop()
	s.inUse.Lock()
	defer s.inUse.Unlock()
	if !s.closed {
		s.closed = true
		s.release()
	}
	return nil
}

// begin is how each method begins. If it returns nil the method ends with
// s.inUse.RUnlock.
func (s *Store) begin(ctx context.Context, op string, keys ...string) error {
	if err := s.check(ctx, op, keys...); err != nil {
		return err
	}
	s.inUse.RLock()
	if !s.closed {
		return nil
	}
	s.inUse.RUnlock()
	key := ""
	if len(keys) == 1 {
		key = keys[0]
	}
	return store.Errorf(op, key, store.ErrClosed, "%w", store.ErrClosed)
}

func (s *Store) check(ctx context.Context, op string, keys ...string) error {
	if err := store.Check(ctx, op, keys...); err != nil {
		return err
	}
	for _, key := range keys {
		if len(s.options.Prefix)+len(key) > store.MaxKeyLen {
			return store.Errorf(op, key, store.ErrInvalid, "the key has %d bytes with its prefix, more than %d", len(s.options.Prefix)+len(key), store.MaxKeyLen)
		}
	}
	return nil
}

// checkWrite is begin for a method that takes a time to live.
func (s *Store) checkWrite(ctx context.Context, op, key string, ttl time.Duration) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return err
	}
	return s.begin(ctx, op, key)
}

// failed makes what a method returns of an error of the file system or of a
// context; nil stays nil.
func failed(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return store.Errorf(op, key, kindOf(err), "%w", err)
}
