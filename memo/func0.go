package memo

import (
	"context"
	"time"
)

// Func0 is a memoized function of no argument. Make one with Wrap0. Its methods
// are those of [Func], which says what they do.
type Func0[V any] struct {
	of *Func[Args0, V]
}

// Wrap0 is [Wrap] for a function of no argument.
func Wrap0[V any](m *Memo, name string, fn func(context.Context) (V, error), o *FuncOptions[Args0, V]) (*Func0[V], error) {
	var one func(context.Context, Args0) (V, error)
	if fn != nil {
		one = func(ctx context.Context, _ Args0) (V, error) { return fn(ctx) }
	}
	f, err := Wrap(m, name, one, o)
	if err != nil {
		return nil, err
	}
	return &Func0[V]{f}, nil
}

// Get is [Func.Get]. It is a func(context.Context) (V, error) as the wrapped one is.
func (f *Func0[V]) Get(ctx context.Context) (V, error) {
	return f.of.Get(ctx, Args0{})
}

// Lookup is [Func.Lookup].
func (f *Func0[V]) Lookup(ctx context.Context, call ...Call) (Result[V], error) {
	return f.of.Lookup(ctx, Args0{}, call...)
}

// Refresh is [Func.Refresh].
func (f *Func0[V]) Refresh(ctx context.Context) (V, error) {
	return f.of.Refresh(ctx, Args0{})
}

// Set is [Func.Set].
func (f *Func0[V]) Set(ctx context.Context, value V, call ...Call) error {
	return f.of.Set(ctx, Args0{}, value, call...)
}

// Delete is [Func.Delete].
func (f *Func0[V]) Delete(ctx context.Context) error {
	return f.of.Delete(ctx, Args0{})
}

// Expire is [Func.Expire].
func (f *Func0[V]) Expire(ctx context.Context) error {
	return f.of.Expire(ctx, Args0{})
}

// Has is [Func.Has].
func (f *Func0[V]) Has(ctx context.Context) (bool, error) {
	return f.of.Has(ctx, Args0{})
}

// TTL is [Func.TTL].
func (f *Func0[V]) TTL(ctx context.Context) (time.Duration, error) {
	return f.of.TTL(ctx, Args0{})
}

// Touch is [Func.Touch].
func (f *Func0[V]) Touch(ctx context.Context) error {
	return f.of.Touch(ctx, Args0{})
}

// TouchAt is [Func.TouchAt].
func (f *Func0[V]) TouchAt(ctx context.Context, t time.Time) error {
	return f.of.TouchAt(ctx, Args0{}, t)
}

// Meta is [Func.Meta].
func (f *Func0[V]) Meta(ctx context.Context) (Meta, error) {
	return f.of.Meta(ctx, Args0{})
}

// Original is [Func.Original].
func (f *Func0[V]) Original(ctx context.Context) (V, error) {
	return f.of.Original(ctx, Args0{})
}

// Key is [Func.Key].
func (f *Func0[V]) Key() (string, error) { return f.of.Key(Args0{}) }

// Clear is [Func.Clear].
func (f *Func0[V]) Clear(ctx context.Context) error { return f.of.Clear(ctx) }

// Stats is [Func.Stats].
func (f *Func0[V]) Stats() Stats { return f.of.Stats() }
