package memo

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// load is one call of the function, or of FillMany, that is to be stored.
type load struct {
	*query
	said    *loading
	stored  bool    // there was an entry, good for whatever
	instead bool    // it has a value that is answered if the load fails
	moment  version // see Memo.momentKey
	tagSeq  uint64
	keep    bool // its validity can be told, so it may be stored

	storeErr error // why it cannot be told
}

// request is what is to be done for a key that nobody loads yet. s is what the
// caller has seen in the store after seen. In the background it is if nobody
// waits for it.
func (f *Func[K, V]) request(v *query, key string, k K, s sighting[V], seen flight.Mark, background bool) flight.Request[*outcome[V]] {
	if f.leased(v) {
		return f.leasedRequest(v, key, k, s, seen, background)
	}
	release := func() {}
	return flight.Request[*outcome[V]]{
		Key:     key,
		Seen:    seen,
		Epoch:   f.epoch(v),
		Timeout: v.policy.LoadTimeout,
		Load: func(ctx context.Context, again bool) (o *outcome[V], err error) {
			if again {
				if o := f.lookAgain(ctx, v, key, s); o != nil {
					return o, nil
				}
			}
			if f.memo.leases(v.at) {
				return f.make(ctx, v, key, k, s)
			}
			defer func() {
				if o == nil { // else Fill or Void does it
					release()
				}
			}()
			return f.loadLocked(ctx, v, key, k, s, &release)
		},
		Fill: func(ctx context.Context, o *outcome[V]) {
			defer release()
			f.fill(ctx, v, key, o)
		},
		Void: func() {
			defer release()
			f.counters.add(loadVoided, 1)
		},
	}
}

// loadLocked loads under the lock of the Memo's option, if there is one. That is
// given back by what release is set to, also if the load fails.
func (f *Func[K, V]) loadLocked(ctx context.Context, v *query, key string, k K, s sighting[V], release *func()) (*outcome[V], error) {
	if f.memo.lock != nil {
		*release = f.acquire(ctx, key)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if o := f.lookAgain(ctx, v, key, s); o != nil {
			return o, nil
		}
	}
	return f.make(ctx, v, key, k, s)
}

// epoch is that of the generation that the caller has seen.
func (f *Func[K, V]) epoch(v *query) uint64 {
	if v.generation != nil {
		return v.generation.epoch
	}
	if g := f.generations.last.Load(); g != nil {
		return g.epoch
	}
	return 0
}

// lookAgain returns what has been stored since the caller looked, if that is
// what the caller wants.
func (f *Func[K, V]) lookAgain(ctx context.Context, v *query, key string, before sighting[V]) *outcome[V] {
	if v.refresh {
		return nil
	}
	now := v.later()
	s, err := f.look(ctx, &now, key)
	if err != nil {
		return nil
	}
	return f.newer(v, key, before, s)
}

// newer makes an outcome of what is stored now, if it is fresh and not what
// the caller has seen before.
func (f *Func[K, V]) newer(v *query, key string, before, now sighting[V]) *outcome[V] {
	if now.verdict != fresh {
		return nil
	}
	if b := before.entry; before.verdict == fresh && b.created == now.entry.created && b.fresh == now.entry.fresh {
		return nil // that is the one to be refreshed
	}
	o := &outcome[V]{value: now.entry.value, entry: now.entry, found: true, tagSeq: v.tagSeq}
	if now.entry.negative() {
		_, o.failure = f.remembered(v, key, now.entry)
		return o
	}
	o.live, _ = f.format.live(now.entry, f.shared)
	return o
}

// acquire takes the lock of the Memo's option, or goes on without.
func (f *Func[K, V]) acquire(ctx context.Context, key string) (release func()) {
	release, err := f.memo.lock(ctx, key)
	if err != nil {
		f.reportStore(ctx, "lock", err)
	}
	if err != nil || release == nil {
		return func() {}
	}
	return release
}

// make calls the function and makes an entry of its value.
func (f *Func[K, V]) make(ctx context.Context, v *query, key string, k K, s sighting[V]) (*outcome[V], error) {
	l := f.begin(ctx, v)
	l.stored, l.instead = s.entry != nil, f.instead(v, s) != 0
	tags := f.declared(ctx, l, f.tagsOf(l, k))
	var last atomic.Pointer[store.Live] // what Previous has returned
	l.said.previous = func(ctx context.Context) (any, Meta, bool) {
		e, live := f.previous(ctx, v, key)
		if e == nil {
			return nil, Meta{}, false
		}
		last.Store(live)
		b, _ := live.Bytes()
		return e.value, e.describe(v.policy.Stale, len(b)), true
	}
	value, took, err := f.call(ctx, l.said, k)
	if errors.Is(err, ErrNotModified) {
		if e := f.unmodified(ctx, v, key, last.Load()); e != nil {
			value, err = e.value, nil
			tags = merge(tags, e.tags)
			if l.said.etag == nil && v.etag == nil && e.has(flagETag) {
				l.said.etag = &e.etag
			}
		}
	}
	f.named(ctx, l)
	return f.outcome(ctx, l, key, k, value, took, tags, err)
}

// begin prepares a load: what is read of the store for it is read before the
// function reads what it returns.
func (f *Func[K, V]) begin(ctx context.Context, v *query) *load {
	l := &load{query: v, said: new(loading), tagSeq: f.memo.tagSeq.Load(), keep: v.generation != nil && !v.failed}
	if !l.keep {
		return l
	}
	l.moment = v.generation.moment
	if f.tagged.Load() {
		moment, err := f.memo.moment(ctx, v.at.Store)
		if err != nil {
			f.unknownTags(ctx, l, err)
		}
		l.moment = moment
	}
	return l
}

func (f *Func[K, V]) unknownTags(ctx context.Context, l *load, err error) {
	f.reportStore(ctx, "get", err)
	l.keep, l.storeErr = false, err
}

// tagsOf returns the tags that are known before the load.
func (f *Func[K, V]) tagsOf(l *load, k K) []string {
	if f.tags == nil {
		return l.ask.tags
	}
	return slices.Concat(f.tags(k), l.ask.tags)
}

// declared returns the tags that are known before the load with their present
// versions.
func (f *Func[K, V]) declared(ctx context.Context, l *load, names []string) []tag {
	if !l.keep {
		return unversioned(names)
	}
	tags, err := f.memo.tagsNow(ctx, l.at.Store, names)
	if err != nil {
		f.unknownTags(ctx, l, err)
		return unversioned(names)
	}
	return tags
}

// named adds the tags that the function has named itself. The versions are
// read before the moment, as InvalidateTags changes them after it.
func (f *Func[K, V]) named(ctx context.Context, l *load) {
	if len(l.said.tags) == 0 {
		return
	}
	f.tagged.Store(true)
	l.said.versions = unversioned(l.said.tags)
	if !l.keep {
		return
	}
	tags, err := f.memo.tagsNow(ctx, l.at.Store, l.said.tags)
	if err != nil {
		f.unknownTags(ctx, l, err)
		return
	}
	moment, err := f.memo.moment(ctx, l.at.Store)
	if err != nil {
		f.unknownTags(ctx, l, err)
		return
	}
	if moment != l.moment {
		l.keep = false
		return
	}
	l.said.versions = tags
}

// tagsHold reports of loads that the caller has joined whether none of their
// tags was invalidated, in whichever process, since they began. If the store
// does not tell, none was in this process, and that has to do: those who join
// shall not all load again because the store is away.
func (f *Func[K, V]) tagsHold(ctx context.Context, v *query, outcomes ...*outcome[V]) []bool {
	sightings := make([]sighting[V], len(outcomes))
	var tagged []*sighting[V]
	for i, o := range outcomes {
		sightings[i].entry = o.entry
		if len(o.entry.tags) > 0 {
			tagged = append(tagged, &sightings[i])
		}
	}
	hold := slices.Repeat([]bool{true}, len(outcomes))
	if len(tagged) == 0 || v.generation == nil || f.checkTags(ctx, v, tagged) != nil {
		return hold
	}
	for i := range sightings {
		hold[i] = sightings[i].entry != nil
	}
	return hold
}

// previous returns the value that is stored, whatever it is good for, and what
// the store has for it; nil if there is none.
func (f *Func[K, V]) previous(ctx context.Context, v *query, key string) (*entry[V], *store.Live) {
	if v.generation == nil {
		return nil, nil
	}
	live, err := store.GetLive(ctx, v.at.Store, key)
	if err != nil {
		f.reportStore(ctx, "get", err)
		return nil, nil
	}
	whatever := *v.ask
	whatever.staleOK = true // so that the value is decoded
	now := *v
	now.ask, now.now = &whatever, time.Now().UnixNano()
	s, err := f.judgeLive(ctx, &now, live)
	if err != nil || s.entry == nil || s.entry.negative() {
		return nil, nil
	}
	return s.entry, live
}

// unmodified returns the entry whose value the function has found to be still
// right: what Previous has returned, though it may have expired since, in a
// copy that the function has not had.
func (f *Func[K, V]) unmodified(ctx context.Context, v *query, key string, last *store.Live) *entry[V] {
	if last == nil {
		e, _ := f.previous(ctx, v, key)
		return e
	}
	e, err := f.copyOf(last)
	if err != nil {
		f.reportDecode(ctx, err)
		return nil
	}
	return e
}

// call calls the function and measures it. What it says about what it loads
// goes to said.
func (f *Func[K, V]) call(ctx context.Context, said *loading, k K) (v V, took time.Duration, err error) {
	defer said.end()
	ctx = said.in(ctx)
	took, err = f.measure(ctx, func() (err error) {
		v, err = f.fn(ctx, k)
		return err
	})
	return v, took, err
}

// measure calls a function of the user, and tells how long it took and how it
// ended.
func (f *Func[K, V]) measure(ctx context.Context, call func() error) (took time.Duration, err error) {
	emit(ctx, f.memo, f.memo.trace.LoadStart, LoadStartInfo{f.name})
	start := time.Now()
	returned := false
	defer func() {
		took = time.Since(start)
		var panicked *PanicError
		if !returned {
			if p := recover(); p != nil {
				panicked = &PanicError{Value: p, Stack: debug.Stack()}
				err = panicked
			} else {
				err = &GoexitError{Stack: debug.Stack()}
			}
		}
		f.countLoad(took, err)
		emit(ctx, f.memo, f.memo.trace.LoadDone, LoadDoneInfo{f.name, took, err})
		if panicked != nil {
			flight.Repanic(panicked)
		}
	}()
	err = call()
	returned = true
	return took, err
}
