package flight

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestExcludeIsInvalidate(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		load := func() <-chan outcome {
			return request(t.Context(), g, Request[int]{Key: "k", Load: after(time.Minute, 1, nil), Fill: l.fill, Void: l.skip})
		}
		before := load()
		change, err := g.Exclude(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		during := load()
		change.Done()
		later := load()
		for what, c := range map[string]<-chan outcome{"before": before, "during": during, "later": later} {
			if o := <-c; o.value != 1 || !o.led || o.err != nil {
				t.Errorf("%s: got %+v", what, o)
			}
		}
		l.want(t, "[1]", 2)
	})
}

func TestExcludeWaits(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		start := time.Now()
		first := begin(t.Context(), g, "k", after(0, 1, nil), slowFill)
		var mu sync.Mutex
		var wg sync.WaitGroup
		exclusive := 0
		for range 3 {
			wg.Go(func() {
				change, err := g.Exclude(t.Context(), "k")
				if err != nil {
					t.Error(err)
					return
				}
				if !mu.TryLock() {
					t.Error("two at a time")
					return
				}
				exclusive++
				time.Sleep(time.Second)
				mu.Unlock()
				change.Done()
			})
		}
		wantOutcome(t, "first", first, 1, true, time.Minute)
		wg.Wait()
		if d := time.Since(start); exclusive != 3 || d != time.Minute+3*time.Second {
			t.Errorf("%d had their turn after %v", exclusive, d)
		}
	})
}

func TestExcludeGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		other := g.Invalidate("k")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Exclude(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		other.Done()
	})
}

func TestInvalidationWaitsForExclude(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		change, err := g.Exclude(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				later := g.Invalidate("k")
				defer later.Done()
				if err := later.Wait(t.Context()); err != nil || time.Since(start) != time.Second {
					t.Errorf("waited %v, %v", time.Since(start), err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(time.Second)
		change.Done()
		wg.Wait()
	})
}
