package flight

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asking returns a load that waits for d and then for another key.
func asking(g *Group[int], key string, d time.Duration, load func(context.Context, bool) (int, error)) func(context.Context, bool) (int, error) {
	return func(ctx context.Context, _ bool) (int, error) {
		time.Sleep(d)
		v, _, err := g.Do(ctx, key, g.Mark(), load, noFill)
		return v, err
	}
}

func wantCycle(t *testing.T, err error, keys string) {
	t.Helper()
	var cycle *CycleError
	if !errors.As(err, &cycle) {
		t.Fatalf("got %v, want a *CycleError", err)
	}
	if got := strings.Join(cycle.Keys, " "); got != keys {
		t.Errorf("the cycle is %s, want %s", got, keys)
	}
}

func TestOwnLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		_, _, err := g.Do(t.Context(), "a", g.Mark(), asking(g, "a", 0, unwanted(t)), noFill)
		wantCycle(t, err, "a a")
		_, _, err = g.Do(t.Context(), "a", g.Mark(), asking(g, "b", 0, asking(g, "c", 0, asking(g, "a", 0, unwanted(t)))), noFill)
		wantCycle(t, err, "a b c a")
		if got, want := err.Error(), `the load waits for itself: "a" → "b" → "c" → "a"`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Each new load would be invalidated and ask for the next one.
func TestOwnLoadWhenVoid(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		_, _, err := g.Do(t.Context(), "a", g.Mark(), func(ctx context.Context, _ bool) (int, error) {
			g.Invalidate("a").Done()
			v, _, err := g.Do(ctx, "a", g.Mark(), unwanted(t), noFill)
			return v, err
		}, noFill)
		wantCycle(t, err, "a a")
	})
}

// Loads that different callers began wait for each other in a ring.
func TestRing(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		other := NewGroup[int](NewScope())
		a := begin(t.Context(), g, "a", asking(other, "b", 1*time.Second, unwanted(t)), noFill)
		b := begin(t.Context(), other, "b", asking(g, "c", 2*time.Second, unwanted(t)), noFill)
		c := begin(t.Context(), g, "c", asking(g, "a", 3*time.Second, unwanted(t)), noFill)
		for _, o := range []outcome{<-a, <-b, <-c} {
			wantCycle(t, o.err, "c a b c")
			if o.at != 3*time.Second {
				t.Errorf("found after %v, want when the ring was closed", o.at)
			}
		}
	})
}

// A load that has given up waiting is no part of a ring any more.
func TestGivenUpWaitIsNoCycle(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		b := begin(t.Context(), g, "b", asking(g, "a", 2*time.Second, unwanted(t)), noFill)
		a := begin(t.Context(), g, "a", func(ctx context.Context, _ bool) (int, error) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, _, err := g.Do(short, "b", g.Mark(), unwanted(t), noFill); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			time.Sleep(time.Minute)
			return 1, nil
		}, noFill)
		wantOutcome(t, "a", a, 1, true, time.Minute+time.Second)
		wantOutcome(t, "b", b, 1, true, time.Minute+time.Second)
	})
}

// Loads that share what they wait for are no cycle.
func TestDiamond(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		leaf := after(time.Second, 5, nil)
		a := begin(t.Context(), g, "a", asking(g, "c", 0, leaf), noFill)
		b := begin(t.Context(), g, "b", func(ctx context.Context, _ bool) (int, error) {
			v1, _, err1 := g.Do(ctx, "c", g.Mark(), unwanted(t), noFill)
			v2, _, err2 := g.Do(ctx, "a", g.Mark(), after(0, 5, nil), noFill)
			return v1 + v2, errors.Join(err1, err2)
		}, noFill)
		wantOutcome(t, "a", a, 5, true, time.Second)
		wantOutcome(t, "b", b, 10, true, time.Second)
	})
}

// A goroutine that outlives its load may ask for the same key.
func TestContextOutlivesLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var kept context.Context
		_, _, err := g.Do(t.Context(), "a", g.Mark(), func(ctx context.Context, _ bool) (int, error) {
			kept = context.WithoutCancel(ctx)
			return 1, nil
		}, noFill)
		if err != nil {
			t.Fatal(err)
		}
		wantOutcome(t, "a", begin(kept, g, "a", after(time.Second, 2, nil), noFill), 2, true, time.Second)
		synctest.Wait()
	})
}

// A load may ask for the key of the one that began it and has ended since.
func TestOutlivesWhatBeganIt(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		a := begin(t.Context(), g, "a", func(ctx context.Context, _ bool) (int, error) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, _, err := g.Do(short, "b", g.Mark(), asking(g, "a", time.Minute, after(0, 2, nil)), noFill)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			return 1, nil
		}, noFill)
		b := begin(t.Context(), g, "b", unwanted(t), noFill)
		wantOutcome(t, "a", a, 1, true, time.Second)
		wantOutcome(t, "b", b, 2, false, time.Minute)
	})
}
