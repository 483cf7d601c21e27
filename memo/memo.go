package memo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// Memo is what memoized functions have in common: the store, the namespace of
// their keys, the policy that they inherit. Make one with New. Its methods may
// be called concurrently.
type Memo struct {
	root        region
	regions     map[string]region
	compression *Compression
	strict      bool
	verify      bool
	since       int64 // Unix nanoseconds: what was stored before is not answered
	skip        bool
	lock        func(ctx context.Context, key string) (release func(), err error)
	trace       Trace
	log         *operatorLog
	counters    *counters // of what belongs to no function
	scope       *flight.Scope
	versions    *flight.Group[version] // reads of generations
	tags        keySpace
	tagSeq      atomic.Uint64 // the number of times that tags were invalidated, twice each: before and after

	watching    context.Context // ends with Close
	endWatching context.CancelFunc
	watchMu     sync.Mutex
	watchers    []*watcher                            // one for each store
	byPrefix    atomic.Pointer[map[string][]function] // the functions, by that of their keys
	leaseless   bool                                  // set by tests

	mu     sync.Mutex
	funcs  map[string]function // by name
	keyed  map[keyedID]function
	places []*place // distinct
	paused bool     // nothing is counted
}

// function is what a Memo knows of a Func.
type function interface {
	clear(ctx context.Context) error
	counts() *counters
	invalidate(key string) *flight.Invalidation
	prefix() string
	changed(key string)
	allChanged()
}

// Options configures a Memo. The zero value is the default.
type Options struct {
	// Namespace begins the keys of all functions. Programs, or parts of one,
	// that share a store take different ones.
	Namespace string

	// Policy is for those functions that state none of their own.
	Policy Policy

	// Regions are named sets of options, for functions that name one. What a
	// function states itself precedes what its region does, then the region's
	// parent, and so on; the Memo comes last.
	Regions map[string]Region

	// Compression is for the functions that state none of their own. Nil is
	// none.
	Compression *Compression

	// Strict lets a call fail whose store has failed, with the error of the
	// store, although the value could be loaded or was.
	Strict bool

	// Verify calls the function on every hit, too, and reports to Trace, the
	// Logger and Stats if it returns anything else than what was stored. The
	// caller gets what was stored, as without Verify. It finds functions that
	// should not be memoized, and is slow. The environment variable CAIRN_MEMO_VERIFY=1 does the same
	// for all Memos of a process.
	Verify bool

	// Refresh answers nothing that was stored before the Memo was made, so that
	// each argument is loaded and overwritten once, when it is first asked for;
	// what was stored since, by this process or another, is a hit. It goes by
	// the time at which an entry was created, with the clocks of the processes
	// being as they are. What was there before is no substitute either if a
	// load fails, not even with Call.StaleOK, and is as good as none to Has, TTL
	// and Touch; but [Previous] and Meta give it. The environment variable
	// CAIRN_MEMO_REFRESH=1 does the same for all Memos of a process.
	Refresh bool

	// Skip makes every call go to the function, as with Call.Skip, whatever a
	// Call or a context says, and also Refresh. Set stores nothing, but removes
	// what is stored. What else changes the store does so as ever, for other
	// processes: Delete, Expire, Touch, Update, Clear, InvalidateTags; and Has,
	// TTL and Meta tell what is stored. There are no hits, so Verify does
	// nothing. The environment variable CAIRN_MEMO_SKIP=1 does the same for all
	// Memos of a process. Refresh and Skip together are ErrInvalid, wherever
	// they are set.
	Skip bool

	// Lock is for stores that have locks and no leases, and is not called over
	// others: with leases (store.LeaseStore) one process at a time loads a key
	// without it. If given, it is called before a function is called for a
	// key, and release when its result has been stored and before it is
	// answered, so that one process at a time loads the key. The store is
	// asked again in between. If Lock returns an error, the load goes on
	// without. GetMany with FillMany does not call it. Locker.Acquire of package
	// lock is such a function.
	Lock func(ctx context.Context, key string) (release func(), err error)

	// Trace is told what happens. It is copied.
	Trace *Trace

	// Logger is told what an operator must act on, at most once in ten seconds
	// for each kind and function: a store that fails, entries that cannot be
	// read, results that cannot be stored, refreshes in the background that
	// fail. No key and no value is in it. Nil is slog.Default().
	Logger *slog.Logger
}

// New makes a Memo that keeps its values in s, which may be Later. The store
// stays the caller's, to be closed after the Memo. A bad argument is
// ErrInvalid.
func New(s store.Store, o *Options) (*Memo, error) {
	if s == nil {
		return nil, invalid("memo: new: the store is nil; make one with an adapter, such as memory.New(nil), or write memo.Later and call Bind")
	}
	if o == nil {
		o = new(Options)
	}
	if err := o.Policy.check(); err != nil {
		return nil, fmt.Errorf("memo: new: Options.%w", err)
	}
	if err := o.Compression.check(); err != nil {
		return nil, fmt.Errorf("memo: new: Options.%w", err)
	}
	o, err := o.switched()
	if err != nil {
		return nil, err
	}
	root := region{namespace: o.Namespace, policy: o.Policy, place: newPlace(s)}
	regions, err := resolveRegions(root, o.Regions)
	if err != nil {
		return nil, err
	}
	tags, err := newKeySpace(o.Namespace, "", "")
	if err != nil {
		return nil, err
	}
	tags.prefix += "#tag:" // # is in no key before a hash
	m := &Memo{
		root:        root,
		regions:     regions,
		compression: o.Compression,
		strict:      o.Strict,
		verify:      o.Verify,
		skip:        o.Skip,
		lock:        o.Lock,
		log:         newOperatorLog(o.Logger),
		counters:    newCounters(),
		scope:       flight.NewScope(),
		tags:        tags,
		funcs:       make(map[string]function),
		keyed:       make(map[keyedID]function),
	}
	if o.Refresh {
		m.since = time.Now().UnixNano()
	}
	m.versions = flight.NewGroup[version](m.scope)
	m.watching, m.endWatching = context.WithCancel(context.Background())
	m.byPrefix.Store(&map[string][]function{})
	if o.Trace != nil {
		m.trace = *o.Trace
	}
	m.addPlace(root.place)
	for _, r := range regions {
		m.addPlace(r.place)
	}
	for _, p := range m.places {
		m.watch(p.site.Load())
	}
	return m, nil
}

// Close lets no function of m answer any more: every method returns an error
// matching ErrClosed. It waits for the loads under way, also those in the
// background. If ctx ends first, it cancels them, releases their callers with
// ErrClosed, and returns ctx.Err(); what they still load is not stored. A
// function that heeds its context has then ended or is about to; another one
// goes on by itself, to no effect.
//
// Close does not close the store. It may be called again. In a memoized
// function it would wait for itself. A Memo that is not closed lives as long as
// its stores, if these tell it of changes.
func (m *Memo) Close(ctx context.Context) error {
	if ctx == nil {
		return invalid("memo: close: " + nilContext)
	}
	defer m.endWatching() // what is still loading is to know of changes
	if err := m.scope.Close(ctx); err != nil {
		return fmt.Errorf("memo: close: loads are still under way: %w", err)
	}
	return nil
}

// Clear removes all entries of the functions that were wrapped in m, as
// [Func.Clear] does for one, and those of [Get]. It takes as long as for one, and returns the errors
// of all that failed.
func (m *Memo) Clear(ctx context.Context) error {
	if err := m.check(ctx, "clear"); err != nil {
		return err
	}
	if err := m.meetGet(); err != nil {
		return err
	}
	functions := m.functions()
	errs := make([]error, len(functions))
	var wg sync.WaitGroup
	for i, f := range functions {
		wg.Go(func() { errs[i] = f.clear(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// meetGet makes functions of m that stand for those of [Get] in each region, as
// other processes may have called it.
func (m *Memo) meetGet() error {
	regions := map[string]region{"": m.root}
	maps.Copy(regions, m.regions)
	for name, r := range regions {
		if r.place.site.Load() == nil {
			continue // nothing is stored there
		}
		if _, err := undeclared[any](m, name, false); err != nil {
			return err
		}
	}
	return nil
}

// functions returns all functions of m.
func (m *Memo) functions() []function {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Values(m.funcs)), maps.Values(m.keyed))
}

// adopt makes the store and the counters of a function part of m.
func (m *Memo) adopt(p *place, c *counters) {
	defer func() { m.watch(p.site.Load()) }()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addPlace(p)
	if m.paused {
		c.pause()
	}
}

// reserve takes the name of a function, once.
func (m *Memo) reserve(name string, f function) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.funcs[name]; taken {
		return false
	}
	m.funcs[name] = f
	m.index(f)
	return true
}

// check checks a call of a method of m itself.
func (m *Memo) check(ctx context.Context, op string) error {
	switch {
	case ctx == nil:
		return &Error{op, "", "", invalid(nilContext)}
	case m.scope.Closed():
		return &Error{op, "", "", ErrClosed}
	}
	if err := ctx.Err(); err != nil {
		return &Error{op, "", "", err}
	}
	return nil
}
