// Package memory has the in-process caches of several libraries behind one face,
// and requests to try them with. Its benchmarks and the program hitratio compare
// adapters/memory with the others.
package memory

import (
	"context"
	"sync/atomic"
	"time"

	theine "github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

// A Library makes caches with the settings that its documentation advises.
type Library[V any] struct {
	Name string

	// New returns a cache of at most capacity entries, which live for ttl, or
	// until they are evicted if it is 0.
	New func(capacity int, ttl time.Duration) *Cache[V]
}

// A Cache is one cache of a library.
type Cache[V any] struct {
	Get   func(key string) (V, bool)
	Set   func(key string, value V)
	Close func()

	// Settle returns when the writes before it, and the evictions that follow
	// from them, have taken effect. Several libraries do that work later.
	Settle func()

	// Dropped is how many writes were lost because the library had too much to
	// do. What its policy has chosen not to keep is not among them.
	Dropped atomic.Int64
}

// Live are the libraries with values that are kept as pointers.
func Live() []Library[*store.Live] {
	return append([]Library[*store.Live]{{"cairn", newLive}}, generic[*store.Live]()...)
}

// Bytes are the libraries with values of bytes. Of these, the Store of cairn alone
// copies what it is given and what it gives; in the others nobody may change it.
func Bytes() []Library[[]byte] {
	return append([]Library[[]byte]{{"cairn", newBytes}}, generic[[]byte]()...)
}

// Typed is the name of cairn's map without bytes, contexts and errors, which is
// what the other libraries have. It evicts as the Store does. LRU is that map with
// the policy of golang-lru.
const (
	Typed = "cairn-typed"
	LRU   = "cairn-typed-lru"
)

func generic[V any]() []Library[V] {
	return []Library[V]{
		{Typed, newTyped[V](memory.TinyLFU)},
		{LRU, newTyped[V](memory.LRU)},
		{"otter", newOtter[V]},
		{"theine", newTheine[V]},
		{"ristretto", newRistretto[V]},
		{"golang-lru", newLRU[V]},
	}
}

func newLive(capacity int, ttl time.Duration) *Cache[*store.Live] {
	ctx := context.Background()
	s := must(memory.New(&memory.Options{MaxEntries: capacity, TTL: ttl}))
	return &Cache[*store.Live]{
		Get: func(key string) (*store.Live, bool) {
			l, err := s.GetLive(ctx, key)
			return l, err == nil
		},
		Set: func(key string, value *store.Live) {
			if err := s.SetLive(ctx, key, value, store.DefaultTTL); err != nil {
				panic(err) // it would look like a fast write
			}
		},
		Settle: func() {},
		Close:  func() { s.Close() },
	}
}

func newBytes(capacity int, ttl time.Duration) *Cache[[]byte] {
	ctx := context.Background()
	s := must(memory.New(&memory.Options{MaxEntries: capacity, TTL: ttl}))
	return &Cache[[]byte]{
		Get: func(key string) ([]byte, bool) {
			v, err := s.Get(ctx, key)
			return v, err == nil
		},
		Set: func(key string, value []byte) {
			if err := s.Set(ctx, key, value, store.DefaultTTL); err != nil {
				panic(err)
			}
		},
		Settle: func() {},
		Close:  func() { s.Close() },
	}
}

func newTyped[V any](policy memory.Policy) func(capacity int, ttl time.Duration) *Cache[V] {
	return func(capacity int, ttl time.Duration) *Cache[V] {
		c := must(memory.NewTyped(&memory.TypedOptions[string, V]{MaxEntries: capacity, TTL: ttl, Policy: policy}))
		return &Cache[V]{Get: c.Get, Set: c.Set, Settle: func() {}, Close: c.Close}
	}
}

func newOtter[V any](capacity int, ttl time.Duration) *Cache[V] {
	o := &otter.Options[string, V]{MaximumSize: capacity}
	if ttl > 0 {
		o.ExpiryCalculator = otter.ExpiryWriting[string, V](ttl)
	}
	c := must(otter.New(o))
	return &Cache[V]{
		Get:    c.GetIfPresent,
		Set:    func(key string, value V) { c.Set(key, value) },
		Settle: c.CleanUp,
		Close:  func() { c.StopAllGoroutines() },
	}
}

func newTheine[V any](capacity int, ttl time.Duration) *Cache[V] {
	c := must(theine.NewBuilder[string, V](int64(capacity)).Build())
	return &Cache[V]{
		Get:    c.Get,
		Set:    func(key string, value V) { c.SetWithTTL(key, value, 1, ttl) },
		Settle: c.Wait,
		Close:  c.Close,
	}
}

// newRistretto counts entries, as the others do, each with cost 1. Ristretto
// drops writes when its buffer of them is full, and says so by a result that
// is easily overlooked. It also keeps no keys, but hashes of 128 bits.
func newRistretto[V any](capacity int, ttl time.Duration) *Cache[V] {
	c := must(ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters:        10 * int64(capacity),
		MaxCost:            int64(capacity),
		BufferItems:        64,
		IgnoreInternalCost: true,
	}))
	r := &Cache[V]{Get: c.Get, Settle: c.Wait, Close: c.Close}
	r.Set = func(key string, value V) {
		if !c.SetWithTTL(key, value, 1, ttl) {
			r.Dropped.Add(1)
		}
	}
	return r
}

// newLRU takes the type that knows no ttl, which is faster, where there is none.
// The other one has no Close: its goroutine stays, with an empty cache.
func newLRU[V any](capacity int, ttl time.Duration) *Cache[V] {
	if ttl == 0 {
		c := must(lru.New[string, V](capacity))
		return &Cache[V]{
			Get:    c.Get,
			Set:    func(key string, value V) { c.Add(key, value) },
			Settle: func() {},
			Close:  c.Purge,
		}
	}
	c := expirable.NewLRU[string, V](capacity, nil, ttl)
	return &Cache[V]{
		Get:    c.Get,
		Set:    func(key string, value V) { c.Add(key, value) },
		Settle: func() {},
		Close:  c.Purge,
	}
}

// must is for options that are known to be valid.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
