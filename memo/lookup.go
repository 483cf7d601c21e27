package memo

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cairncache/cairn/store"
)

// A verdict is what an entry is good for, to one caller.
type verdict uint8

const (
	missing  verdict = iota // there is none, or it was invalidated
	refused                 // it is there, but nobody may have it; see Options.Refresh
	outdated                // it is there, but not for this caller, or its time is over
	stale                   // its ttl has passed, and its stale time has not
	fresh
)

// query is what goes for one call, and for a load that it begins.
type query struct {
	*ask
	at         *site
	generation *generation // nil if it cannot be read
	clock      time.Time   // with the monotonic clock reading that now is of
	now        int64       // Unix nanoseconds
	failed     bool        // the store has, so it is not asked to store what is loaded
	tagSeq     uint64
}

// query begins a call. An error is that there is no store yet, or, if the Memo
// is strict, that the generation cannot be read.
func (f *Func[K, V]) query(ctx context.Context, a *ask) (v query, err error) {
	v = query{ask: a, at: f.place.site.Load(), tagSeq: f.memo.tagSeq.Load()}
	if v.at == nil {
		return v, &Error{a.op, f.name, "", errUnbound}
	}
	if g, age := f.generations.known(ctx, v.at.Store); g != nil {
		return f.queryAt(a, v.at, g, age), nil
	}
	v.generation, err = f.generations.read(ctx, v.at.Store)
	v.clock = time.Now()
	v.now = v.clock.UnixNano()
	if err != nil {
		if f.reportStore(ctx, "get", err); f.memo.strict {
			return v, &Error{a.op, f.name, "", err}
		}
	}
	return v, nil
}

// queryAt begins a call in generation g, age after that was read.
func (f *Func[K, V]) queryAt(a *ask, at *site, g *generation, age time.Duration) query {
	return query{
		ask: a, at: at, tagSeq: f.memo.tagSeq.Load(),
		generation: g, clock: g.read.Add(age), now: g.readUnix + int64(age),
	}
}

// sighting is what was found in the store.
type sighting[V any] struct {
	entry    *entry[V] // with its value if that may be answered; nil if there is none
	verdict  verdict
	fallback bool        // it may be answered if loading fails
	size     int         // of the entry, in bytes, for Meta
	live     *store.Live // what was found, also if it is good for nothing
}

// look reads the entry of key. What keeps it from doing so is reported; the
// error is that of the store.
func (f *Func[K, V]) look(ctx context.Context, v *query, key string) (s sighting[V], err error) {
	if v.generation == nil {
		return s, nil
	}
	live, err := v.at.get(ctx, key, v.clock)
	return f.judgeRead(ctx, v, live, err)
}

// judgeRead judges what a store has answered, or reports its error.
func (f *Func[K, V]) judgeRead(ctx context.Context, v *query, live *store.Live, err error) (s sighting[V], _ error) {
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return s, nil
		}
		f.reportStore(ctx, "get", err)
		return s, err
	}
	f.countRead(v.at, live)
	s, err = f.judgeLive(ctx, v, live)
	s.live = live
	return s, err
}

// judgeLive judges what a store has answered, its tags included.
func (f *Func[K, V]) judgeLive(ctx context.Context, v *query, live *store.Live) (sighting[V], error) {
	s := f.judgeEntry(ctx, v, live)
	if s.entry == nil || len(s.entry.tags) == 0 {
		return s, nil
	}
	err := f.checkTags(ctx, v, []*sighting[V]{&s})
	return s, err
}

// judgeEntry judges what a store has answered, its tags aside.
func (f *Func[K, V]) judgeEntry(ctx context.Context, v *query, live *store.Live) (s sighting[V]) {
	if f.shared {
		e, err := store.LiveValue(live, f.format.decode)
		if err != nil {
			f.reportDecode(ctx, err)
			return s
		}
		s.verdict, s.fallback = f.judge(v, &e.header)
		if s.verdict != missing {
			s.entry = e
		}
		return s
	}
	b, err := live.Bytes()
	if err == nil {
		s, err = f.judgeBytes(v, b)
	}
	if err != nil {
		f.reportDecode(ctx, err)
		return sighting[V]{}
	}
	return s
}

// checkTags makes those sightings missing of which a tag was invalidated, or
// of whose tags it cannot be known. The error is that of the store.
func (f *Func[K, V]) checkTags(ctx context.Context, v *query, list []*sighting[V]) error {
	var names []string
	for _, s := range list {
		for _, t := range s.entry.tags {
			names = append(names, t.name)
		}
	}
	versions, err := f.memo.tagVersions(ctx, v.at.Store, names)
	if err != nil {
		f.reportStore(ctx, "get", err)
	}
	for _, s := range list {
		for _, t := range s.entry.tags {
			if t.version == 0 || versions[t.name] != t.version {
				*s = sighting[V]{}
				break
			}
		}
	}
	return err
}

// judgeBytes decodes the value only if it may be answered.
func (f *Func[K, V]) judgeBytes(v *query, b []byte) (s sighting[V], err error) {
	h, payload, err := f.format.parse(b)
	if err != nil {
		return s, err
	}
	s.verdict, s.fallback = f.judge(v, &h)
	if s.verdict == missing {
		return s, nil
	}
	if s.verdict >= stale || s.fallback || v.staleOK {
		s.entry, err = f.format.open(h, payload)
		return s, err
	}
	s.entry = &entry[V]{header: h}
	return s, nil
}

// judge says what the entry of h is good for, its tags aside.
func (f *Func[K, V]) judge(v *query, h *header) (is verdict, fallback bool) {
	if h.generation != v.generation.version {
		return missing, false
	}
	if h.created < f.memo.since {
		return refused, false
	}
	now := v.now
	if h.fresh != 0 && now >= h.fresh {
		until := h.staleUntil(v.policy.Stale)
		if until != 0 && now >= until {
			return outdated, false
		}
		is = stale
	} else {
		is = fresh
	}
	switch {
	case h.negative():
		if is == stale {
			return outdated, false
		}
		return f.judgeCaller(v, h, now, is, false)
	case h.has(flagStale):
		return f.judgeCaller(v, h, now, is, h.stale != h.fresh)
	default:
		return f.judgeCaller(v, h, now, is, v.policy.Stale > 0)
	}
}

// judgeCaller is the part of judge that depends on what the caller wants.
func (f *Func[K, V]) judgeCaller(v *query, h *header, now int64, is verdict, fallback bool) (verdict, bool) {
	if v.maxAge > 0 && now-h.created > int64(v.maxAge) {
		return outdated, false
	}
	if v.etag != nil && (!h.has(flagETag) || h.etag != *v.etag) {
		return outdated, fallback
	}
	return is, fallback
}

// early reports whether a value that is fresh is to be refreshed already.
func (f *Func[K, V]) early(v *query, h *header) bool {
	p := &v.policy
	if p.RefreshAhead == 0 && p.EarlyRefresh == 0 || h.fresh == 0 || h.negative() {
		return false
	}
	if p.RefreshAhead > 0 {
		ttl := h.fresh - h.created
		if p.TTL > 0 { // what was touched is fresh for longer since its creation
			ttl = min(ttl, int64(p.TTL))
		}
		if h.fresh-v.now <= ttl-int64(p.RefreshAhead*float64(ttl)) {
			return true
		}
	}
	if p.EarlyRefresh > 0 {
		// XFetch: the gap is distributed exponentially, with the load time as
		// its unit.
		gap := float64(h.load) * p.EarlyRefresh * -math.Log(1-rand.Float64())
		return gap >= float64(h.fresh-v.now)
	}
	return false
}
