package memo

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// item is one argument of a GetMany.
type item[K, V any] struct {
	query
	k     K
	key   string
	at    []int // in the results
	found sighting[V]
	lease *lease // of the load; nil if it takes none
}

// GetMany returns the values for ks, in their order, with one read of the
// store for all, and one for the tags of all. What is not there is loaded by
// one call of FuncOptions.FillMany and stored by one write, or without FillMany
// by calls of the function, 16 at a time. Over a store with leases
// (store.LeaseStore) FillMany has one for each argument, so there is a request
// before it and one after it for each, 16 at a time; it waits for none that
// another process has, but loads that argument too, and does not store it.
// Loads are shared with those of Get,
// both ways. An argument that occurs again is loaded once, and each place has a
// value of its own, if it can be encoded. At most one Call may be given, for
// all; with Skip, FillMany or the function is called for all of ks.
//
// Each Result has the value or, in Err, why there is none, as Get would return
// it; an Err that matches store.ErrNotFound says that there is no such thing.
// The error matches those of all Results that are not of that kind, and shows
// a few of them. If there are no Results, the call itself has failed. A panic
// of the function or of FillMany, and its runtime.Goexit, goes on in GetMany
// once, when the other calls that it has begun have ended; it begins no more.
//
// With FillMany, LoadTimeout counts for its one call and WaitTimeout for all of
// ks; a caller waits no longer than SoftTimeout only if there is a stale value
// for each argument that it waits for.
func (f *Func[K, V]) GetMany(ctx context.Context, ks []K, call ...Call) ([]Result[V], error) {
	const op = "getmany"
	if err := f.check(ctx, op); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{op, f.name, "", err}
	}
	a, err := f.ask(ctx, op, call)
	if err != nil {
		return nil, &Error{op, f.name, "", err}
	}
	items, keyless, err := f.items(ctx, a, ks)
	if err != nil {
		return nil, err
	}
	results := make([]Result[V], len(ks))
	if a.skip {
		f.skipMany(ctx, items, keyless, results)
		return results, joinFailures(results)
	}
	seen := f.flights.Mark()
	if err := f.lookMany(ctx, items); err != nil && f.memo.strict {
		return nil, &Error{op, f.name, "", err}
	}
	var toLoad, toRefresh, toVerify []*item[K, V]
	for _, it := range items {
		r, ok, refresh := f.atOnce(&it.query, it.key, it.found)
		if !ok {
			toLoad = append(toLoad, it)
			continue
		}
		f.give(results, it, r)
		if refresh {
			toRefresh = append(toRefresh, it)
		}
		if f.memo.verify && it.found.verdict == fresh && r.Err == nil {
			toVerify = append(toVerify, it)
		}
	}
	f.refreshMany(ctx, toRefresh, seen)
	f.loadMany(ctx, toLoad, keyless, seen, results)
	each(toVerify, func(it *item[K, V]) { f.verify(ctx, it.k, it.found.entry) })
	return results, joinFailures(results)
}

// items makes the items of ks: one for each key, and one for each of those that
// have none. They are of one moment, after all that the user's functions do.
func (f *Func[K, V]) items(ctx context.Context, a *ask, ks []K) (items, keyless []*item[K, V], err error) {
	byKey := make(map[string]*item[K, V], len(ks))
	for i, k := range ks {
		key, noKey := f.keyOf(k)
		if it := byKey[key]; it != nil && noKey == nil {
			it.at = append(it.at, i)
			continue
		}
		it := &item[K, V]{query: query{ask: a}, k: k, key: key, at: []int{i}}
		if !a.skip {
			it.ask = f.withETag(ctx, a, k)
		}
		if noKey != nil {
			if !a.skip {
				f.reportEncode(ctx, noKey)
			}
			keyless = append(keyless, it)
			continue
		}
		byKey[key] = it
		items = append(items, it)
	}
	if len(items) == 0 || a.skip {
		return items, keyless, nil
	}
	v, err := f.query(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	for _, it := range items {
		v.ask = it.ask
		it.query = v
	}
	return items, keyless, nil
}

// lookMany reads the entries of all items. What keeps it from doing so is
// reported; the error is that of the store.
func (f *Func[K, V]) lookMany(ctx context.Context, items []*item[K, V]) error {
	if len(items) == 0 || items[0].generation == nil {
		return nil
	}
	at := items[0].query.at
	lives, err := f.readMany(ctx, at, items)
	if err != nil {
		f.reportStore(ctx, "getmany", err)
	}
	var tagged []*sighting[V]
	for i, it := range items {
		if lives[i] == nil {
			continue
		}
		f.countRead(at, lives[i])
		it.found = f.judgeEntry(ctx, &it.query, lives[i])
		if it.found.entry != nil && len(it.found.entry.tags) > 0 {
			tagged = append(tagged, &it.found)
		}
	}
	if len(tagged) > 0 {
		err = errors.Join(err, f.checkTags(ctx, &items[0].query, tagged))
	}
	for i, it := range items {
		it.found.live = lives[i]
	}
	return err
}

// readMany returns the entries of the items, nil for those that are not there.
func (f *Func[K, V]) readMany(ctx context.Context, at *site, items []*item[K, V]) ([]*store.Live, error) {
	lives := make([]*store.Live, len(items))
	if at.live {
		var failed error
		for i, it := range items {
			live, err := store.GetLive(ctx, at.Store, it.key)
			if err == nil {
				lives[i] = live
			} else if !errors.Is(err, store.ErrNotFound) {
				failed = err
			}
		}
		return lives, failed
	}
	values, err := store.GetMany(ctx, at.Store, keysOfItems(items))
	for i, it := range items {
		if b, ok := values[it.key]; ok {
			lives[i] = store.LiveBytes(b)
		}
	}
	return lives, err
}

func keysOfItems[K, V any](items []*item[K, V]) []string {
	keys := make([]string, len(items))
	for i, it := range items {
		keys[i] = it.key
	}
	return keys
}

// give puts r where the argument was.
func (f *Func[K, V]) give(results []Result[V], it *item[K, V], r Result[V]) {
	for i, at := range it.at {
		if i > 0 && !f.shared && r.Source != SourceNone && r.Source != SourceNegative {
			r.Value = f.another(r.Value)
		}
		results[at] = r
	}
}

// another returns a copy of value, as the store would bring it back, or value
// itself if it cannot be encoded.
func (f *Func[K, V]) another(value V) V {
	b, err := appendValue(f.format.codec, nil, value)
	if err != nil {
		return value
	}
	copied, err := decodeValue(f.format.codec, b)
	if err != nil {
		return value
	}
	return copied
}

// refreshMany begins to load the items in the background.
func (f *Func[K, V]) refreshMany(ctx context.Context, items []*item[K, V], seen flight.Mark) {
	switch {
	case len(items) == 0:
	case f.fillMany == nil:
		f.refreshEach(ctx, items, seen)
	default:
		n := f.flights.StartMany(ctx, f.batch(items, seen, true))
		if n > 0 {
			f.counters.add(loadRefresh, 1)
		}
	}
}

// loadMany answers from FillMany, or from the function; from that alone for
// those without a key.
func (f *Func[K, V]) loadMany(ctx context.Context, items, keyless []*item[K, V], seen flight.Mark, results []Result[V]) {
	if f.fillMany != nil && len(items) > 0 {
		alone := f.loadTogether(ctx, items, seen, results)
		items, keyless = nil, append(keyless, alone...)
	}
	each(items, func(it *item[K, V]) {
		r, _ := f.load(ctx, it.query, it.key, it.k, it.found, seen)
		f.give(results, it, r)
	})
	each(keyless, func(it *item[K, V]) {
		r, _ := f.direct(ctx, &it.query, it.key, it.k)
		f.give(results, it, r)
	})
}

// refreshEach calls the function for each of the items in the background, and
// begins the next call when one has ended.
func (f *Func[K, V]) refreshEach(ctx context.Context, items []*item[K, V], seen flight.Mark) {
	queue := make(chan *item[K, V], len(items))
	for _, it := range items {
		queue <- it
	}
	close(queue)
	var next func()
	next = func() {
		for it := range queue {
			if f.refresh(ctx, it.query, it.key, it.k, it.found, seen, next) {
				return
			}
		}
	}
	for range min(concurrency, len(items)) {
		next()
	}
}

// concurrency is how many calls of a function a GetMany has under way.
const concurrency = 16

// each calls do for each of the items, some at a time. If one of them panics,
// or exits its goroutine, no more are begun, and that goes on here when those
// under way have ended.
func each[T any](items []T, do func(T)) {
	var (
		wg       sync.WaitGroup
		slots    = make(chan struct{}, concurrency)
		aborted  atomic.Bool
		panicked atomic.Pointer[any]
	)
	for _, it := range items {
		if slots <- struct{}{}; aborted.Load() {
			break
		}
		wg.Go(func() {
			returned := false
			defer func() {
				if !returned {
					if p := recover(); p != nil { // it is nil if the goroutine exits
						panicked.Store(&p)
					}
					aborted.Store(true)
				}
				<-slots
			}()
			do(it)
			returned = true
		})
	}
	wg.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
	if aborted.Load() {
		runtime.Goexit()
	}
}

// joinFailures returns the errors of results, but for those that say that
// there is no such thing.
func joinFailures[V any](results []Result[V]) error {
	var failed batchError
	for i := range results {
		r := &results[i]
		if r.Err != nil && r.Source != SourceStale && !errors.Is(r.Err, store.ErrNotFound) {
			failed = append(failed, r.Err)
		}
	}
	if failed == nil {
		return nil
	}
	return &failed
}

// batchError is several errors. It shows a few. It is used by pointer, as errors
// are compared.
type batchError []error

func (e *batchError) Error() string {
	const shown = 3
	var text strings.Builder
	for i, err := range *e {
		if i == shown {
			fmt.Fprintf(&text, "\nand %d more", len(*e)-shown)
			break
		}
		if i > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(err.Error())
	}
	return text.String()
}

func (e *batchError) Unwrap() []error { return *e }
