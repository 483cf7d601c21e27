package flight

import (
	"context"
	"time"
)

// A Batch is what a caller wants of several keys. What is not described here
// is as in [Request].
type Batch[V any] struct {
	Keys []string // each once

	// Load loads the keys that are not being loaded by others, given as
	// indices into Keys, and returns a value or an error for each.
	Load func(ctx context.Context, keys []int, again bool) ([]V, []error)

	// Fill stores the values, those of keys. Void is told how many are not to
	// be stored.
	Fill func(ctx context.Context, keys []int, values []V)
	Void func(n int)

	Timeout  time.Duration
	Patience time.Duration
	Guarded  bool
	Seen     Mark
	Epoch    uint64
	After    bool
}

// An Outcome is what Do returns for one key.
type Outcome[V any] struct {
	Value V
	Led   bool
	Err   error
}

// DoMany is Do for several keys: one load of all those that nobody loads
// already. That is cancelled when nobody waits for any of its keys, and those
// who wait for one get it when all are stored. The outcomes are in the order of
// the keys.
func (g *Group[V]) DoMany(ctx context.Context, b Batch[V]) []Outcome[V] {
	outcomes := make([]Outcome[V], len(b.Keys))
	patience, stop := alarm(b.Patience)
	defer stop()
	c := &caller{ctx, true, running(ctx), patience}
	for i, key := range b.Keys {
		outcomes[i].Err = c.within.inside(g, key)
	}
	var turns []*turn[V]
	if b.After {
		turns = g.takeTurns(c, b.Keys, outcomes)
	}
	l := &load[V]{batch: &b}
	flights := make([]*flight[V], len(b.Keys))
	for i := range outcomes {
		o := &outcomes[i]
		if err := ctx.Err(); err != nil {
			o.Err = err
		}
		if o.Err != nil {
			continue
		}
		var t *turn[V]
		if b.After {
			t = turns[i]
		}
		flights[i], o.Led, o.Err = g.join(c, l, i, t)
	}
	if len(l.flights) > 0 {
		go g.run(l)
	}
	for i, f := range flights {
		if f != nil {
			outcomes[i].Value, outcomes[i].Err = g.wait(c, f)
		}
	}
	if len(l.flights) > 0 && l.node.ended() && l.aborted != nil {
		l.aborted.resume()
	}
	return outcomes
}

// takeTurns waits until none of the keys is loaded by a load that was under way
// when it was called. It notes in the outcomes which it could not wait for.
func (g *Group[V]) takeTurns(c *caller, keys []string, outcomes []Outcome[V]) []*turn[V] {
	turns := make([]*turn[V], len(keys))
	for i, key := range keys {
		if outcomes[i].Err == nil {
			turns[i] = g.turn(key)
		}
	}
	for i, t := range turns {
		if t != nil {
			outcomes[i].Err = t.outlast(c)
		}
	}
	return turns
}

// StartMany is Start for several keys. It returns how many it began to load.
func (g *Group[V]) StartMany(ctx context.Context, b Batch[V]) int {
	c, l := &caller{ctx: ctx}, &load[V]{batch: &b}
	for i := range b.Keys {
		_, _, _ = g.join(c, l, i, nil) // an error is that the Scope was closed
	}
	if len(l.flights) > 0 {
		go g.run(l)
	}
	return len(l.flights)
}
