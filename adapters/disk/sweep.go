package disk

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"
)

// sweepName is a file that who sweeps has locked. It was last changed at the
// end of the last sweep.
const sweepName = "sweep"

const (
	sweepEvery     = time.Hour
	temporaryAge   = time.Hour // after which nobody will give it a name
	mostCandidates = 1 << 16
)

// A sweeper removes what nobody will read.
type sweeper struct {
	lock   *fileLock
	most   int         // of the candidates that a sweep remembers
	oldest []candidate // those used longest ago, at the last sweep; for who has the lock
	cancel context.CancelFunc
	done   chan struct{}
}

// A candidate is an entry that may be evicted, if it was not used since.
type candidate struct {
	used time.Time
	p    place
}

// start sweeps from time to time until stop.
func (s *Store) startSweeper() {
	ctx, cancel := context.WithCancel(context.Background())
	s.sweeper.cancel = cancel
	s.sweeper.done = make(chan struct{})
	go func() {
		defer close(s.sweeper.done)
		for failed := false; ; {
			wait := sweepEvery
			if !failed {
				wait = s.untilSweep()
			}
			if wait > 0 {
				if sleep(ctx, wait) != nil {
					return
				}
				failed = false
				continue // another process may have swept meanwhile
			}
			failed = s.sweepIfFree(ctx) != nil
		}
	}()
}

func (w *sweeper) stop() {
	w.cancel()
	<-w.done
}

// untilSweep is when the next sweep is due.
func (s *Store) untilSweep() time.Duration {
	info, err := s.folder.Lstat(sweepName)
	if errors.Is(err, fs.ErrNotExist) {
		return 0 // was removed; who sweeps makes it again
	}
	if err != nil {
		return sweepEvery
	}
	return min(sweepEvery-time.Since(info.ModTime()), sweepEvery)
}

var errBusy = errors.New("another process sweeps")

func (s *Store) sweepIfFree(ctx context.Context) error {
	locked, err := s.sweeper.lock.tryLock()
	if err != nil {
		return err
	}
	if !locked {
		return errBusy
	}
	defer s.sweeper.lock.unlock()
	return s.sweep(ctx)
}

// sweep looks at every file, for who has the lock. It removes entries that have
// expired, files that are damaged or foreign, and temporary ones of processes
// that have died; it counts the bytes anew, and finds the candidates.
func (s *Store) sweep(ctx context.Context) error {
	s.sweeper.oldest = nil
	mark, err := s.usage.startCount()
	if err != nil {
		return err
	}
	var oldest []candidate
	for stripe := range stripes {
		err := s.hold(ctx, stripe, func() error {
			var total int64
			for shard := stripe; shard < shards; shard += stripes {
				size, live, err := s.sweepShard(ctx, shard)
				if err != nil {
					return err
				}
				total += size
				oldest = append(oldest, live...)
			}
			return s.usage.set(stripe, total)
		})
		if err != nil {
			return err
		}
		if len(oldest) > s.sweeper.most {
			oldest = s.sweeper.oldestOf(oldest)
		}
	}
	s.sweeper.oldest = s.sweeper.oldestOf(oldest)
	s.sweepRoot()
	if err := s.usage.endCount(mark); err != nil {
		return err
	}
	return s.folder.Chtimes(sweepName, time.Time{}, time.Now())
}

func (w *sweeper) oldestOf(all []candidate) []candidate {
	slices.SortFunc(all, func(a, b candidate) int { return a.used.Compare(b.used) })
	return all[:min(len(all), w.most)]
}

// sweepShard returns the size of what stays in a shard and, if there is a
// bound, the entries.
func (s *Store) sweepShard(ctx context.Context, shard int) (total int64, live []candidate, err error) {
	names, err := s.folder.names(shard)
	if errors.Is(err, errForeign) {
		return 0, nil, nil // is not ours to sweep
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		p := place{byte(shard), name}
		if isTemporary(name) {
			s.sweepTemporary(p.path())
			continue
		}
		info, err := s.sweepFile(p)
		if err != nil {
			return 0, nil, err
		}
		if info == nil {
			continue
		}
		total += info.Size()
		if s.options.MaxBytes > 0 {
			live = append(live, candidate{info.ModTime(), p})
		}
	}
	return total, live, err
}

// sweepFile removes a file that should not be there, or returns what is known
// of it.
func (s *Store) sweepFile(p place) (fs.FileInfo, error) {
	h, info, err := s.folder.readHeader(p.path())
	switch {
	case err == nil && placeOf(h.key) != p:
		err = errDamaged
	case err == nil && !h.expired():
		return info, nil
	}
	switch {
	case err == nil:
		s.counts.expired.Add(1)
	case errors.Is(err, errDamaged):
		s.counts.damaged.Add(1)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errForeign):
		return nil, nil
	default:
		return nil, err
	}
	return nil, s.folder.Remove(p.path())
}

func (s *Store) sweepTemporary(path string) {
	info, err := s.folder.Lstat(path)
	if err == nil && ownFile(path, info) == nil && time.Since(info.ModTime()) > temporaryAge {
		_ = s.folder.Remove(path) // the next sweep tries again
	}
}

// sweepRoot makes the tag again if it was removed, and removes what a process
// has left that died when it made the tag. What fails the next sweep tries again.
func (s *Store) sweepRoot() {
	_ = s.folder.keepTag()
	there, err := fs.ReadDir(s.folder.FS(), ".")
	if err != nil {
		return
	}
	for _, one := range there {
		if isTemporary(one.Name()) {
			s.sweepTemporary(one.Name())
		}
	}
}

// makeRoom evicts entries if one of this size would be too much. The caller
// holds no stripe.
func (s *Store) makeRoom(ctx context.Context, size int64) error {
	most := s.options.MaxBytes
	if most == 0 {
		return nil
	}
	if total, all, err := s.usage.total(); err != nil || all && total+size <= most {
		return err
	}
	if err := s.sweeper.lock.lock(ctx); err != nil {
		return err
	}
	defer s.sweeper.lock.unlock()
	if total, all, err := s.usage.total(); err != nil || all && total+size <= most {
		return err // somebody else has made room
	}
	return s.evictTo(ctx, max(most-most/10-size, 0))
}

// evictTo evicts entries, those that were used longest ago first, until no more
// bytes than goal are left. It sweeps again as long as what the last sweep
// found could be evicted.
func (s *Store) evictTo(ctx context.Context, goal int64) error {
	for progress := true; ; {
		total, all, err := s.usage.total()
		if err != nil || all && total <= goal {
			return err
		}
		if !all || len(s.sweeper.oldest) == 0 {
			if !progress {
				return nil // what is left was written meanwhile
			}
			if err := s.sweep(ctx); err != nil {
				return err
			}
			progress = false
			continue
		}
		c := s.sweeper.oldest[0]
		evicted, err := s.evict(ctx, c)
		if err != nil {
			return err
		}
		progress = progress || evicted
		s.sweeper.oldest = s.sweeper.oldest[1:]
	}
}

// evict reports whether it has evicted c, which it does unless c was used.
func (s *Store) evict(ctx context.Context, c candidate) (evicted bool, err error) {
	err = s.hold(ctx, c.p.stripe(), func() error {
		info, err := s.folder.Lstat(c.p.path())
		if err == nil && info.ModTime().Equal(c.used) {
			err = s.drop(c.p)
			if err == nil {
				evicted = true
				s.counts.evicted.Add(1)
			}
		}
		err = s.folder.explain(c.p.path(), err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errForeign) {
			return nil // somebody else has removed it, or put something in its place
		}
		return err
	})
	return evicted, err
}
