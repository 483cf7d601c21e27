package memo

import (
	"context"
	"time"
)

// Func2 is a memoized function of two arguments. Make one with Wrap2. Its methods
// are those of [Func], which says what they do.
type Func2[A, B, V any] struct {
	of *Func[Args2[A, B], V]
}

// Wrap2 is [Wrap] for a function of two arguments. Where its options speak of an
// argument, that is the Args2 of them all.
func Wrap2[A, B, V any](m *Memo, name string, fn func(context.Context, A, B) (V, error), o *FuncOptions[Args2[A, B], V]) (*Func2[A, B, V], error) {
	var one func(context.Context, Args2[A, B]) (V, error)
	if fn != nil {
		one = func(ctx context.Context, k Args2[A, B]) (V, error) { return fn(ctx, k.A, k.B) }
	}
	f, err := Wrap(m, name, one, o)
	if err != nil {
		return nil, err
	}
	return &Func2[A, B, V]{f}, nil
}

// Get is [Func.Get]. It is a func(context.Context, A, B) (V, error) as the wrapped one is.
func (f *Func2[A, B, V]) Get(ctx context.Context, a A, b B) (V, error) {
	return f.of.Get(ctx, Args2[A, B]{a, b})
}

// Lookup is [Func.Lookup].
func (f *Func2[A, B, V]) Lookup(ctx context.Context, a A, b B, call ...Call) (Result[V], error) {
	return f.of.Lookup(ctx, Args2[A, B]{a, b}, call...)
}

// Refresh is [Func.Refresh].
func (f *Func2[A, B, V]) Refresh(ctx context.Context, a A, b B) (V, error) {
	return f.of.Refresh(ctx, Args2[A, B]{a, b})
}

// Set is [Func.Set].
func (f *Func2[A, B, V]) Set(ctx context.Context, a A, b B, value V, call ...Call) error {
	return f.of.Set(ctx, Args2[A, B]{a, b}, value, call...)
}

// Delete is [Func.Delete].
func (f *Func2[A, B, V]) Delete(ctx context.Context, a A, b B) error {
	return f.of.Delete(ctx, Args2[A, B]{a, b})
}

// Expire is [Func.Expire].
func (f *Func2[A, B, V]) Expire(ctx context.Context, a A, b B) error {
	return f.of.Expire(ctx, Args2[A, B]{a, b})
}

// Has is [Func.Has].
func (f *Func2[A, B, V]) Has(ctx context.Context, a A, b B) (bool, error) {
	return f.of.Has(ctx, Args2[A, B]{a, b})
}

// TTL is [Func.TTL].
func (f *Func2[A, B, V]) TTL(ctx context.Context, a A, b B) (time.Duration, error) {
	return f.of.TTL(ctx, Args2[A, B]{a, b})
}

// Touch is [Func.Touch].
func (f *Func2[A, B, V]) Touch(ctx context.Context, a A, b B) error {
	return f.of.Touch(ctx, Args2[A, B]{a, b})
}

// TouchAt is [Func.TouchAt].
func (f *Func2[A, B, V]) TouchAt(ctx context.Context, a A, b B, t time.Time) error {
	return f.of.TouchAt(ctx, Args2[A, B]{a, b}, t)
}

// Meta is [Func.Meta].
func (f *Func2[A, B, V]) Meta(ctx context.Context, a A, b B) (Meta, error) {
	return f.of.Meta(ctx, Args2[A, B]{a, b})
}

// Original is [Func.Original].
func (f *Func2[A, B, V]) Original(ctx context.Context, a A, b B) (V, error) {
	return f.of.Original(ctx, Args2[A, B]{a, b})
}

// Key is [Func.Key].
func (f *Func2[A, B, V]) Key(a A, b B) (string, error) { return f.of.Key(Args2[A, B]{a, b}) }

// GetMany is [Func.GetMany].
func (f *Func2[A, B, V]) GetMany(ctx context.Context, ks []Args2[A, B], call ...Call) ([]Result[V], error) {
	return f.of.GetMany(ctx, ks, call...)
}

// DeleteMany is [Func.DeleteMany].
func (f *Func2[A, B, V]) DeleteMany(ctx context.Context, ks []Args2[A, B]) error {
	return f.of.DeleteMany(ctx, ks)
}

// Clear is [Func.Clear].
func (f *Func2[A, B, V]) Clear(ctx context.Context) error { return f.of.Clear(ctx) }

// Stats is [Func.Stats].
func (f *Func2[A, B, V]) Stats() Stats { return f.of.Stats() }
