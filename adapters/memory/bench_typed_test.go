package memory

import (
	"math"
	"sync"
	"testing"
	"time"
)

func benchTyped[K comparable, V any](b *testing.B, max int, ttl time.Duration) *Typed[K, V] {
	t, err := NewTyped(&TypedOptions[K, V]{MaxEntries: max, TTL: ttl})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(t.Close)
	return t
}

// A lockedMap is what people write who have no cache: a map without limit or
// ttl.
type lockedMap[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (l *lockedMap[K, V]) get(key K) (V, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	v, ok := l.m[key]
	return v, ok
}

func (l *lockedMap[K, V]) set(key K, value V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.m[key] = value
}

type benchValue struct {
	name string
	age  int
}

func BenchmarkTypedGet(b *testing.B) {
	value := &benchValue{"Ada", 36}
	eachLoad(func(name string, n int, ttl time.Duration) {
		t := benchTyped[string, *benchValue](b, 100_000, ttl)
		m := &lockedMap[string, *benchValue]{m: map[string]*benchValue{}}
		s := benchStore(b, 100_000, ttl)
		for i := range n {
			t.Set(benchKey[i], value)
			m.set(benchKey[i], value)
			s.SetLive(b.Context(), benchKey[i], benchLive[i], 0)
		}
		found := func(_ *benchValue, ok bool) {
			if !ok {
				b.Fatal("miss")
			}
		}
		ctx := b.Context()
		bench(b, name+"/map", n, func(i int) { found(m.get(benchKey[i])) })
		bench(b, name+"/store", n, func(i int) {
			_, err := s.GetLive(ctx, benchKey[i])
			found(nil, err == nil)
		})
		bench(b, name+"/typed", n, func(i int) { found(t.Get(benchKey[i])) })
	})
}

func BenchmarkTypedSet(b *testing.B) {
	value := &benchValue{"Ada", 36}
	set := func(name string, n, max int, ttl time.Duration) {
		t := benchTyped[string, *benchValue](b, max, ttl)
		bench(b, name+"/typed", n, func(i int) { t.Set(benchKey[i], value) })
	}
	eachLoad(func(name string, n int, ttl time.Duration) {
		m := &lockedMap[string, *benchValue]{m: map[string]*benchValue{}}
		bench(b, name+"/map", n, func(i int) { m.set(benchKey[i], value) })
		set(name, n, 100_000, ttl)
	})
	set("full", benchKeys, 1000, 0)
	set("full,ttl", benchKeys, 1000, time.Hour)
}

// BenchmarkTypedKeys reads by keys of several types.
func BenchmarkTypedKeys(b *testing.B) {
	type pair struct {
		tenant string
		id     int
	}
	benchKeysOf(b, "string", func(i int) string { return benchKey[i] })
	benchKeysOf(b, "int", func(i int) int { return i })
	benchKeysOf(b, "struct", func(i int) pair { return pair{benchKey[i], i} })
	benchKeysOf(b, "pointer", func(i int) *string { return &benchKey[i] })
	var boxed [benchKeys]any
	for i := range boxed {
		boxed[i] = i
	}
	benchKeysOf(b, "any", func(i int) any { return boxed[i] })
}

func benchKeysOf[K comparable](b *testing.B, name string, key func(i int) K) {
	t := benchTyped[K, int](b, 100_000, 0)
	for i := range benchKeys {
		t.Set(key(i), i)
	}
	bench(b, name, benchKeys, func(i int) {
		if v, ok := t.Get(key(i)); !ok || v != i {
			b.Fatal("miss")
		}
	})
}

// BenchmarkTypedMemory reports the bytes that an entry of an int64 and an int64
// takes.
func BenchmarkTypedMemory(b *testing.B) {
	benchMemory(b, func(ttl time.Duration) any {
		t := benchTyped[int64, int64](b, math.MaxInt, ttl)
		for i := range int64(memoryEntries) {
			t.Set(i, i)
		}
		return t
	})
}
