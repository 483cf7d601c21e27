package memo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// ErrNotModified is returned by a function to say that its previous value,
// which [Previous] gives it, is still right: the value is kept with its etag
// and its tags, and its life begins anew, with the ttl of the policy or of
// SetTTL. Without a previous value it is an error like any other.
var ErrNotModified = errors.New("memo: not modified")

// SetTTL makes the value that is being loaded fresh for ttl, whatever the
// policy says; [Off] is no limit. With another ttl that is not positive, as
// computed from an expiry that has passed, it does what [NoStore] does.
//
// Like all functions of this kind it is called by a memoized function, with
// the context that this was given. Elsewhere, and after the function has
// returned, it does nothing, so a function may be called without a Memo, too.
// Called by FillMany it goes for all values of the batch.
func SetTTL(ctx context.Context, ttl time.Duration) {
	withLoading(ctx, func(l *loading) { l.ttl, l.hasTTL = ttl, true })
}

// SetStale makes the value that is being loaded answerable for stale after its
// ttl, whatever the policy says; 0 or less is not at all. Without a ttl that is
// known, by the policy or by SetTTL, it does nothing. See SetTTL.
func SetStale(ctx context.Context, stale time.Duration) {
	withLoading(ctx, func(l *loading) { l.stale, l.hasStale = max(stale, 0), true })
}

// SetETag stores etag with the value that is being loaded, in place of the one
// that the caller had. See SetTTL.
func SetETag(ctx context.Context, etag string) {
	withLoading(ctx, func(l *loading) { l.etag = &etag })
}

// NoStore returns what is being loaded to those who wait for it, and stores
// nothing. What was stored before it is removed, as it is older. See SetTTL.
func NoStore(ctx context.Context) {
	withLoading(ctx, func(l *loading) { l.noStore = true })
}

// Tag adds tags to the value that is being loaded; see [Memo.InvalidateTags]
// and SetTTL. Where the tags are known beforehand, FuncOptions.Tags is better:
// a value that is tagged by Tag is not stored if any tag at all was
// invalidated while it was loaded, since nobody can know then whether it was
// read before or after.
func Tag(ctx context.Context, names ...string) {
	withLoading(ctx, func(l *loading) { l.tags = append(l.tags, names...) })
}

// Previous returns the value that was stored before, stale or not wanted by
// the caller any more, for a function that can tell whether it is still right
// (see ErrNotModified) or can build upon it. ok is false if there is none: if
// its ttl has passed and there is no Policy.Stale to keep it longer, if it was
// deleted, cleared or invalidated by a tag, and for FillMany. Each call reads
// the store. See SetTTL.
func Previous[V any](ctx context.Context) (value V, meta Meta, ok bool) {
	var read func(context.Context) (any, Meta, bool)
	withLoading(ctx, func(l *loading) { read = l.previous })
	if read == nil {
		return value, Meta{}, false
	}
	previous, meta, ok := read(ctx)
	if !ok {
		return value, Meta{}, false
	}
	value, ok = previous.(V)
	if !ok {
		return value, Meta{}, false
	}
	return value, meta, true
}

// loading is what a function says about what it loads.
type loading struct {
	previous func(context.Context) (value any, meta Meta, ok bool)

	mu       sync.Mutex
	done     bool
	ttl      time.Duration
	hasTTL   bool
	stale    time.Duration
	hasStale bool
	etag     *string
	noStore  bool
	tags     []string
	versions []tag // of tags, after the function has ended
}

type loadingKey struct{}

func (l *loading) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, loadingKey{}, l)
}

func withLoading(ctx context.Context, set func(*loading)) {
	l, _ := ctx.Value(loadingKey{}).(*loading)
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		set(l)
	}
}

// end lets the function say no more.
func (l *loading) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
}

// life returns for how long the value is fresh and stale, and whether it is
// to be stored at all.
func (l *loading) life(p Policy) (ttl, stale time.Duration, keep bool) {
	ttl, stale = p.TTL, p.Stale
	if l.hasTTL {
		switch {
		case l.ttl == Off:
			ttl = store.Forever
		case l.ttl <= 0:
			return 0, 0, false
		default:
			ttl = l.ttl
		}
	}
	if l.hasStale {
		stale = l.stale
	}
	return p.jittered(ttl), stale, !l.noStore
}
