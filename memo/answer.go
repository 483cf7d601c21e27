package memo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// answer answers a call from the store, or from the function.
func (f *Func[K, V]) answer(ctx context.Context, a *ask, key string, k K) (Result[V], error) {
	if err := ctx.Err(); err != nil {
		return f.fail(a, key, err)
	}
	v, err := f.query(ctx, a)
	if err != nil {
		return Result[V]{Err: err}, err
	}
	seen := f.flights.Mark()
	s, err := f.look(ctx, &v, key)
	return f.proceed(ctx, v, key, k, s, seen, err)
}

// proceed answers a call that has found s in the store, or err.
func (f *Func[K, V]) proceed(ctx context.Context, v query, key string, k K, s sighting[V], seen flight.Mark, err error) (Result[V], error) {
	if err != nil && f.memo.strict {
		return f.fail(v.ask, key, err)
	}
	v.failed = err != nil
	r, ok, early := f.atOnce(&v, key, s)
	if !ok {
		return f.load(ctx, v, key, k, s, seen)
	}
	if early {
		f.refresh(ctx, v, key, k, s, seen, nil)
	}
	if s.verdict == fresh && f.memo.verify && r.Err == nil {
		f.verify(ctx, k, s.entry)
	}
	if r.Source == SourceNegative {
		return r, r.Err
	}
	return r, nil
}

// atOnce answers with what was found, if that will do without waiting, and says
// whether a load in the background is to replace it.
func (f *Func[K, V]) atOnce(v *query, key string, s sighting[V]) (r Result[V], ok, refresh bool) {
	switch {
	case s.entry == nil || s.verdict == refused || v.refresh:
		return r, false, false
	case s.verdict == fresh:
		r, early := f.hit(v, key, s)
		return r, true, early
	case s.entry.negative():
		return r, false, false
	}
	paused := f.pauses.has(v, key, s.entry.created)
	if v.staleOK || paused && s.fallback || s.verdict == stale && v.policy.SoftTimeout == 0 {
		return f.stale(v, s, f.pauses.last(v, key, s.entry.created)), true, !paused
	}
	return r, false, false
}

// hit answers with an entry that is fresh, and says whether it is to be
// refreshed already.
func (f *Func[K, V]) hit(v *query, key string, s sighting[V]) (r Result[V], early bool) {
	if s.entry.negative() {
		f.counters.add(hitNegative, 1)
		r, _ = f.remembered(v, key, s.entry)
		return r, false
	}
	r = f.result(v, s.entry, v.at.source())
	f.countHit(v.at)
	return r, f.early(v, &s.entry.header) && !f.pauses.has(v, key, s.entry.created)
}

// stale answers with a value whose time is over. err is why there is no newer
// one, if that is known.
func (f *Func[K, V]) stale(v *query, s sighting[V], err error) Result[V] {
	f.counters.add(hitStale, 1)
	r := f.result(v, s.entry, SourceStale)
	r.TTL, r.Err = 0, err
	return r
}

// refresh begins a load in the background and reports whether it did, which it
// does not if there is one. then, if given, is called when the load has ended.
func (f *Func[K, V]) refresh(ctx context.Context, v query, key string, k K, s sighting[V], seen flight.Mark, then func()) bool {
	r := f.request(&v, key, k, s, seen, true)
	load := f.attempts(&v, key, s, true, r.Load)
	r.Load = func(ctx context.Context, again bool) (*outcome[V], error) {
		if then != nil {
			defer then()
		}
		return load(ctx, again)
	}
	if !f.flights.Start(ctx, r) {
		return false
	}
	f.counters.add(loadRefresh, 1)
	return true
}

// load answers from the function, called now or by somebody else already, or
// with what was found if that fails. seen was taken before the store was
// asked.
func (f *Func[K, V]) load(ctx context.Context, v query, key string, k K, s sighting[V], seen flight.Mark) (Result[V], error) {
	patience := v.patience(s.verdict)
	if v.refresh {
		return f.lead(ctx, v, key, k, s, seen, 0, patience)
	}
	deadline := time.Now().Add(patience)
	o, joined, err := f.flights.Join(ctx, key, f.epoch(&v), patience)
	if !joined {
		return f.lead(ctx, v, key, k, s, seen, 0, patience)
	}
	if r, ok, err := f.joined(ctx, &v, key, k, s, o, err, 0); ok {
		return r, err
	}
	if patience > 0 {
		patience = max(time.Until(deadline), 1)
	}
	return f.lead(ctx, v, key, k, s, seen, 1, patience)
}

// lead is load for a caller that has found nobody to join, or for whom what
// that has brought, in try 0, was not good enough.
func (f *Func[K, V]) lead(ctx context.Context, v query, key string, k K, s sighting[V], seen flight.Mark, try int, patience time.Duration) (Result[V], error) {
	r := f.request(&v, key, k, s, seen, false)
	r.Load = f.attempts(&v, key, s, false, r.Load)
	r.After = v.refresh || try > 0
	r.Patience = patience
	deadline := time.Now().Add(patience)
	for ; try < 3; try++ {
		o, led, err := f.flights.Do(ctx, r)
		if led {
			f.counters.add(callMissed, 1)
			if err != nil {
				return f.loadFailed(ctx, &v, key, s, err)
			}
			return f.loaded(&v, key, o)
		}
		if r, ok, err := f.joined(ctx, &v, key, k, s, o, err, try); ok {
			return r, err
		}
		r.After = true
		if patience > 0 {
			r.Patience = max(time.Until(deadline), 1)
		}
	}
	return f.direct(ctx, &v, key, k)
}

// joined is the answer for a caller that waited for somebody else's load, if it
// may have what that has brought.
func (f *Func[K, V]) joined(ctx context.Context, v *query, key string, k K, s sighting[V], o *outcome[V], err error, try int) (_ Result[V], ok bool, _ error) {
	if err != nil {
		r, err := f.loadFailed(ctx, v, key, s, err)
		return r, true, err
	}
	if !f.accept(v, o, try) || try == 0 && len(o.entry.tags) > 0 && !f.tagsHold(ctx, v, o)[0] {
		return Result[V]{}, false, nil
	}
	r, err := f.share(ctx, v, key, k, o)
	return r, true, err
}

// patience is how long the caller waits for a load. One who wants a new value
// is not answered a stale one, however long it takes.
func (v *query) patience(is verdict) time.Duration {
	d := v.policy.WaitTimeout
	if soft := v.policy.SoftTimeout; is == stale && !v.refresh && soft > 0 && soft != store.Forever && (d == 0 || soft < d) {
		d = soft
	}
	return d
}

// accept reports whether a caller may have what a load has brought that
// somebody else began.
func (f *Func[K, V]) accept(v *query, o *outcome[V], try int) bool {
	h := &o.entry.header
	if len(h.tags) > 0 && o.tagSeq < v.tagSeq {
		return false
	}
	if o.found {
		if v.refresh || v.generation == nil {
			return false
		}
		now := v.later()
		is, _ := f.judge(&now, h)
		return is == fresh
	}
	// Who comes while the value is being stored, which may take long, wants no
	// other value than from the store.
	if h.fresh != 0 && v.now >= h.fresh || v.maxAge > 0 && v.now-h.created > int64(v.maxAge) {
		return false
	}
	// A load that began before the etag was made may have seen what was
	// before. One that began later has not, whatever etag it was given.
	return try > 0 || v.etag == nil || h.has(flagETag) && h.etag == *v.etag
}

// loaded is the answer for the caller that led.
func (f *Func[K, V]) loaded(v *query, key string, o *outcome[V]) (Result[V], error) {
	if o.failure != nil {
		return f.failure(v, o)
	}
	now := v.later()
	r := f.ofLoad(&now, o, o.entry, SourceLoaded)
	r.Value = o.value
	if err := o.storeErr.Load(); err != nil && f.memo.strict {
		r.Err = &Error{v.op, f.name, key, *err}
	}
	return r, r.Err
}

// share is the answer of what somebody else has loaded.
func (f *Func[K, V]) share(ctx context.Context, v *query, key string, k K, o *outcome[V]) (Result[V], error) {
	if o.failure != nil {
		f.counters.add(callShared, 1)
		return f.failure(v, o)
	}
	if o.live == nil {
		return f.direct(ctx, v, key, k)
	}
	e, err := f.copyOf(o.live)
	if err != nil {
		f.reportDecode(ctx, err)
		return f.direct(ctx, v, key, k)
	}
	f.counters.add(callShared, 1)
	now := v.later()
	return f.ofLoad(&now, o, e, SourceShared), nil
}

// failure is the answer where there is an error to remember instead of a value.
func (f *Func[K, V]) failure(v *query, o *outcome[V]) (Result[V], error) {
	if o.found {
		now := v.later()
		r := f.result(&now, o.entry, SourceNegative)
		r.Err = o.failure
		return r, r.Err
	}
	return Result[V]{Err: o.failure}, o.failure
}

// later is the query as of now.
func (v *query) later() query {
	later := *v
	later.clock = time.Now()
	later.now = later.clock.UnixNano()
	return later
}

// copyOf returns what is in live: the same for all if it may be shared, else a
// new one.
func (f *Func[K, V]) copyOf(live *store.Live) (*entry[V], error) {
	if f.shared {
		return store.LiveValue(live, f.format.decode)
	}
	b, err := live.Bytes()
	if err != nil {
		return nil, err
	}
	return f.format.decode(b)
}

// loadFailed answers with what is there instead, if the caller may have that.
// If the function says that there is no such thing, nobody may.
func (f *Func[K, V]) loadFailed(ctx context.Context, v *query, key string, s sighting[V], err error) (Result[V], error) {
	cycle := (*CycleError)(nil)
	usable := s.entry != nil && !s.entry.negative() && (s.fallback || v.staleOK && s.verdict != refused) && !v.refresh
	usable = usable && ctx.Err() == nil && !f.memo.scope.Closed() && !errors.Is(err, store.ErrNotFound) && !errors.As(err, &cycle)
	impatient := errors.Is(err, flight.ErrPatience)
	now := v.later()
	switch {
	case usable && impatient:
		return f.stale(&now, s, f.pauses.last(v, key, s.entry.created)), nil
	case impatient:
		err = fmt.Errorf("%w: waited %v for the load", ErrTimeout, v.policy.WaitTimeout)
	}
	failed, err := f.fail(v.ask, key, err)
	if usable {
		return f.stale(&now, s, err), nil
	}
	return failed, err
}

// fail returns an error that a flight has returned, or the store.
func (f *Func[K, V]) fail(a *ask, key string, err error) (Result[V], error) {
	if e, ok := err.(*Error); ok { // what the function returned is in an *Error already
		return Result[V]{Err: e}, e
	}
	op := a.op
	switch err.(type) { // what a flight itself returns
	case *PanicError, *GoexitError:
		op = "load"
	}
	err = &Error{op, f.name, key, err}
	return Result[V]{Err: err}, err
}

// remembered answers with an error that is stored.
func (f *Func[K, V]) remembered(v *query, key string, e *entry[V]) (Result[V], error) {
	r := f.result(v, e, SourceNegative)
	r.Err = &Error{"load", f.name, key, &RememberedError{e.failure, e.has(flagAbsent)}}
	return r, r.Err
}

// result is an answer with the value of e.
func (f *Func[K, V]) result(v *query, e *entry[V], source Source) Result[V] {
	return Result[V]{
		Value:  e.value,
		Source: source,
		Age:    max(time.Duration(v.now-e.created), 0),
		TTL:    timeLeft(e.fresh, v.now, v.policy.TTL),
		ETag:   e.etag,
	}
}

// ofLoad is the result of a load, of which e is the caller's copy.
func (f *Func[K, V]) ofLoad(v *query, o *outcome[V], e *entry[V], source Source) Result[V] {
	r := f.result(v, e, source)
	switch {
	case o.found:
		r.Source = v.at.source()
	case !o.stored.Load():
		r.TTL = 0
	}
	return r
}

// direct calls the function for this caller alone. Nothing is stored.
func (f *Func[K, V]) direct(ctx context.Context, v *query, key string, k K) (Result[V], error) {
	if v.skip {
		f.counters.add(callSkipped, 1)
	} else {
		f.counters.add(callMissed, 1)
	}
	o, _, err := f.flights.Do(ctx, flight.Request[*outcome[V]]{
		Key:      unshared(key),
		Timeout:  v.policy.LoadTimeout,
		Patience: v.policy.WaitTimeout,
		Load: func(ctx context.Context, _ bool) (*outcome[V], error) {
			value, _, err := f.call(ctx, new(loading), k)
			if err != nil {
				return nil, &Error{"load", f.name, key, err}
			}
			return &outcome[V]{value: value}, nil
		},
		Fill: func(context.Context, *outcome[V]) {},
	})
	if err != nil {
		return f.loadFailed(ctx, v, key, sighting[V]{}, err)
	}
	return Result[V]{Value: o.value, Source: SourceLoaded}, nil
}
