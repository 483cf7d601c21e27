package memory

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestTypedNaN(t *testing.T) {
	for p := TinyLFU; p <= Random; p++ {
		synctest.Test(t, func(t *testing.T) {
			c := newTyped(t, &TypedOptions[float64, int]{MaxEntries: 10, Policy: p})
			nan := math.NaN()
			fill := func(ttl time.Duration) {
				for i := range 100 {
					c.SetTTL(nan, i, ttl)
				}
				if n := c.Len(); n != 10 {
					t.Errorf("%v: %d entries, want all 10", p, n)
				}
			}
			fill(time.Second)
			if _, ok := c.Get(nan); ok || c.Has(nan) || c.Delete(nan) || c.Touch(nan, time.Hour) {
				t.Errorf("%v: a NaN is found", p)
			}
			time.Sleep(time.Second)
			if n := c.Len(); n != 0 {
				t.Errorf("%v: %d NaN are left when all have expired", p, n)
			}
			fill(store.Forever)
			if n := len(slices.Collect(maps.Values(maps.Collect(c.All())))); n != 10 {
				t.Errorf("%v: All yields %d entries, want 10", p, n)
			}
			c.Clear()
			if n := c.Len(); n != 0 {
				t.Errorf("%v: %d NaN are left after Clear", p, n)
			}
			fill(store.Forever)
			if n := c.Evict(20); n != 10 {
				t.Errorf("%v: Evict(20) = %d, want 10", p, n)
			}
		})
	}
}

// Keys that are equal are one, whatever they look like.
func TestTypedKeysAsInMaps(t *testing.T) {
	floats := newTyped[float64, int](t, nil)
	floats.Set(0, 1)
	if !floats.Has(math.Copysign(0, -1)) {
		t.Error("0 and -0 are two keys")
	}
	anys := newTyped[any, int](t, nil)
	anys.Set(1, 1)
	anys.Set(int8(1), 2)
	anys.Set(nil, 3)
	if v, _ := anys.Get(1); v != 1 || anys.Len() != 3 {
		t.Errorf("of 3 keys there are %d, and Get(1) = %d", anys.Len(), v)
	}
}

func TestTypedKeyThatCannotBeCompared(t *testing.T) {
	c := newTyped(t, &TypedOptions[any, int]{OnRemove: func(any, int, Cause) {}})
	bad := []int{1}
	for name, do := range map[string]func(){
		"Get":      func() { c.Get(bad) },
		"Peek":     func() { c.Peek(bad) },
		"Has":      func() { c.Has(bad) },
		"TTL":      func() { c.TTL(bad) },
		"Set":      func() { c.Set(bad, 1) },
		"SetTTL":   func() { c.SetTTL(bad, 1, -1) },
		"GetOrSet": func() { c.GetOrSet(bad, 1) },
		"Touch":    func() { c.Touch(bad, 1) },
		"Delete":   func() { c.Delete(bad) },
	} {
		func() {
			defer func() {
				if _, ok := recover().(runtime.Error); !ok {
					t.Errorf("%s of a slice does not panic as a map does", name)
				}
			}()
			do()
		}()
	}
	c.Set(1, 1)
	if c.Len() != 1 { // and no lock is held
		t.Errorf("Len() = %d, want 1", c.Len())
	}
}
