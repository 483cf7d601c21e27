package memo

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// GetOptions configures a [Get]. The zero value is the default.
type GetOptions struct {
	// Region names one of Options.Regions, for policy, namespace and store.
	// Empty is the Memo itself.
	Region string

	// Call is what this call wants.
	Call Call

	// Shared is as in FuncOptions.
	Shared bool
}

// Get returns the value that is stored under key, or calls fn for it and
// stores what it returns: a memoized function that is not declared. What is
// said of [Wrap] and [Func.Get] holds. The key is the program's to choose, any
// text that is not empty: all who use one in a namespace must mean the same by
// it, and the same V. A value of another V is not found, and overwritten, unless
// the two have the same JSON. Values are encoded as JSON.
//
// Loads are shared by calls with the same V, Region and Shared; fn is that of
// the call that began. [Delete] removes the value. A bad argument is ErrInvalid.
func Get[V any](ctx context.Context, m *Memo, key string, fn func(context.Context) (V, error), o *GetOptions) (V, error) {
	var none V
	plain := o == nil
	if plain {
		o = new(GetOptions)
	}
	switch {
	case m == nil:
		return none, invalid("memo: get " + quote(key) + ": the Memo is nil; make one with memo.New")
	case key == "":
		return none, invalid("memo: get: the key is empty")
	case fn == nil:
		return none, invalid("memo: get " + quote(key) + ": the function is nil")
	case ctx == nil:
		return none, invalid("memo: get " + quote(key) + ": " + nilContext)
	}
	f, err := undeclared[V](m, o.Region, o.Shared)
	if err != nil {
		return none, fmt.Errorf("memo: get %s: %w", quote(key), err)
	}
	ctx = context.WithValue(ctx, keyedFunc{}, fn)
	if plain {
		return f.Get(ctx, key)
	}
	r, err := f.lookup(ctx, "get", key, []Call{o.Call})
	return r.Value, err
}

// Delete removes the value that [Get] has stored under key, of whichever V, as
// [Func.Delete] does. Of o the Region counts; nil is the Memo itself. A bad
// argument is ErrInvalid.
func Delete(ctx context.Context, m *Memo, key string, o *GetOptions) error {
	if o == nil {
		o = new(GetOptions)
	}
	switch {
	case m == nil:
		return invalid("memo: delete " + quote(key) + ": the Memo is nil; make one with memo.New")
	case key == "":
		return invalid("memo: delete: the key is empty")
	}
	f, err := undeclared[any](m, o.Region, false)
	if err != nil {
		return fmt.Errorf("memo: delete %s: %w", quote(key), err)
	}
	return f.deleteUndeclared(ctx, key)
}

// deleteUndeclared is Delete, also for what other functions of Get load under
// the key: those of another V, and those of another region that has the same
// namespace and store. Where they have another one, the key means nothing.
func (f *Func[K, V]) deleteUndeclared(ctx context.Context, k K) error {
	const op = "delete"
	_, key, err := f.locate(ctx, op, k)
	if err != nil {
		return err
	}
	for _, other := range f.memo.undeclared() {
		change := other.invalidate(key)
		defer change.Done()
		if err := change.Wait(ctx); err != nil {
			return &Error{op, f.name, key, err}
		}
	}
	return f.Delete(ctx, k)
}

// undeclared returns the functions of [Get].
func (m *Memo) undeclared() []function {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.keyed))
}

// keyedID is what functions that are not declared have in common.
type keyedID struct {
	region string
	shared bool
	value  reflect.Type
}

type keyedFunc struct{}

// undeclared returns the function that stands for all those of [Get] with the
// same V in a region. Which one to call is in the context.
func undeclared[V any](m *Memo, region string, shared bool) (*Func[string, V], error) {
	id := keyedID{region, shared, reflect.TypeFor[V]()}
	m.mu.Lock()
	f, ok := m.keyed[id].(*Func[string, V])
	m.mu.Unlock()
	if ok {
		return f, nil
	}
	if _, ok := m.regions[region]; !ok && region != "" {
		return nil, fmt.Errorf("GetOptions.Region: %w", unknownRegion(region, m.regions))
	}
	f, err := newFunc(m, "", func(ctx context.Context, _ string) (V, error) {
		return ctx.Value(keyedFunc{}).(func(context.Context) (V, error))(ctx)
	}, &FuncOptions[string, V]{
		Region:  region,
		Shared:  shared,
		KeyFunc: func(key string) (string, error) { return key, nil },
	})
	if err != nil {
		return nil, err
	}
	f.name = "memo.Get" // in errors and in the log
	m.mu.Lock()
	defer m.mu.Unlock()
	if first, ok := m.keyed[id].(*Func[string, V]); ok {
		return first, nil
	}
	m.keyed[id] = f
	m.index(f)
	return f, nil
}
