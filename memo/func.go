package memo

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// Func is a memoized function. Make one with Wrap. Its methods may be called
// concurrently, and all of them mean the same key in the same store.
//
// A nil context is ErrInvalid, and a call after the Memo was closed ErrClosed.
type Func[K, V any] struct {
	memo        *Memo
	name        string
	fn          func(context.Context, K) (V, error)
	fillMany    func(context.Context, []K, func(K, V)) error
	keyOf       func(K) (string, error)
	etag        func(context.Context, K) (string, error)
	tags        func(K) []string
	shouldStore func(K, V) bool
	cacheError  func(error) time.Duration
	shared      bool
	place       *place
	inherited   Policy // what that of a Call inherits from
	plain       ask    // of a call that says nothing
	indirect    bool   // a Get is a lookup
	simple      bool   // an entry that is fresh is the answer, and all that a Get does
	format      *format[V]
	flights     *flight.Group[*outcome[V]]
	counters    *counters
	generations generations
	pauses      pauses
	tagged      atomic.Bool // the function has called Tag
}

// Get returns the value for k, from the store or from the function. It is a
// func(context.Context, K) (V, error) as the wrapped one is.
//
// If ctx ends while Get waits, the error matches ctx.Err(). An error of the
// function is an *Error that wraps it. A function that panics makes the Get
// panic that called it, with a *PanicError, which those who had waited for it
// get as an error; runtime.Goexit does the like with a *GoexitError. A Get
// that would wait for itself is a *CycleError.
//
// An argument that cannot be made into a key, NaN for example, is given to the
// function without the cache. A result that cannot be encoded, or not decoded
// again, is returned; those who waited for it then call the function
// themselves, as they cannot be given copies.
func (f *Func[K, V]) Get(ctx context.Context, k K) (V, error) {
	const op = "get"
	if f.indirect || modeOf(ctx) != usual {
		r, err := f.lookup(ctx, op, k, nil)
		return r.Value, err
	}
	// What follows does the same, but with nothing in the way of a simple hit:
	// that costs little enough for the copying of a Result to show.
	var none V
	if err := f.check(ctx, op); err != nil {
		return none, err
	}
	key, err := f.keyOf(k)
	if err != nil {
		r, err := f.withoutKey(ctx, &f.plain, k, err)
		return r.Value, err
	}
	at := f.place.site.Load()
	var g *generation
	var age time.Duration
	if at != nil && ctx.Err() == nil {
		g, age = f.generations.known(ctx, at.Store)
	}
	if g == nil {
		r, err := f.answer(ctx, &f.plain, key, k)
		return r.Value, err
	}
	seen := f.flights.Mark()
	live, err := at.get(ctx, key, g.read.Add(age))
	if err == nil && f.simple {
		if e, err := store.LiveValue(live, f.format.decode); err == nil && e.simplyFresh(g.version, g.readUnix+int64(age)) {
			f.countHit(at)
			return e.value, nil
		}
	}
	v := f.queryAt(&f.plain, at, g, age)
	s, err := f.judgeRead(ctx, &v, live, err)
	r, err := f.proceed(ctx, v, key, k, s, seen, err)
	return r.Value, err
}

// Lookup is Get with what is known about the answer, and for calls that want
// something else than usual, as Get takes no Call. At most one may be given.
func (f *Func[K, V]) Lookup(ctx context.Context, k K, call ...Call) (Result[V], error) {
	return f.lookup(ctx, "lookup", k, call)
}

// Refresh loads the value for k with a load that begins after the call,
// whatever is stored, and returns it. Those who call Refresh while another
// load is under way share the next one. With [WithSkip] it only calls the
// function.
func (f *Func[K, V]) Refresh(ctx context.Context, k K) (V, error) {
	skip := modeOf(ctx) == skipping
	r, err := f.lookup(ctx, "refresh", k, []Call{{Refresh: !skip, Skip: skip}})
	return r.Value, err
}

func (f *Func[K, V]) lookup(ctx context.Context, op string, k K, calls []Call) (Result[V], error) {
	if err := f.check(ctx, op); err != nil {
		return Result[V]{Err: err}, err
	}
	a, err := f.ask(ctx, op, calls)
	if err != nil {
		return f.fail(&ask{op: op}, "", err)
	}
	if a.skip {
		return f.skip(ctx, a, k)
	}
	a = f.withETag(ctx, a, k)
	key, err := f.keyOf(k)
	if err != nil {
		return f.withoutKey(ctx, a, k, err)
	}
	return f.answer(ctx, a, key, k)
}

// withoutKey calls the function for an argument that has no key.
func (f *Func[K, V]) withoutKey(ctx context.Context, a *ask, k K, err error) (Result[V], error) {
	f.reportEncode(ctx, err)
	return f.direct(ctx, &query{ask: a}, "", k)
}

// Set stores value as the value for k, as if it had just been loaded. What is
// said of Delete holds for what was loaded before. At most one Call may be
// given; of it, Policy, ETag, Tags and Skip count. With Skip, by the Call, the
// context or the Memo, Set does what Delete does, as what is stored is older
// than value.
//
// An error is that of the store, and nothing, the former value or this one may
// be stored then; or the value cannot be encoded, which is ErrInvalid; or it
// matches ctx.Err(); or k cannot be made into a key.
func (f *Func[K, V]) Set(ctx context.Context, k K, value V, call ...Call) error {
	const op = "set"
	v, key, err := f.begins(ctx, op, k, call)
	if err != nil {
		return err
	}
	return f.change(ctx, op, key, func() error {
		if v.skip {
			return v.at.Delete(ctx, key)
		}
		l := &load{query: &v, said: new(loading), tagSeq: v.tagSeq, keep: true}
		tags, err := f.memo.tagsNow(ctx, v.at.Store, f.tagsOf(l, k))
		if err != nil {
			return err
		}
		ttl, _, _ := l.said.life(v.policy)
		e := &entry[V]{header: f.format.header(0, ttl), value: value}
		f.mark(l, e, tags)
		live, err := f.format.live(e, f.shared)
		if err != nil {
			f.reportEncode(ctx, err)
			return store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
		}
		f.countWritten(v.at, live)
		return store.SetLive(ctx, v.at.Store, key, live, v.policy.life(ttl, v.policy.Stale))
	})
}

// Delete removes the value for k. When it has returned nil, no Get that begins
// then returns a value from a load that began before, and none such is in the
// store, whatever loads are under way; those who had waited for one get its
// value. The package comment names what is beyond this.
//
// An error is that of the store, and the value may then still be there; or it
// matches ctx.Err(); or k cannot be made into a key.
func (f *Func[K, V]) Delete(ctx context.Context, k K) error {
	const op = "delete"
	at, key, err := f.locate(ctx, op, k)
	if err != nil {
		return err
	}
	return f.change(ctx, op, key, func() error { return at.Delete(ctx, key) })
}

// DeleteMany removes the values for ks, as Delete does for one. The errors of
// several are joined.
func (f *Func[K, V]) DeleteMany(ctx context.Context, ks []K) error {
	const op = "deletemany"
	keys := make([]string, 0, len(ks))
	seen := make(map[string]bool, len(ks))
	at, err := f.reach(ctx, op)
	if err != nil {
		return err
	}
	for _, k := range ks {
		key, err := f.keyOf(k)
		if err != nil {
			return err
		}
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	changes := make([]*flight.Invalidation, len(keys))
	for i, key := range keys {
		changes[i] = f.flights.Invalidate(key)
		defer changes[i].Done()
	}
	for i, change := range changes {
		if err := change.Wait(ctx); err != nil {
			return &Error{op, f.name, keys[i], err}
		}
	}
	err = store.DeleteMany(ctx, at.Store, keys)
	f.reportStore(ctx, op, err)
	return err
}

// change does something to what is stored under key, while no load fills it.
func (f *Func[K, V]) change(ctx context.Context, op, key string, do func() error) error {
	change := f.flights.Invalidate(key)
	defer change.Done()
	if err := change.Wait(ctx); err != nil {
		return &Error{op, f.name, key, err}
	}
	err := do()
	f.pauses.forget(key)
	if !errors.Is(err, store.ErrInvalid) {
		f.reportStore(ctx, op, err)
	}
	return err
}

// Clear removes all entries of the function, of this version of it, in one
// write, however many there are: they are not valid any more, and overwritten
// or expired in their time. When it has returned nil, no call that begins then
// returns a value of a load that began before Clear did, in whichever process.
// It takes a quarter of a second, as that is for how long the others trust what they
// have read.
//
// After an error, which is that of the store or matches ctx.Err(), some
// processes may still answer what was there before.
func (f *Func[K, V]) Clear(ctx context.Context) error {
	at, err := f.reach(ctx, "clear")
	if err != nil {
		return err
	}
	err = f.generations.clear(ctx, at.Store)
	f.reportStore(ctx, "clear", err)
	if err != nil && ctx.Err() != nil {
		return &Error{"clear", f.name, "", err}
	}
	return err
}

func (f *Func[K, V]) clear(ctx context.Context) error { return f.Clear(ctx) }
func (f *Func[K, V]) counts() *counters               { return f.counters }

func (f *Func[K, V]) invalidate(key string) *flight.Invalidation { return f.flights.Invalidate(key) }

// Has reports whether there is a value for k that may be answered without
// waiting for the function: fresh, or stale within Policy.Stale. That there is
// no such thing is no value. Errors are as in Delete.
func (f *Func[K, V]) Has(ctx context.Context, k K) (bool, error) {
	s, _, err := f.inspect(ctx, "has", k)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && s.verdict >= stale && !s.entry.negative(), err
}

// TTL returns how long the entry for k will still be stored, be it fresh or
// stale: store.Forever if it has no limit, store.UnknownTTL if the store
// cannot tell. If there is no value the error is the bare store.ErrNotFound;
// others are as in Delete.
func (f *Func[K, V]) TTL(ctx context.Context, k K) (time.Duration, error) {
	s, left, err := f.inspect(ctx, "ttl", k)
	if err != nil {
		return 0, err
	}
	if s.verdict < stale || s.entry.negative() {
		return 0, store.ErrNotFound
	}
	return left, nil
}

// Meta returns what is known about the entry for k, which may also be one that
// says that there is no such thing. If there is none the error is the bare
// store.ErrNotFound; others are as in Delete.
func (f *Func[K, V]) Meta(ctx context.Context, k K) (Meta, error) {
	s, left, err := f.inspect(ctx, "meta", k)
	if err != nil {
		return Meta{}, err
	}
	m := s.entry.describe(f.plain.policy.Stale, s.size)
	m.TTL = left
	return m, nil
}

// Key returns the key under which the value for k is stored. The error is why
// k cannot be made into one.
func (f *Func[K, V]) Key(k K) (string, error) { return f.keyOf(k) }

// Original calls the function itself, without the Memo: nothing is read,
// stored, counted or shared.
func (f *Func[K, V]) Original(ctx context.Context, k K) (V, error) { return f.fn(ctx, k) }

// begins prepares a call that stores something.
func (f *Func[K, V]) begins(ctx context.Context, op string, k K, calls []Call) (v query, key string, err error) {
	at, key, err := f.locate(ctx, op, k)
	if err != nil {
		return query{}, "", err
	}
	a, err := f.ask(ctx, op, calls)
	if err != nil {
		return query{}, "", &Error{op, f.name, key, err}
	}
	v = query{ask: f.withETag(ctx, a, k), at: at, tagSeq: f.memo.tagSeq.Load()}
	if v.generation, err = f.generations.at(ctx, at.Store); err != nil {
		f.reportStore(ctx, op, err)
		return query{}, "", err
	}
	v.now = time.Now().UnixNano()
	return v, key, nil
}

// inspect reads the entry for k. left is how long the store keeps it.
func (f *Func[K, V]) inspect(ctx context.Context, op string, k K) (s sighting[V], left time.Duration, err error) {
	v, key, err := f.begins(ctx, op, k, nil)
	if err != nil {
		return s, 0, err
	}
	b, left, err := store.GetWithTTL(ctx, v.at.Store, key)
	if err != nil {
		f.reportStore(ctx, op, err)
		return s, 0, err
	}
	s, err = f.judgeLive(ctx, &v, store.LiveBytes(b))
	if err == nil && (s.entry == nil || s.verdict == missing) {
		err = store.ErrNotFound
	}
	s.size = len(b)
	return s, left, err
}

// locate checks a call and returns its store and key.
func (f *Func[K, V]) locate(ctx context.Context, op string, k K) (*site, string, error) {
	at, err := f.reach(ctx, op)
	if err != nil {
		return nil, "", err
	}
	key, err := f.keyOf(k)
	return at, key, err
}

// reach checks a call and returns its store.
func (f *Func[K, V]) reach(ctx context.Context, op string) (*site, error) {
	if err := f.check(ctx, op); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{op, f.name, "", err}
	}
	at := f.place.site.Load()
	if at == nil {
		return nil, &Error{op, f.name, "", errUnbound}
	}
	return at, nil
}

func (f *Func[K, V]) check(ctx context.Context, op string) error {
	switch {
	case ctx == nil:
		return &Error{op, f.name, "", invalid(nilContext)}
	case f.memo.scope.Closed():
		return &Error{op, f.name, "", ErrClosed}
	}
	return nil
}
