package memory

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTracesAreTheSameInEveryRun(t *testing.T) {
	want := map[string]string{
		"zipf":       "39099 keys, eb48b1765729f0cf",
		"loop":       "20000 keys, 2f96a05dd69dabbd",
		"scan-mixed": "122079 keys, 32c9976f2191bb1e",
	}
	for _, trace := range Traces() {
		h := fnv.New64a()
		for _, key := range trace.Requests {
			fmt.Fprintln(h, key)
		}
		if got := fmt.Sprintf("%d keys, %x", trace.Keys, h.Sum64()); got != want[trace.Name] {
			t.Errorf("%s: %s, want %s", trace.Name, got, want[trace.Name])
		}
	}
}

func TestScansAreOfKeysUsedOnce(t *testing.T) {
	uses := make(map[int]int)
	for _, key := range scanMixed(3, 10, 100, 50) {
		uses[key]++
	}
	if len(uses) != 10+3*50 {
		t.Fatalf("%d keys, want 10 popular ones and 150 of scans", len(uses))
	}
	for key := 10; key < 160; key++ {
		if uses[key] != 1 {
			t.Errorf("key %d of a scan is used %d times", key, uses[key])
		}
	}
}

// TestOptimal tries all that a cache could do, on short traces.
func TestOptimal(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		requests := make([]int, 1+random.IntN(9))
		for i := range requests {
			requests[i] = random.IntN(4)
		}
		capacity := 1 + random.IntN(3)
		want := float64(mostHits(requests, nil, capacity)) / float64(len(requests))
		if got := Optimal(newTrace("", "", requests), capacity); got != want {
			t.Fatalf("Optimal(%v, %d) = %v, want %v", requests, capacity, got, want)
		}
	}
}

func mostHits(requests, cached []int, capacity int) int {
	if len(requests) == 0 {
		return 0
	}
	key, rest := requests[0], requests[1:]
	if slices.Contains(cached, key) {
		return 1 + mostHits(rest, cached, capacity)
	}
	most := mostHits(rest, cached, capacity) // the key is not kept
	with := append(slices.Clone(cached), key)
	if len(with) <= capacity {
		return max(most, mostHits(rest, with, capacity))
	}
	for i := range with {
		most = max(most, mostHits(rest, slices.Delete(slices.Clone(with), i, i+1), capacity))
	}
	return most
}

func TestLibraries(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Hour} {
		for _, l := range Bytes() {
			testLibrary(t, l, []byte("value"), ttl)
		}
		for _, l := range Live() {
			testLibrary(t, l, newValue(), ttl)
		}
	}
}

// testLibrary checks that a cache of the library is one: it keeps as much as it
// is said to, and not more.
func testLibrary[V any](t *testing.T, l Library[V], value V, ttl time.Duration) {
	const capacity = 1000
	c := l.New(capacity, ttl)
	defer c.Close()
	for i := range 10 * capacity {
		c.Set(Key(i), value)
		c.Settle()
		if i == capacity/2 {
			for j := range i + 1 {
				if _, ok := c.Get(Key(j)); !ok {
					t.Errorf("%s: entry %d of %d is missing before the cache is full", l.Name, j, i+1)
				}
			}
		}
	}
	held := 0
	for i := range 10 * capacity {
		if _, ok := c.Get(Key(i)); ok {
			held++
		}
	}
	if held > capacity || held < capacity*9/10 {
		t.Errorf("%s, ttl %v: holds %d entries of %d", l.Name, ttl, held, capacity)
	}
}
