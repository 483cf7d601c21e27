package memory

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/maypok86/otter/v2"
)

// Each benchmark has the sub-benchmarks otter and cairn, which do the same
// work, under names that are alike before the last part:
//
//	keys=1     one key that everyone asks for
//	keys=64Ki  64 Ki keys in a scattered order
//	full       new keys only, into a store that is full: each write evicts
//	ttl        the entries have a ttl, which otter counts too

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
func bench(b *testing.B, name, who string, n int, op func(i int)) {
	run := func(mode string, loop func(b *testing.B)) {
		b.Run(fmt.Sprintf("%s/%s/%s", name, mode, who), func(b *testing.B) {
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

func benchOtter[V any](b *testing.B, max int, ttl time.Duration) *otter.Cache[string, V] {
	o := &otter.Options[string, V]{MaximumSize: max}
	if ttl > 0 {
		o.ExpiryCalculator = otter.ExpiryWriting[string, V](ttl)
	}
	c := otter.Must(o)
	b.Cleanup(func() { c.StopAllGoroutines() })
	return c
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
			c := benchOtter[*store.Live](b, max, ttl)
			for i := range n {
				c.Set(benchKey[i], benchLive[i])
			}
			bench(b, name, "otter", n, func(i int) {
				if _, ok := c.GetIfPresent(benchKey[i]); !ok {
					b.Fatal("miss")
				}
			})
			s := benchStore(b, max, ttl)
			for i := range n {
				s.SetLive(ctx, benchKey[i], benchLive[i], 0)
			}
			bench(b, name, "cairn", n, func(i int) {
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
		c := benchOtter[[]byte](b, 100_000, ttl)
		s := benchStore(b, 100_000, ttl)
		for i := range n {
			c.Set(benchKey[i], append([]byte{}, value...))
			s.Set(ctx, benchKey[i], value, 0)
		}
		bench(b, name, "otter", n, func(i int) {
			v, ok := c.GetIfPresent(benchKey[i])
			if !ok || len(append([]byte{}, v...)) != 64 {
				b.Fatal("miss")
			}
		})
		bench(b, name, "cairn", n, func(i int) {
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
		c := benchOtter[[]byte](b, 100_000, ttl)
		bench(b, name, "otter", n, func(i int) { c.Set(benchKey[i], append([]byte{}, value...)) })
		s := benchStore(b, 100_000, ttl)
		bench(b, name, "cairn", n, func(i int) { s.Set(ctx, benchKey[i], value, 0) })
	})
}

func BenchmarkSetLive(b *testing.B) {
	ctx := context.Background()
	set := func(name string, n, max int, ttl time.Duration) {
		c := benchOtter[*store.Live](b, max, ttl)
		bench(b, name, "otter", n, func(i int) { c.Set(benchKey[i], benchLive[i]) })
		s := benchStore(b, max, ttl)
		bench(b, name, "cairn", n, func(i int) { s.SetLive(ctx, benchKey[i], benchLive[i], 0) })
	}
	eachLoad(func(name string, n int, ttl time.Duration) { set(name, n, 100_000, ttl) })
	set("full", benchKeys, 1000, 0)
	set("full,ttl", benchKeys, 1000, time.Hour)
}

// BenchmarkMemory reports the bytes that an entry of 16 + 64 bytes takes.
func BenchmarkMemory(b *testing.B) {
	const n = 200_000
	ctx := context.Background()
	heapInUse := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	measure := func(name string, fill func(set func(set func(key string))) any) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := heapInUse()
				kept := fill(func(set func(key string)) {
					for i := range n {
						set(fmt.Sprintf("key:%012d", i))
					}
				})
				b.ReportMetric((heapInUse()-before)/n, "B/entry")
				runtime.KeepAlive(kept)
			}
		})
	}
	for _, ttl := range []time.Duration{0, time.Hour} {
		name := ""
		if ttl > 0 {
			name = "ttl/"
		}
		measure(name+"otter", func(each func(func(string))) any {
			c := benchOtter[[]byte](b, math.MaxInt, ttl)
			each(func(key string) { c.Set(key, make([]byte, 64)) })
			return c
		})
		measure(name+"cairn", func(each func(func(string))) any {
			s := benchStore(b, math.MaxInt, ttl)
			value := make([]byte, 64)
			each(func(key string) { s.Set(ctx, key, value, 0) })
			return s
		})
	}
}
