package memo

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// outcome is what a flight brings.
type outcome[V any] struct {
	value   V           // for the caller that led
	entry   *entry[V]   // what is known about it
	live    *store.Live // what is stored, and others make their copies of; nil if it cannot be encoded
	failure error       // the function found no such thing, or an error that is remembered
	found   bool        // it was in the store
	remove  bool        // instead of storing it, what is stored is to go
	keep    bool        // it is to be stored
	ttl     time.Duration
	tagSeq  uint64 // before the load

	stored   atomic.Bool           // the fill has stored it
	storeErr atomic.Pointer[error] // of the fill
}

// outcome makes the entry of what the function has returned.
func (f *Func[K, V]) outcome(ctx context.Context, l *load, key string, k K, value V, took time.Duration, tags []tag, err error) (*outcome[V], error) {
	o := &outcome[V]{value: value, tagSeq: l.tagSeq}
	if l.storeErr != nil {
		o.storeErr.Store(&l.storeErr)
	}
	tags = merge(tags, l.said.versions)
	if err != nil {
		err = &Error{"load", f.name, key, err}
		if f.remember(ctx, o, l, took, err, len(tags) > 0) {
			f.mark(l, o.entry, tags)
			o.live, _ = f.format.live(o.entry, false)
			return o, nil
		}
		return nil, err
	}
	f.pauses.forget(key)
	ttl, stale, keep := l.said.life(l.policy)
	o.entry = &entry[V]{header: f.format.header(took, ttl), value: value}
	o.ttl = l.policy.life(ttl, stale)
	if l.said.hasStale && o.entry.fresh != 0 {
		o.entry.flags |= flagStale
		if stale <= 0 {
			o.entry.stale = o.entry.fresh
		} else {
			o.entry.stale = after(o.entry.fresh, stale)
		}
	}
	if l.said.hasTTL && ttl == 0 { // over before it began
		o.entry.fresh = o.entry.created
	}
	f.mark(l, o.entry, tags)
	keep = keep && (f.shouldStore == nil || f.shouldStore(k, value))
	o.keep = l.keep && !l.noStore && keep
	o.remove = l.keep && !l.noStore && !keep && l.stored // it is older
	live, err := f.format.live(o.entry, f.shared)
	if err != nil {
		f.reportEncode(ctx, err)
		o.keep = false
		return o, nil
	}
	o.live = live
	return o, nil
}

// mark puts into an entry what its validity depends on.
func (f *Func[K, V]) mark(l *load, e *entry[V], tags []tag) {
	if l.generation != nil {
		e.flags |= flagGeneration
		e.generation = l.generation.version
	}
	etag := l.etag
	if l.said.etag != nil {
		etag = l.said.etag
	}
	if etag != nil {
		e.flags |= flagETag
		e.etag = *etag
	}
	if len(tags) > 0 {
		e.flags |= flagTags
		e.tags = tags
	}
}

// merge adds the tags of more that are not in tags. Those in tags have the
// versions that were read earlier.
func merge(tags, more []tag) []tag {
next:
	for _, t := range more {
		for _, have := range tags {
			if have.name == t.name {
				continue next
			}
		}
		tags = append(tags, t)
	}
	return tags
}

// remember makes an entry of an error if it is one to remember, one that shall
// remove the value that is stored, or one with tags, at which those who join
// must look.
func (f *Func[K, V]) remember(ctx context.Context, o *outcome[V], l *load, took time.Duration, err error, tagged bool) bool {
	flag, ttl := byte(flagFailure), time.Duration(0)
	cause := errors.Unwrap(err)
	absent := errors.Is(cause, store.ErrNotFound)
	if absent {
		flag, ttl = flagAbsent, l.policy.jittered(l.policy.Absent)
	} else if f.cacheError != nil && !l.instead && ctx.Err() == nil { // an error of being cancelled says nothing
		ttl = f.cacheError(cause)
	}
	o.keep = l.keep && !l.noStore && !l.said.noStore && ttl > 0
	o.remove = absent && !o.keep && l.stored
	if ttl <= 0 && !o.remove && !(absent && tagged) {
		return false
	}
	o.failure = err
	o.ttl = ttl
	o.entry = &entry[V]{header: f.format.header(took, ttl), failure: cause.Error()}
	o.entry.flags = flag
	return true
}

// fill stores what was loaded.
func (f *Func[K, V]) fill(ctx context.Context, v *query, key string, o *outcome[V]) {
	var err error
	switch {
	case o.found:
	case o.remove && v.generation != nil:
		if err = v.at.Delete(ctx, key); err != nil {
			f.reportStore(ctx, "delete", err)
		}
	case o.keep && o.live != nil:
		err = f.put(ctx, v.at, key, o)
	}
	if err != nil {
		o.storeErr.Store(&err)
	}
}

// put stores what was loaded. An error is that of the store, and reported.
func (f *Func[K, V]) put(ctx context.Context, at *site, key string, o *outcome[V]) error {
	err := store.SetLive(ctx, at.Store, key, o.live, o.ttl)
	if e := (*encodeError)(nil); errors.As(err, &e) {
		f.reportEncode(ctx, e)
		return nil // the store has not failed
	}
	if err != nil {
		f.reportStore(ctx, "set", err)
		return err
	}
	f.filled(at, o)
	return nil
}

// filled tells that the store has taken what was loaded.
func (f *Func[K, V]) filled(at *site, o *outcome[V]) {
	o.stored.Store(true)
	f.countWritten(at, o.live)
}
