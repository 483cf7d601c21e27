package memory

import (
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// TypedOptions are the choices for NewTyped. The zero TypedOptions, and nil,
// are the defaults.
type TypedOptions[K comparable, V any] struct {
	// MaxEntries is how many entries there are, at most and at any moment: a
	// write that needs room evicts first.
	//
	// 0 is 100,000, unless MaxCost is set: a cache that nobody has sized must
	// not grow for ever. math.MaxInt is no bound.
	MaxEntries int

	// MaxCost bounds the sum of the costs of all entries, as MaxEntries bounds
	// their number. 0 is no bound.
	MaxCost int64

	// Cost is what an entry costs, in whatever unit MaxCost is meant. It must be
	// set if MaxCost is. It is called once for each value that is written,
	// before that and outside all locks: what changes in a value later costs
	// nothing. Less than 0 is 0.
	Cost func(key K, value V) int64

	// Policy is which entry goes when there is no room. 0 is TinyLFU.
	Policy Policy

	// TTL is what store.DefaultTTL stands for. 0 is store.Forever.
	TTL time.Duration

	// OnRemove, if not nil, is called once for each value that has left, with
	// the cause. Close does not report what it drops.
	//
	// It is called outside all locks, by the goroutine whose call has removed the
	// value and before that call returns, so it should be quick. Of what the Typed
	// removes by itself, once it has expired, it is told by a goroutine of its own.
	// Several goroutines may call it at once. A panic in it ends that one call of
	// it, and is counted in Stats.
	//
	// It may use the Typed, but not while it holds a lock that it takes itself:
	// what such a call removes it is told before that returns. If it puts back
	// whatever was evicted, it evicts another by that, and calls itself until the
	// stack is full.
	OnRemove func(key K, value V, cause Cause)
}

// complete fills in the defaults.
func (o *TypedOptions[K, V]) complete(op string) (cache.Limits, error) {
	problem := ""
	switch {
	case o.MaxCost < 0:
		problem = "MaxCost is negative; leave it 0 for no bound"
	case o.MaxCost > 0 && o.Cost == nil:
		problem = "MaxCost is set and Cost is not; it says what an entry costs"
	case o.MaxCost == 0 && o.Cost != nil:
		problem = "Cost is set and MaxCost is not; it says how much all may cost"
	}
	if problem != "" {
		return cache.Limits{}, store.Errorf(op, "", store.ErrInvalid, "%s", problem)
	}
	c, err := (&Options{MaxEntries: o.MaxEntries, MaxBytes: o.MaxCost, Policy: o.Policy, TTL: o.TTL}).complete(op)
	if err != nil {
		return cache.Limits{}, err
	}
	o.MaxEntries, o.TTL = c.MaxEntries, c.TTL
	return c.limits(), nil
}
