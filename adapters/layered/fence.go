package layered

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// fence says whether L1 may be served. It is open while all changes up to
// delta ago are proved to have been told, by the monotonic clock, and L1 has
// let go of everything that it was to drop.
type fence struct {
	start time.Time // what until counts from
	delta time.Duration
	off   bool         // see switches
	until atomic.Int64 // the end of the time in which L1 is served, in ns; see set

	mu       sync.Mutex
	proven   time.Time // zero if nothing is; store.AlwaysProven
	failures uint64    // of L1 to drop something
	mended   uint64    // failures up to this one have no effect any more
	closed   bool
}

const (
	never  = math.MinInt64
	always = math.MaxInt64
)

func (f *fence) init(delta time.Duration) {
	f.start, f.delta = time.Now(), delta
	f.until.Store(never)
}

// open costs one atomic load and no lock.
func (f *fence) open(now time.Time) bool { return f.openAfter(now.Sub(f.start)) }

func (f *fence) openAfter(since time.Duration) bool { return int64(since) <= f.until.Load() }

// prove tells that all changes before sent have been told.
func (f *fence) prove(sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sent.After(f.proven) {
		f.proven = sent
		f.set()
	}
}

// provenAt returns up to when L1 is known to be true; zero if it is not.
func (f *fence) provenAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failures != f.mended {
		return time.Time{}
	}
	return f.proven
}

// distrust closes the fence until L1 is cleared.
func (f *fence) distrust() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures++
	f.set()
}

// distrusted returns what to give to trust after L1 is cleared; 0 if there is
// no need.
func (f *fence) distrusted() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failures == f.mended {
		return 0
	}
	return f.failures
}

func (f *fence) trust(failures uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mended = failures
	f.set()
}

func (f *fence) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.set()
}

// set computes until. f is locked.
func (f *fence) set() {
	switch {
	case f.closed, f.failures != f.mended, f.proven.IsZero() && !f.off:
		f.until.Store(never)
	case f.off, f.proven.Equal(store.AlwaysProven):
		f.until.Store(always)
	default:
		f.until.Store(int64(f.proven.Add(f.delta).Sub(f.start)))
	}
}
