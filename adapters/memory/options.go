package memory

import (
	"math"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

const defaultMaxEntries = 100_000

// A Policy says which entry goes when there is no room for another: TinyLFU,
// LRU, MRU, LFU, FIFO, LIFO or Random. It prints as its name. Entries that have
// expired go first, unless another goroutine is just busy among them. The entry
// that is being written never makes room for itself.
//
// Every read of a value uses the entry, from Get to GetOrLease, and so does a
// write. TTL, Has, Keys, All, Copy, Touch, and an Add or CompareAndSwap that
// stores nothing do not.
//
// TinyLFU spreads entries over locks of their own, so that many goroutines get
// at them at the same time. The others keep one exact order of all entries,
// which takes one lock: LRU, MRU and LFU for every read as well, FIFO, LIFO and
// Random for writes alone.
type Policy = cache.Policy

const (
	TinyLFU = cache.TinyLFU // those that were seldom used, now and before they came; has the best hit rate for most programs
	LRU     = cache.LRU     // the least recently used
	MRU     = cache.MRU     // the most recently used: for loops over more keys than there is room for
	LFU     = cache.LFU     // the least often used since it was written; of several, the one written first
	FIFO    = cache.FIFO    // the one written first; to write it again counts
	LIFO    = cache.LIFO    // the one written last
	Random  = cache.Random  // any one, each with the same probability
)

// Options are the choices for New. The zero Options, and nil, are the
// defaults.
type Options struct {
	// MaxEntries is how many entries the Store holds, at most and at any
	// moment: a write that needs room evicts first.
	//
	// 0 is 100,000, unless MaxBytes is set: a cache that nobody has sized must
	// not grow for ever. math.MaxInt is no bound.
	MaxEntries int

	// MaxBytes bounds the memory that entries take, as MaxEntries bounds their
	// number: the bytes of key and value, and 160 for each entry. What readers
	// decode from the bytes is not counted. An entry that is larger by itself
	// is ErrTooLarge, and what its key held before is gone.
	//
	// SetLive then encodes the value at once, in order to know its size;
	// without MaxBytes it never does. 0 is no bound in bytes.
	MaxBytes int64

	// Policy is which entries go when there is no room. 0 is TinyLFU.
	Policy Policy

	// TTL is what store.DefaultTTL stands for. 0 is store.Forever.
	TTL time.Duration

	// OnGet, if not nil, is called for each read that counts in Stats, with the
	// value, or with nil and false if there was none.
	//
	// This and the other hooks get values that are shared and read-only. They
	// are called outside all locks, by the goroutine whose call they tell of and
	// before that call returns, so they should be quick. Of what the Store removes
	// by itself, once it has expired, they are told by a goroutine of its own.
	// Several goroutines may call them at once. What one call has changed they are
	// told in its order. A panic in one ends that one call of it, and is counted
	// in Stats.
	//
	// They may use the Store, but not while they hold a lock that they take
	// themselves: what such a call changes they are told before it returns. One
	// that puts back whatever was evicted evicts another by that, and calls itself
	// until the stack is full.
	OnGet func(key string, l *store.Live, found bool)

	// OnSet, if not nil, is called once for each write of a value, after
	// OnRemove for what it has replaced or evicted. old is the value that it
	// has replaced, or nil. To SetLive what is there is no such write.
	OnSet func(key string, new, old *store.Live, replaced bool)

	// OnRemove, if not nil, is called once for each value that leaves the
	// Store, after the removal, with the cause. Close does not report what it
	// drops.
	OnRemove func(key string, l *store.Live, cause Cause)

	encode bool // what is written, though MaxBytes is 0: it is about to be set
}

// complete is o, with the defaults filled in.
func (o *Options) complete(op string) (*Options, error) {
	if o == nil {
		o = &Options{}
	}
	if problem := o.problem(); problem != "" {
		return nil, store.Errorf(op, "", store.ErrInvalid, "%s", problem)
	}
	c := *o
	switch {
	case c.MaxEntries > 0:
	case c.MaxBytes > 0:
		c.MaxEntries = math.MaxInt
	default:
		c.MaxEntries = defaultMaxEntries
	}
	if c.TTL == store.DefaultTTL {
		c.TTL = store.Forever
	}
	return &c, nil
}

func (o *Options) problem() string {
	switch {
	case o.MaxEntries < 0:
		return "MaxEntries is negative; leave it 0 for the default, or set math.MaxInt for no bound"
	case o.MaxBytes < 0:
		return "MaxBytes is negative; leave it 0 for no bound in bytes"
	case o.TTL < 0:
		return "TTL is negative; leave it 0 for entries without expiry"
	case !o.Policy.Valid():
		return "Policy is " + o.Policy.String() + "; choose one of the constants, or leave it 0 for TinyLFU"
	}
	return ""
}

func (o *Options) limits() cache.Limits {
	return cache.Limits{Entries: int64(o.MaxEntries), Bytes: o.MaxBytes, Policy: o.Policy}
}

// Options are the present ones, with the defaults filled in: what to change some
// of, and give to Reconfigure.
func (s *Store) Options() Options {
	o := *s.options.Load()
	o.encode = false
	return o
}

// Reconfigure gives the Store other options, all of them: those that are zero in
// o become the defaults again. Entries stay, with their deadlines, but for those that
// there is no room for any more: they are evicted before Reconfigure returns.
// A new Policy begins with the order that the old one gave the entries. Each
// change is told to the hooks of its time.
//
// Where MaxBytes was 0 and is not in o, all live values are encoded. If one
// cannot be, or if o makes no sense, the error is ErrInvalid and nothing
// changes.
func (s *Store) Reconfigure(o *Options) error {
	const op = "reconfigure"
	next, err := o.complete(op)
	if err != nil {
		return err
	}
	return s.reconfigure(op, func(*Options) *Options { return next })
}

// Resize changes MaxEntries alone. See Reconfigure.
func (s *Store) Resize(maxEntries int) error {
	const op = "resize"
	if maxEntries <= 0 {
		return store.Errorf(op, "", store.ErrInvalid, "the size is %d; it must be 1 or more", maxEntries)
	}
	return s.reconfigure(op, func(before *Options) *Options {
		next := *before
		next.MaxEntries = maxEntries
		return &next
	})
}

func (s *Store) reconfigure(op string, change func(before *Options) *Options) error {
	var removed []removal
	defer func() { s.tellRemoved(removed) }() // outside the lock, as hooks may change options themselves
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.closed.Load() {
		return errClosed(op, "")
	}
	before := s.options.Load()
	next := change(before)
	if next.MaxBytes > 0 && before.MaxBytes == 0 {
		// What is written from now on has its bytes too: a write that was made
		// ready for other options is made anew.
		encoding := *before
		encoding.encode = true
		s.options.Store(&encoding)
		defer s.options.CompareAndSwap(&encoding, before) // unless next has taken its place
		if err := s.encodeAll(op); err != nil {
			return err
		}
	}
	removed = s.cache.Reconfigure(next.limits(), func() { s.options.Store(next) })
	return nil
}

// encodeAll makes the bytes of all entries, those as well whose writes were
// under way when it was called.
func (s *Store) encodeAll(op string) error {
	s.cache.Settle()
	for key, l := range s.All() {
		if _, err := l.Bytes(); err != nil {
			return encodeError(op, key, err)
		}
	}
	return nil
}
