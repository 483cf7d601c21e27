package memo

import (
	"context"
	"slices"
)

// makeLeased is makeMany for those items that nobody in the fleet has stored by
// now. Each has a lease of its own. One that another process has is not waited
// for: that might wait for a lease of this load in turn.
func (f *Func[K, V]) makeLeased(ctx context.Context, items []*item[K, V]) ([]*outcome[V], []error) {
	outcomes := make([]*outcome[V], len(items))
	storeErrs := make([]error, len(items))
	indices := make([]int, len(items))
	for i, it := range items {
		indices[i] = i
		it.lease = newLease(ctx, it.query.at, it.key)
	}
	each(indices, func(i int) {
		it := items[i]
		before := it.found // which the caller may be looking at
		outcomes[i], _, storeErrs[i] = f.take(ctx, &it.query, it.lease, &before)
	})
	if err := ctx.Err(); err != nil {
		return make([]*outcome[V], len(items)), slices.Repeat([]error{err}, len(items))
	}
	outcomes, errs := f.makeMany(ctx, items, outcomes)
	for i, it := range items {
		if o := outcomes[i]; o != nil && !o.found && it.lease.state != leaseHeld && it.lease.state != leaseless {
			o.withhold(storeErrs[i])
		}
	}
	return outcomes, errs
}

// giveUpFailed gives up the leases of those items that have no outcome: Fill
// and Void are not told of them.
func (f *Func[K, V]) giveUpFailed(items []*item[K, V], outcomes []*outcome[V]) {
	var failed []*item[K, V]
	for i, it := range items {
		if it.lease != nil && (outcomes == nil || outcomes[i] == nil) {
			failed = append(failed, it)
		}
	}
	each(failed, func(it *item[K, V]) { f.giveUp(it.lease) })
}

// leasedOutcome is what is to be stored for a lease.
type leasedOutcome[V any] struct {
	lease   *lease
	outcome *outcome[V]
}
