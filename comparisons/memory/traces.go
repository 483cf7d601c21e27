package memory

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// A Trace is a sequence of requests for keys, the same in every run.
type Trace struct {
	Name     string
	About    string
	Requests []int // which key each request is for
	Keys     int   // how many keys there are
}

// Traces are those that the hit ratios are measured on.
func Traces() []Trace {
	return []Trace{
		newTrace("zipf", "a few keys are popular", Zipf(1, 50_000, 400_000)),
		newTrace("loop", "all keys in turn, again and again", loop(20_000, 400_000)),
		newTrace("scan-mixed", "zipf, between scans of keys used once", scanMixed(10, 25_000, 30_000, 10_000)),
	}
}

func newTrace(name, about string, requests []int) Trace {
	distinct := slices.Clone(requests)
	slices.Sort(distinct)
	return Trace{name, about, requests, len(slices.Compact(distinct))}
}

// Skew is the exponent of the Zipf distribution, the one that YCSB has: the key
// of rank r is wanted in proportion to 1/r^0.99. The generator of math/rand/v2
// takes only exponents greater than 1.
const Skew = 0.99

// Zipf returns n requests for keys from 0 on, the most popular one first.
func Zipf(seed uint64, keys, n int) []int {
	random := rand.New(rand.NewPCG(seed, 0))
	upTo := make([]float64, keys) // the popularity of a key and those before it
	var sum float64
	for i := range upTo {
		sum += math.Pow(float64(i+1), -Skew)
		upTo[i] = sum
	}
	requests := make([]int, n)
	for i := range requests {
		requests[i] = min(sort.SearchFloat64s(upTo, random.Float64()*sum), keys-1)
	}
	return requests
}

func loop(keys, n int) []int {
	requests := make([]int, n)
	for i := range requests {
		requests[i] = i % keys
	}
	return requests
}

// scanMixed returns, so many times over, requests of a Zipf distribution and
// then a scan of keys that have not been there before and will not be again.
func scanMixed(times, keys, popular, scan int) []int {
	var requests []int
	next := keys
	for i := range times {
		requests = append(requests, Zipf(uint64(i), keys, popular)...)
		for range scan {
			requests = append(requests, next)
			next++
		}
	}
	return requests
}

// Key is the key of 16 bytes with the number i.
func Key(i int) string { return fmt.Sprintf("key:%012d", i) }

// HitRatio is the share of the requests that a new cache of the library has an
// answer to, if the key of each miss is set to value. The cache settles after each write,
// so that none is judged by work that it would have done a moment later.
func HitRatio[V any](t Trace, l Library[V], capacity int, value V) float64 {
	c := l.New(capacity, 0)
	defer c.Close()
	keys := make([]string, slices.Max(t.Requests)+1)
	for i := range keys {
		keys[i] = Key(i)
	}
	hits := 0
	for _, key := range t.Requests {
		if _, ok := c.Get(keys[key]); ok {
			hits++
			continue
		}
		c.Set(keys[key], value)
		c.Settle()
	}
	return float64(hits) / float64(len(t.Requests))
}
