package memo

import (
	"context"
	"fmt"
	"sync"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// Memo is what memoized functions have in common: the store, the namespace of
// their keys, the policy that they inherit. Make one with New. Its methods may
// be called concurrently.
type Memo struct {
	store     store.Store
	namespace string
	policy    Policy
	trace     Trace
	scope     *flight.Scope

	mu    sync.Mutex
	names map[string]bool // of the functions
}

// Options configures a Memo. The zero value is the default.
type Options struct {
	// Namespace begins the keys of all functions. Programs, or parts of one,
	// that share a store take different ones.
	Namespace string

	// Policy is for those functions that state none of their own.
	Policy Policy

	// Trace is told what happens. It is copied.
	Trace *Trace
}

// New makes a Memo that keeps its values in s. The store stays the caller's,
// to be closed after the Memo. A bad argument is ErrInvalid.
func New(s store.Store, o *Options) (*Memo, error) {
	if s == nil {
		return nil, invalid("memo: new: the store is nil; make one with an adapter, such as memory.New(nil)")
	}
	if o == nil {
		o = new(Options)
	}
	if err := o.Policy.check(); err != nil {
		return nil, fmt.Errorf("memo: new: Options.%w", err)
	}
	m := &Memo{
		store:     s,
		namespace: o.Namespace,
		policy:    o.Policy,
		scope:     flight.NewScope(),
		names:     make(map[string]bool),
	}
	if o.Trace != nil {
		m.trace = *o.Trace
	}
	return m, nil
}

// Close lets no function of m answer any more: every method returns an error
// matching ErrClosed. It waits for the loads under way. If ctx ends first, it
// cancels them, releases their callers with ErrClosed, and returns ctx.Err();
// what they still load is not stored. A function that heeds its context has
// then ended or is about to; another one goes on by itself, to no effect.
//
// Close does not close the store. It may be called again. In a memoized
// function it would wait for itself.
func (m *Memo) Close(ctx context.Context) error {
	if ctx == nil {
		return invalid("memo: close: " + nilContext)
	}
	if err := m.scope.Close(ctx); err != nil {
		return fmt.Errorf("memo: close: loads are still under way: %w", err)
	}
	return nil
}

// reserve takes a name for a function, once.
func (m *Memo) reserve(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] {
		return false
	}
	m.names[name] = true
	return true
}
