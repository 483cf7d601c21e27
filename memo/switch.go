package memo

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/cairncache/cairn/internal/flight"
)

// A mode is what a context wants otherwise than usual.
type mode uint8

const (
	usual mode = iota
	refreshing
	skipping
)

type modeKey struct{}

// modesUsed spares the calls of a program that has no use for modes the search
// of their contexts.
var modesUsed atomic.Bool

// WithRefresh makes a context with which each call loads its value anew and
// stores it, as with Call.Refresh: also the calls of other memoized functions
// in a load, and also those of an argument that was loaded with it before. A
// Call that says Refresh or Skip precedes it, as does Options.Skip. Of
// WithRefresh and [WithSkip] the later counts. A nil ctx stays nil.
func WithRefresh(ctx context.Context) context.Context { return withMode(ctx, refreshing) }

// WithSkip makes a context with which each call goes to the function, as with
// Call.Skip: also the calls of other memoized functions in a load, and also
// [Func.Refresh]. A Call that says Refresh or Skip precedes it. Of
// [WithRefresh] and WithSkip the later counts. A nil ctx stays nil.
func WithSkip(ctx context.Context) context.Context { return withMode(ctx, skipping) }

func withMode(ctx context.Context, of mode) context.Context {
	if ctx == nil {
		return nil
	}
	modesUsed.Store(true)
	return context.WithValue(ctx, modeKey{}, of)
}

func modeOf(ctx context.Context) mode {
	if !modesUsed.Load() {
		return usual
	}
	return modeIn(ctx)
}

func modeIn(ctx context.Context) mode {
	if ctx == nil {
		return usual
	}
	of, _ := ctx.Value(modeKey{}).(mode)
	return of
}

// switched returns o with what the environment switches on.
func (o Options) switched() (*Options, error) {
	for variable, option := range map[string]*bool{
		"CAIRN_MEMO_REFRESH": &o.Refresh,
		"CAIRN_MEMO_SKIP":    &o.Skip,
		"CAIRN_MEMO_VERIFY":  &o.Verify,
	} {
		on, err := strconv.ParseBool(cmp.Or(os.Getenv(variable), "0"))
		if err != nil {
			return nil, invalid("memo: new: the environment variable " + variable + ": " + quote(os.Getenv(variable)) + " is not 1, true, 0 or false")
		}
		*option = *option || on
	}
	if o.Refresh && o.Skip {
		return nil, invalid("memo: new: Refresh and Skip exclude each other; set one of Options.Refresh (or CAIRN_MEMO_REFRESH=1) and Options.Skip (or CAIRN_MEMO_SKIP=1)")
	}
	return &o, nil
}

// skip calls the function for this caller, without the store.
func (f *Func[K, V]) skip(ctx context.Context, a *ask, k K) (Result[V], error) {
	key, _ := f.keyOf(k) // for errors
	if err := ctx.Err(); err != nil {
		return f.fail(a, key, err)
	}
	return f.direct(ctx, &query{ask: a}, key, k)
}

// skipMany answers from FillMany, or from the function, without the store.
func (f *Func[K, V]) skipMany(ctx context.Context, items, keyless []*item[K, V], results []Result[V]) {
	if f.fillMany == nil {
		items, keyless = nil, append(keyless, items...)
	}
	if len(items) > 0 {
		f.counters.add(callSkipped, uint64(len(items)))
		for i, o := range f.flights.DoMany(ctx, f.skipBatch(items)) {
			it := items[i]
			if o.Err != nil {
				r, _ := f.loadFailed(ctx, &it.query, it.key, it.found, o.Err)
				f.give(results, it, r)
				continue
			}
			f.give(results, it, Result[V]{Value: o.Value.value, Source: SourceLoaded})
		}
	}
	each(keyless, func(it *item[K, V]) {
		r, _ := f.direct(ctx, &it.query, it.key, it.k)
		f.give(results, it, r)
	})
}

// skipBatch is a call of FillMany for all items, of which nothing is stored.
func (f *Func[K, V]) skipBatch(items []*item[K, V]) flight.Batch[*outcome[V]] {
	policy := &items[0].policy
	keys := keysOfItems(items)
	for i, key := range keys {
		keys[i] = unshared(key)
	}
	return flight.Batch[*outcome[V]]{
		Keys:     keys,
		Timeout:  policy.LoadTimeout,
		Patience: policy.WaitTimeout,
		Load: func(ctx context.Context, _ []int, _ bool) ([]*outcome[V], []error) {
			said := new(loading)
			defer said.end()
			values, _, err := f.callMany(said.in(ctx), items)
			if err == nil {
				err = errNotPut
			}
			outcomes, errs := make([]*outcome[V], len(items)), make([]error, len(items))
			for i, it := range items {
				if value, put := values[it.key]; put {
					outcomes[i] = &outcome[V]{value: value}
				} else {
					errs[i] = &Error{"load", f.name, it.key, err}
				}
			}
			return outcomes, errs
		},
		Fill: func(context.Context, []int, []*outcome[V]) {},
		Void: func(int) {},
	}
}

// unshared returns the key of a load that nobody is to join.
func unshared(key string) string {
	return key + "\x00" + strconv.FormatUint(directs.Add(1), 10) // no key has a zero byte
}

// directs counts the loads that nobody is to join.
var directs atomic.Uint64
