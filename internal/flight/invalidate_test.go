package flight

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestInvalidateDuringLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		before := begin(t.Context(), g, "k", after(time.Minute, 1, nil), mustNotFill(t))
		g.Invalidate("k").Done()
		filled := 0
		later := begin(t.Context(), g, "k", after(time.Hour, 2, nil), func(_ context.Context, value int) { filled = value })
		wantOutcome(t, "before", before, 1, true, time.Minute)
		wantOutcome(t, "joined the later", begin(t.Context(), g, "k", unwanted(t), noFill), 2, false, 59*time.Minute)
		wantOutcome(t, "later", later, 2, true, time.Hour)
		if filled != 2 {
			t.Errorf("filled with %d, want 2", filled)
		}
	})
}

// A load that begins while the invalidation is under way may have read either
// state: it is not stored, and not joined by those who come after.
func TestLoadDuringInvalidation(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		one, two := g.Invalidate("k"), g.Invalidate("k")
		during := begin(t.Context(), g, "k", after(time.Minute, 1, nil), mustNotFill(t))
		joined := begin(t.Context(), g, "k", unwanted(t), noFill)
		one.Done()
		between := begin(t.Context(), g, "k", after(time.Minute, 2, nil), mustNotFill(t))
		two.Done()
		filled := 0
		later := begin(t.Context(), g, "k", after(time.Minute, 3, nil), func(_ context.Context, value int) { filled = value })
		wantOutcome(t, "during", during, 1, true, time.Minute)
		wantOutcome(t, "joined", joined, 1, false, time.Minute)
		wantOutcome(t, "between", between, 2, true, time.Minute)
		wantOutcome(t, "later", later, 3, true, time.Minute)
		if filled != 3 {
			t.Errorf("filled with %d, want 3", filled)
		}
	})
}

func slowFill(context.Context, int) { time.Sleep(time.Minute) }

func TestInvalidationWaitsForFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := begin(t.Context(), g, "k", after(0, 1, nil), slowFill)
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 { // each of them, not the first alone
			wg.Go(func() {
				change := g.Invalidate("k")
				defer change.Done()
				if err := change.Wait(t.Context()); err != nil || time.Since(start) != time.Minute {
					t.Errorf("waited %v, err %v; want until the fill had ended", time.Since(start), err)
				}
			})
		}
		other := g.Invalidate("other")
		if err := other.Wait(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("another key waited %v, err %v", time.Since(start), err)
		}
		other.Done()
		wantOutcome(t, "first", first, 1, true, time.Minute)
		wg.Wait()
	})
}

func TestInvalidationGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := begin(t.Context(), g, "k", after(0, 1, nil), slowFill)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		change := g.Invalidate("k")
		if err := change.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		change.Done()
		// The fill that it had to wait for is still under way: another could overtake it.
		wantOutcome(t, "second", begin(t.Context(), g, "k", after(0, 2, nil), mustNotFill(t)), 2, true, 0)
		wantOutcome(t, "first", first, 1, true, time.Minute)
	})
}

// Random readers and writers: after an invalidation nothing older is answered.
func TestInvalidateStress(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stress(t, seed) })
		})
	}
}

func stress(t *testing.T, seed uint64) {
	const none = -1
	g := group(t)
	var source, cache, floor atomic.Int64
	cache.Store(none)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	pause := func() {
		mu.Lock()
		d := time.Duration(random.IntN(10)) * time.Millisecond
		mu.Unlock()
		time.Sleep(d)
	}
	read := func() int {
		pause()
		v := cache.Load()
		pause()
		return int(v)
	}
	get := func() int {
		seen := g.Mark()
		if v := read(); v != none {
			return v
		}
		v, _, err := do(g, t.Context(), "k", seen, func(_ context.Context, again bool) (int, error) {
			if again {
				if v := read(); v != none {
					return v, nil
				}
			}
			pause()
			v := source.Load()
			pause()
			return int(v), nil
		}, func(_ context.Context, v int) {
			pause()
			cache.Store(int64(v))
			pause()
		})
		if err != nil {
			t.Error(err)
		}
		return v
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				least := int(floor.Load())
				if v := get(); v < least {
					t.Errorf("got %d after %d was invalidated", v, least)
				}
				pause()
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 20 {
				v := source.Add(1)
				change := g.Invalidate("k")
				if err := change.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				pause()
				cache.Store(none)
				pause()
				change.Done()
				for old := floor.Load(); old < v && !floor.CompareAndSwap(old, v); old = floor.Load() {
				}
				pause()
			}
		})
	}
	wg.Wait()
}
