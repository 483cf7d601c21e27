package memory

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// The names of the benchmarks have
//
//	keys=1     one key that everyone asks for
//	keys=64Ki  64 Ki keys in a scattered order
//	full       new keys only, into a store that is full: each write evicts
//	ttl        the entries have a ttl
//
// Other libraries are beside it in comparisons/memory.

const benchKeys = 1 << 16

var (
	benchKey  [benchKeys]string
	benchLive [benchKeys]*store.Live
)

func init() {
	for i := range benchKeys {
		benchKey[i] = fmt.Sprintf("key:%d", i)
		benchLive[i] = store.LiveBytes([]byte("a value of 32 bytes, more or less"))
	}
}

// bench runs op on the first n keys one after another, and in parallel.
func bench(b *testing.B, name string, n int, op func(i int)) {
	run := func(mode string, loop func(b *testing.B)) {
		b.Run(name+"/"+mode, func(b *testing.B) {
			b.ReportAllocs()
			runtime.GC()
			loop(b)
		})
	}
	const step = 7919 // prime, so that all keys come in an order that no cache line knows
	run("serial", func(b *testing.B) {
		for i := 0; b.Loop(); i += step {
			op(i & (n - 1))
		}
	})
	run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i += step {
				op(i & (n - 1))
			}
		})
	})
}

func benchStore(b *testing.B, max int, ttl time.Duration) *Store {
	s, err := New(&Options{MaxEntries: max, TTL: ttl})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// eachLoad calls f for the combinations of keys and ttl.
func eachLoad(f func(name string, keys int, ttl time.Duration)) {
	for _, keys := range []int{1, benchKeys} {
		for _, ttl := range []time.Duration{0, time.Hour} {
			name := "keys=1"
			if keys > 1 {
				name = "keys=64Ki"
			}
			if ttl > 0 {
				name += ",ttl"
			}
			f(name, keys, ttl)
		}
	}
}

func BenchmarkGetLive(b *testing.B) {
	ctx := context.Background()
	for _, max := range []int{100_000, math.MaxInt} {
		eachLoad(func(name string, n int, ttl time.Duration) {
			if max == math.MaxInt {
				name += ",unbounded"
			}
			s := benchStore(b, max, ttl)
			for i := range n {
				s.SetLive(ctx, benchKey[i], benchLive[i], 0)
			}
			bench(b, name, n, func(i int) {
				if _, err := s.GetLive(ctx, benchKey[i]); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	ctx := context.Background()
	value := make([]byte, 64)
	eachLoad(func(name string, n int, ttl time.Duration) {
		s := benchStore(b, 100_000, ttl)
		for i := range n {
			s.Set(ctx, benchKey[i], value, 0)
		}
		bench(b, name, n, func(i int) {
			if _, err := s.Get(ctx, benchKey[i]); err != nil {
				b.Fatal(err)
			}
		})
	})
}

func BenchmarkSet(b *testing.B) {
	ctx := context.Background()
	value := make([]byte, 64)
	eachLoad(func(name string, n int, ttl time.Duration) {
		s := benchStore(b, 100_000, ttl)
		bench(b, name, n, func(i int) { s.Set(ctx, benchKey[i], value, 0) })
	})
}

func BenchmarkSetLive(b *testing.B) {
	ctx := context.Background()
	set := func(name string, n, max int, ttl time.Duration) {
		s := benchStore(b, max, ttl)
		bench(b, name, n, func(i int) { s.SetLive(ctx, benchKey[i], benchLive[i], 0) })
	}
	eachLoad(func(name string, n int, ttl time.Duration) { set(name, n, 100_000, ttl) })
	set("full", benchKeys, 1000, 0)
	set("full,ttl", benchKeys, 1000, time.Hour)
}

const memoryEntries = 200_000

// BenchmarkMemory reports the bytes that an entry of 16 + 64 bytes takes.
func BenchmarkMemory(b *testing.B) {
	value := make([]byte, 64)
	benchMemory(b, func(ttl time.Duration) any {
		s := benchStore(b, math.MaxInt, ttl)
		for i := range memoryEntries {
			s.Set(b.Context(), fmt.Sprintf("key:%012d", i), value, 0)
		}
		return s
	})
}

func benchMemory(b *testing.B, fill func(ttl time.Duration) any) {
	heapInUse := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for _, ttl := range []time.Duration{0, time.Hour} {
		b.Run(fmt.Sprintf("ttl=%v", ttl), func(b *testing.B) {
			for b.Loop() {
				before := heapInUse()
				kept := fill(ttl)
				b.ReportMetric((heapInUse()-before)/memoryEntries, "B/entry")
				runtime.KeepAlive(kept)
			}
		})
	}
}
