package memory

import (
	"cmp"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// The names end in the library, for
//
//	benchstat -col /by -ignore /round
var rounds = flag.Int("rounds", 3, "how often each library has its turn")

const (
	keys    = 1 << 16 // that are read and written
	newKeys = 1 << 20 // that are inserted
)

// allKeys are strings made beforehand, which the measured work shares.
var allKeys = sync.OnceValue(func() []string {
	all := make([]string, newKeys)
	for i := range all {
		all[i] = Key(i)
	}
	return all
})

var zipf = sync.OnceValue(func() []int { return Zipf(1, keys, newKeys) })

func newValue() *store.Live { return store.LiveBytes(make([]byte, 64)) }

// compare lets the libraries take turns, so that all of them have the same share
// of what else the machine does.
func compare[V any](b *testing.B, rounds int, libraries []Library[V], run func(*testing.B, Library[V])) {
	allKeys()
	zipf()
	for round := range rounds {
		for _, l := range libraries {
			b.Run(fmt.Sprintf("round=%d/by=%s", round, l.Name), func(b *testing.B) { run(b, l) })
		}
	}
}

// parallel runs op with the requests, in all goroutines from different ones on,
// and returns how often it was true. cpu-ns/op has what the library does in its
// own goroutines as well, and does not have what other processes do meanwhile.
func parallel(b *testing.B, requests int, op func(i int) bool) float64 {
	var goroutines, total atomic.Int64
	b.ReportAllocs()
	runtime.GC()
	began := processorTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(goroutines.Add(1)) * requests / runtime.GOMAXPROCS(0)
		count := int64(0)
		for pb.Next() {
			i++
			if op(i & (requests - 1)) {
				count++
			}
		}
		total.Add(count)
	})
	b.StopTimer()
	b.ReportMetric(float64(processorTime()-began)/float64(b.N), "cpu-ns/op")
	return float64(total.Load())
}

// fill sets n keys, and waits often enough that no library drops any.
func fill[V any](c *Cache[V], n int, value V) {
	for i, key := range allKeys()[:n] {
		c.Set(key, value)
		if i%1000 == 0 {
			c.Settle()
		}
	}
	c.Settle()
}

// eachTTL runs a benchmark with entries that live for ever, and with ones that
// expire.
func eachTTL(b *testing.B, run func(b *testing.B, ttl time.Duration)) {
	b.Run("ttl=none", func(b *testing.B) { run(b, 0) })
	b.Run("ttl=1h", func(b *testing.B) { run(b, time.Hour) })
}

// BenchmarkGet reads keys that are all there.
func BenchmarkGet(b *testing.B) {
	eachTTL(b, func(b *testing.B, ttl time.Duration) { get(b, zipf(), ttl) })
}

// BenchmarkGetOne reads one key, which everybody asks for.
func BenchmarkGetOne(b *testing.B) {
	eachTTL(b, func(b *testing.B, ttl time.Duration) { get(b, []int{0}, ttl) })
}

func get(b *testing.B, requests []int, ttl time.Duration) {
	compare(b, *rounds, Live(), func(b *testing.B, l Library[*store.Live]) {
		c := l.New(2*keys, ttl)
		defer c.Close()
		fill(c, keys, newValue())
		read(b, l.Name, requests, func(key string) bool {
			_, ok := c.Get(key)
			return ok
		})
	})
}

// BenchmarkGetBytes reads values that belong to the reader afterwards: where the
// library has not copied one, the reader does.
func BenchmarkGetBytes(b *testing.B) {
	compare(b, *rounds, Bytes(), func(b *testing.B, l Library[[]byte]) {
		c := l.New(2*keys, 0)
		defer c.Close()
		fill(c, keys, make([]byte, 64))
		copies := l.Name == "cairn"
		read(b, l.Name, zipf(), func(key string) bool {
			value, ok := c.Get(key)
			if !copies {
				value = slices.Clone(value)
			}
			return ok && len(value) == 64
		})
	})
}

// read is for keys that are all there.
func read(b *testing.B, name string, requests []int, get func(key string) bool) {
	all := allKeys()
	hits := parallel(b, len(requests), func(i int) bool { return get(all[requests[i]]) })
	if misses := float64(b.N) - hits; misses > 0 {
		b.Errorf("%s has missed %v of %d", name, misses, b.N)
	}
}

// BenchmarkMixed has nine reads to each write, whatever the read has found, with
// room for a tenth of the keys. Who keeps better entries or drops writes has
// less or other work to do, so that the hits and drops are reported with it.
func BenchmarkMixed(b *testing.B) {
	compare(b, *rounds, Live(), func(b *testing.B, l Library[*store.Live]) {
		c := l.New(keys/10, 0)
		defer c.Close()
		fill(c, keys, newValue())
		all, requests, value := allKeys(), zipf(), newValue()
		dropped := c.Dropped.Load()
		hits := parallel(b, len(requests), func(i int) bool {
			if i%10 == 0 {
				c.Set(all[requests[i]], value)
				return false
			}
			_, ok := c.Get(all[requests[i]])
			return ok
		})
		b.ReportMetric(100*hits/(0.9*float64(b.N)), "hit-%")
		reportDropped(b, c, dropped)
	})
}

// BenchmarkSetExisting writes keys that are all there.
func BenchmarkSetExisting(b *testing.B) {
	eachTTL(b, func(b *testing.B, ttl time.Duration) { set(b, 2*keys, ttl, zipf()) })
}

// BenchmarkSetNew writes keys that are not there into a cache that is full, so
// that each evicts another, or is itself rejected.
func BenchmarkSetNew(b *testing.B) {
	requests := make([]int, newKeys)
	for i := range requests {
		requests[i] = i
	}
	eachTTL(b, func(b *testing.B, ttl time.Duration) { set(b, keys/10, ttl, requests) })
}

func set(b *testing.B, capacity int, ttl time.Duration, requests []int) {
	compare(b, *rounds, Live(), func(b *testing.B, l Library[*store.Live]) {
		c := l.New(capacity, ttl)
		defer c.Close()
		all, value := allKeys(), newValue()
		fill(c, keys, value)
		dropped := c.Dropped.Load()
		parallel(b, len(requests), func(i int) bool {
			c.Set(all[requests[i]], value)
			return false
		})
		reportDropped(b, c, dropped)
	})
}

func reportDropped[V any](b *testing.B, c *Cache[V], before int64) {
	if dropped := c.Dropped.Load() - before; dropped > 0 {
		b.ReportMetric(100*float64(dropped)/float64(b.N), "dropped-%")
	}
}

const million = 1_000_000

// BenchmarkInsert1M inserts a million entries with a ttl, from one goroutine,
// into a cache that has room for them and does not know of them beforehand. Its
// metrics are medians, and their time is what the processors worked: also in the
// library's own goroutines, and not for other processes. The garbage collector
// rests, as a part that it happens to run in would seem slow.
//
// A plain map is there too: what it does at a size is none of a cache's doing. Like
// many tables it doubles when it has 7/8 of 2^20 entries, in the last part, and at
// half of that in the first half. The ratio of the halves has one of each in both.
func BenchmarkInsert1M(b *testing.B) {
	libraries := append(Live(), Library[*store.Live]{"map", newMap})
	compare(b, *rounds, libraries, func(b *testing.B, l Library[*store.Live]) {
		samples := make(map[string][]float64)
		for b.Loop() {
			for range 3 {
				insertMillion(l, func(value float64, unit string) { samples[unit] = append(samples[unit], value) })
			}
		}
		b.ReportMetric(0, "ns/op")
		for unit, values := range samples {
			b.ReportMetric(median(values), unit)
		}
	})
}

func insertMillion(l Library[*store.Live], report func(value float64, unit string)) {
	const part = 100_000
	value := newValue()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := l.New(million, time.Hour)
	defer c.Close()
	start := processorTime()
	var parts []float64
	for chunk := range slices.Chunk(allKeys()[:million], part) {
		began := processorTime()
		for _, key := range chunk {
			c.Set(key, value)
		}
		c.Settle()
		parts = append(parts, float64(processorTime()-began)/part)
	}
	first, last := parts[0], parts[len(parts)-1]
	report(float64(processorTime()-start)/million, "cpu-ns/insert")
	report(first, "cpu-ns/insert-first-100k")
	report(last, "cpu-ns/insert-last-100k")
	report(last/first, "last/first")
	report(sum(parts[len(parts)/2:])/sum(parts[:len(parts)/2]), "2nd-half/1st")
	if dropped := c.Dropped.Load(); dropped > 0 {
		report(100*float64(dropped)/million, "dropped-%")
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// newMap is no cache: it has neither limit nor ttl.
func newMap(int, time.Duration) *Cache[*store.Live] {
	m := make(map[string]*store.Live)
	return &Cache[*store.Live]{
		Set:    func(key string, value *store.Live) { m[key] = value },
		Settle: func() {},
		Close:  func() {},
	}
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

func median(values []float64) float64 {
	slices.SortFunc(values, cmp.Compare)
	return values[len(values)/2]
}

// BenchmarkMemory1M reports the bytes of the heap that an entry takes, of a key
// of 16 bytes and a value of 64, in a cache of a million. These 80 are among them.
func BenchmarkMemory1M(b *testing.B) {
	eachTTL(b, func(b *testing.B, ttl time.Duration) {
		compare(b, 1, Bytes(), func(b *testing.B, l Library[[]byte]) {
			for b.Loop() {
				before := heapInUse()
				c := l.New(million, ttl)
				for i := range million {
					c.Set(Key(i), make([]byte, 64))
					if i%1000 == 0 {
						c.Settle()
					}
				}
				c.Settle()
				used := heapInUse() - before
				held := 0
				for i := range million {
					if _, ok := c.Get(Key(i)); ok {
						held++
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(used/float64(held), "B/entry")
				b.ReportMetric(float64(held), "entries")
				c.Close()
			}
		})
	})
}

// heapInUse is how many bytes of it are in use after garbage collection, which twice
// also frees what a sync.Pool keeps.
func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
