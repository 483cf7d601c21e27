package memo

import (
	"context"
	"time"
)

// Func3 is a memoized function of three arguments. Make one with Wrap3. Its methods
// are those of [Func], which says what they do.
type Func3[A, B, C, V any] struct {
	of *Func[Args3[A, B, C], V]
}

// Wrap3 is [Wrap] for a function of three arguments. Where its options speak of an
// argument, that is the Args3 of them all.
func Wrap3[A, B, C, V any](m *Memo, name string, fn func(context.Context, A, B, C) (V, error), o *FuncOptions[Args3[A, B, C], V]) (*Func3[A, B, C, V], error) {
	var one func(context.Context, Args3[A, B, C]) (V, error)
	if fn != nil {
		one = func(ctx context.Context, k Args3[A, B, C]) (V, error) { return fn(ctx, k.A, k.B, k.C) }
	}
	f, err := Wrap(m, name, one, o)
	if err != nil {
		return nil, err
	}
	return &Func3[A, B, C, V]{f}, nil
}

// Get is [Func.Get]. It is a func(context.Context, A, B, C) (V, error) as the wrapped one is.
func (f *Func3[A, B, C, V]) Get(ctx context.Context, a A, b B, c C) (V, error) {
	return f.of.Get(ctx, Args3[A, B, C]{a, b, c})
}

// Lookup is [Func.Lookup].
func (f *Func3[A, B, C, V]) Lookup(ctx context.Context, a A, b B, c C, call ...Call) (Result[V], error) {
	return f.of.Lookup(ctx, Args3[A, B, C]{a, b, c}, call...)
}

// Refresh is [Func.Refresh].
func (f *Func3[A, B, C, V]) Refresh(ctx context.Context, a A, b B, c C) (V, error) {
	return f.of.Refresh(ctx, Args3[A, B, C]{a, b, c})
}

// Set is [Func.Set].
func (f *Func3[A, B, C, V]) Set(ctx context.Context, a A, b B, c C, value V, call ...Call) error {
	return f.of.Set(ctx, Args3[A, B, C]{a, b, c}, value, call...)
}

// Delete is [Func.Delete].
func (f *Func3[A, B, C, V]) Delete(ctx context.Context, a A, b B, c C) error {
	return f.of.Delete(ctx, Args3[A, B, C]{a, b, c})
}

// Expire is [Func.Expire].
func (f *Func3[A, B, C, V]) Expire(ctx context.Context, a A, b B, c C) error {
	return f.of.Expire(ctx, Args3[A, B, C]{a, b, c})
}

// Has is [Func.Has].
func (f *Func3[A, B, C, V]) Has(ctx context.Context, a A, b B, c C) (bool, error) {
	return f.of.Has(ctx, Args3[A, B, C]{a, b, c})
}

// TTL is [Func.TTL].
func (f *Func3[A, B, C, V]) TTL(ctx context.Context, a A, b B, c C) (time.Duration, error) {
	return f.of.TTL(ctx, Args3[A, B, C]{a, b, c})
}

// Touch is [Func.Touch].
func (f *Func3[A, B, C, V]) Touch(ctx context.Context, a A, b B, c C) error {
	return f.of.Touch(ctx, Args3[A, B, C]{a, b, c})
}

// TouchAt is [Func.TouchAt].
func (f *Func3[A, B, C, V]) TouchAt(ctx context.Context, a A, b B, c C, t time.Time) error {
	return f.of.TouchAt(ctx, Args3[A, B, C]{a, b, c}, t)
}

// Meta is [Func.Meta].
func (f *Func3[A, B, C, V]) Meta(ctx context.Context, a A, b B, c C) (Meta, error) {
	return f.of.Meta(ctx, Args3[A, B, C]{a, b, c})
}

// Original is [Func.Original].
func (f *Func3[A, B, C, V]) Original(ctx context.Context, a A, b B, c C) (V, error) {
	return f.of.Original(ctx, Args3[A, B, C]{a, b, c})
}

// Key is [Func.Key].
func (f *Func3[A, B, C, V]) Key(a A, b B, c C) (string, error) {
	return f.of.Key(Args3[A, B, C]{a, b, c})
}

// GetMany is [Func.GetMany].
func (f *Func3[A, B, C, V]) GetMany(ctx context.Context, ks []Args3[A, B, C], call ...Call) ([]Result[V], error) {
	return f.of.GetMany(ctx, ks, call...)
}

// DeleteMany is [Func.DeleteMany].
func (f *Func3[A, B, C, V]) DeleteMany(ctx context.Context, ks []Args3[A, B, C]) error {
	return f.of.DeleteMany(ctx, ks)
}

// Clear is [Func.Clear].
func (f *Func3[A, B, C, V]) Clear(ctx context.Context) error { return f.of.Clear(ctx) }

// Stats is [Func.Stats].
func (f *Func3[A, B, C, V]) Stats() Stats { return f.of.Stats() }
