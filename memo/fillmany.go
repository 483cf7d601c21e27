package memo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// loadTogether answers from FillMany. It returns the items for which the
// function is to be called, for this caller alone.
func (f *Func[K, V]) loadTogether(ctx context.Context, items []*item[K, V], seen flight.Mark, results []Result[V]) (alone []*item[K, V]) {
	b := f.batch(items, seen, false)
	for try := range 3 {
		var joined []*item[K, V]
		var outcomes []*outcome[V] // of joined
		for i, o := range f.flights.DoMany(ctx, b) {
			it := items[i]
			if o.Led {
				f.counters.add(callMissed, 1)
			}
			var r Result[V]
			switch {
			case o.Err != nil:
				r, _ = f.loadFailed(ctx, &it.query, it.key, it.found, o.Err)
			case o.Led:
				r, _ = f.loaded(&it.query, it.key, o.Value)
			default:
				joined = append(joined, it)
				outcomes = append(outcomes, o.Value)
				continue
			}
			f.give(results, it, r)
		}
		more, again := f.joinTogether(ctx, joined, outcomes, try, results)
		alone = append(alone, more...)
		if items = again; len(items) == 0 {
			return alone
		}
		b = f.batch(items, seen, false)
		b.After = true
	}
	return append(alone, items...)
}

// joinTogether answers those who waited for the loads of others. It returns
// those who must go alone, as they cannot be given copies, and those who may
// not have what was brought.
func (f *Func[K, V]) joinTogether(ctx context.Context, items []*item[K, V], outcomes []*outcome[V], try int, results []Result[V]) (alone, again []*item[K, V]) {
	if len(items) == 0 {
		return nil, nil
	}
	hold := slices.Repeat([]bool{true}, len(items))
	if try == 0 {
		hold = f.tagsHold(ctx, &items[0].query, outcomes...)
	}
	for i, it := range items {
		o := outcomes[i]
		switch {
		case !hold[i] || !f.accept(&it.query, o, try):
			again = append(again, it)
		case o.failure == nil && o.live == nil:
			alone = append(alone, it)
		default:
			r, _ := f.share(ctx, &it.query, it.key, it.k, o)
			f.give(results, it, r)
		}
	}
	return alone, again
}

// batch is what is to be done for the items that nobody loads yet.
func (f *Func[K, V]) batch(items []*item[K, V], seen flight.Mark, background bool) flight.Batch[*outcome[V]] {
	first := &items[0].query
	leased := f.leased(first)
	var loaded []*item[K, V]
	pick := func(indices []int) []*item[K, V] {
		list := make([]*item[K, V], len(indices))
		for i, index := range indices {
			list[i] = items[index]
		}
		return list
	}
	return flight.Batch[*outcome[V]]{
		Keys:     keysOfItems(items),
		Seen:     seen,
		Epoch:    f.epoch(first),
		After:    first.refresh,
		Timeout:  first.policy.LoadTimeout,
		Patience: first.patience(leastOf(items)),
		Guarded:  leased,
		Load: func(ctx context.Context, indices []int, again bool) (outcomes []*outcome[V], errs []error) {
			some := pick(indices)
			loaded = some
			defer func() { f.giveUpFailed(some, outcomes) }()
			attempt(ctx, func() error {
				if leased {
					outcomes, errs = f.makeLeased(ctx, some)
				} else {
					outcomes, errs = f.makeMany(ctx, some, f.lookAgainMany(ctx, some, again))
				}
				if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
					return eachError(errs)
				}
				return nil
			}, func(err error) { f.batchFailed(ctx, some, background, err) })
			return outcomes, errs
		},
		Fill: func(ctx context.Context, indices []int, outcomes []*outcome[V]) {
			f.fillTogether(ctx, first.at, pick(indices), outcomes)
		},
		Void: func(n int) {
			each(loaded, func(it *item[K, V]) { f.giveUp(it.lease) }) // those that Fill was not given
			f.counters.add(loadVoided, uint64(n))
		},
	}
}

// eachError is an error for each of several items, nil for some.
type eachError []error

func (e eachError) Error() string { return fmt.Sprint([]error(e)) }

// batchFailed notes which values could not be replaced. The operator is told
// once.
func (f *Func[K, V]) batchFailed(ctx context.Context, items []*item[K, V], background bool, err error) {
	of, differ := err.(eachError)
	for i, it := range items {
		if differ {
			err = of[i]
		}
		if err == nil {
			continue
		}
		f.attemptFailed(ctx, &it.query, it.key, it.found, err)
		if background {
			f.refreshFailed(ctx, err)
			background = false
		}
	}
}

// leastOf is what the worst of the items is good for.
func leastOf[K, V any](items []*item[K, V]) verdict {
	least := fresh
	for _, it := range items {
		least = min(least, it.found.verdict)
	}
	return least
}

// makeMany calls FillMany for those items that have no outcome, and makes
// entries of the values.
func (f *Func[K, V]) makeMany(ctx context.Context, items []*item[K, V], outcomes []*outcome[V]) (_ []*outcome[V], errs []error) {
	errs = make([]error, len(items))
	var missing []*item[K, V]
	for i, it := range items {
		if outcomes[i] == nil {
			missing = append(missing, it)
		}
	}
	if len(missing) == 0 {
		return outcomes, errs
	}
	l := f.begin(ctx, &missing[0].query)
	tags := f.declaredMany(ctx, l, missing)
	values, took, err := f.callMany(l.said.in(ctx), missing)
	l.said.end()
	f.named(ctx, l)
	if err == nil {
		err = errNotPut
	}
	for i, it := range items {
		if outcomes[i] != nil {
			continue
		}
		own := *l
		own.query = &it.query
		own.stored, own.instead = it.found.entry != nil, f.instead(&it.query, it.found) != 0
		value, put := values[it.key]
		fault := err
		if put {
			fault = nil
		}
		outcomes[i], errs[i] = f.outcome(ctx, &own, it.key, it.k, value, took, tags[it.key], fault)
	}
	return outcomes, errs
}

// errNotPut is that there is no such thing, as FillMany says it.
var errNotPut = fmt.Errorf("FillMany has not put it: %w", store.ErrNotFound)

// lookAgainMany finds what has been stored since the caller looked, if it is to
// look again.
func (f *Func[K, V]) lookAgainMany(ctx context.Context, items []*item[K, V], again bool) []*outcome[V] {
	outcomes := make([]*outcome[V], len(items))
	if !again || items[0].refresh {
		return outcomes
	}
	now := time.Now().UnixNano()
	laters := make([]*item[K, V], len(items))
	for i, it := range items {
		later := *it
		later.now, later.found = now, sighting[V]{}
		laters[i] = &later
	}
	if f.lookMany(ctx, laters) != nil {
		return outcomes
	}
	for i, it := range laters {
		outcomes[i] = f.newer(&it.query, it.key, items[i].found, it.found)
	}
	return outcomes
}

// declaredMany returns, by key, the tags that are known before the load.
func (f *Func[K, V]) declaredMany(ctx context.Context, l *load, items []*item[K, V]) map[string][]tag {
	var all []string
	names := make([][]string, len(items))
	for i, it := range items {
		own := *l
		own.query = &it.query
		names[i] = f.tagsOf(&own, it.k)
		all = append(all, names[i]...)
	}
	versions := make(map[string]version)
	for _, t := range f.declared(ctx, l, all) {
		versions[t.name] = t.version
	}
	tags := make(map[string][]tag)
	for i, it := range items {
		for _, name := range names[i] {
			tags[it.key] = merge(tags[it.key], []tag{{name, versions[name]}})
		}
	}
	return tags
}

// callMany calls FillMany. The error is also that it has put what nobody asked
// for.
func (f *Func[K, V]) callMany(ctx context.Context, items []*item[K, V]) (values map[string]V, took time.Duration, err error) {
	asked := make(map[string]bool, len(items))
	ks := make([]K, len(items))
	for i, it := range items {
		ks[i] = it.k
		asked[it.key] = true
	}
	var mu sync.Mutex
	values = make(map[string]V, len(items))
	ended := false
	var wrong error
	put := func(k K, value V) {
		key, err := f.keyOf(k)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case ended:
		case err != nil:
			wrong = err
		case !asked[key]:
			wrong = fmt.Errorf("FillMany has put a value for %s, which it was not asked for; put what it was given", quote(key))
		default:
			values[key] = value
		}
	}
	took, err = f.measure(ctx, func() error {
		err := f.fillMany(ctx, ks, put)
		mu.Lock()
		defer mu.Unlock()
		ended = true
		if err == nil {
			err = wrong
		}
		return err
	})
	return values, took, err
}

// fillTogether stores what was loaded in one write, and removes in another what
// was found to be absent.
func (f *Func[K, V]) fillTogether(ctx context.Context, at *site, items []*item[K, V], outcomes []*outcome[V]) {
	var sets []store.Item
	var removes []string
	var stored, removed []*outcome[V]
	var leased []leasedOutcome[V]
	for i, it := range items {
		o := outcomes[i]
		switch {
		case it.lease != nil && it.lease.state != leaseless:
			leased = append(leased, leasedOutcome[V]{it.lease, o})
		case o.found:
		case it.lease != nil && it.lease.overtaken():
			f.counters.add(loadVoided, 1)
		case o.remove && it.generation != nil:
			removes = append(removes, it.key)
			removed = append(removed, o)
		case !o.keep || o.live == nil:
		case at.live:
			f.fill(ctx, &it.query, it.key, o)
		default:
			b, err := o.live.Bytes()
			if err != nil {
				f.reportEncode(ctx, err)
				continue
			}
			sets = append(sets, store.Item{Key: it.key, Value: b, TTL: o.ttl})
			stored = append(stored, o)
		}
	}
	each(leased, func(l leasedOutcome[V]) { f.fillLeased(ctx, l.lease, l.outcome) })
	if len(sets) > 0 && f.written(ctx, "setmany", store.SetMany(ctx, at.Store, sets), stored) {
		for _, o := range stored {
			f.filled(at, o)
		}
	}
	if len(removes) > 0 {
		f.written(ctx, "deletemany", store.DeleteMany(ctx, at.Store, removes), removed)
	}
}

// written notes how a write has ended. Of which entries it failed is not known.
func (f *Func[K, V]) written(ctx context.Context, op string, err error, outcomes []*outcome[V]) bool {
	if err == nil {
		return true
	}
	f.reportStore(ctx, op, err)
	for _, o := range outcomes {
		o.storeErr.Store(&err)
	}
	return false
}
