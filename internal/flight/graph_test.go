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
		v, _, err := do(g, ctx, key, g.Mark(), load, noFill)
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
		_, _, err := do(g, t.Context(), "a", g.Mark(), asking(g, "a", 0, unwanted(t)), noFill)
		wantCycle(t, err, "a a")
		_, _, err = do(g, t.Context(), "a", g.Mark(), asking(g, "b", 0, asking(g, "c", 0, asking(g, "a", 0, unwanted(t)))), noFill)
		wantCycle(t, err, "a b c a")
		if got, want := err.Error(), `the load waits for itself: "a" → "b" → "c" → "a"`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Each new load would be invalidated and ask for the next one.
func TestOwnLoadWhenVoid(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		_, _, err := do(g, t.Context(), "a", g.Mark(), func(ctx context.Context, _ bool) (int, error) {
			g.Invalidate("a").Done()
			v, _, err := do(g, ctx, "a", g.Mark(), unwanted(t), noFill)
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
			if _, _, err := do(g, short, "b", g.Mark(), unwanted(t), noFill); !errors.Is(err, context.DeadlineExceeded) {
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
			v1, _, err1 := do(g, ctx, "c", g.Mark(), unwanted(t), noFill)
			v2, _, err2 := do(g, ctx, "a", g.Mark(), after(0, 5, nil), noFill)
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
		_, _, err := do(g, t.Context(), "a", g.Mark(), func(ctx context.Context, _ bool) (int, error) {
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
			_, _, err := do(g, short, "b", g.Mark(), asking(g, "a", time.Minute, after(0, 2, nil)), noFill)
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

// askingBatch returns a load of a batch that waits for d and then for another
// key, and brings its value for all.
func askingBatch(g *Group[int], key string, d time.Duration, load func(context.Context, bool) (int, error)) func(context.Context, []int, bool) ([]int, []error) {
	return together(asking(g, key, d, load))
}

func TestOwnBatch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		for key, path := range map[string]string{"a": "a a", "b": "b b", "c": "c c"} {
			o := <-requestMany(t.Context(), g, "abc", Batch[int]{Load: askingBatch(g, key, 0, unwanted(t))})
			for _, o := range o.all {
				wantCycle(t, o.Err, path)
			}
		}
		inner := asking(g, "b", 0, unwanted(t))
		o := <-requestMany(t.Context(), g, "abc", Batch[int]{Load: askingBatch(g, "d", 0, inner)})
		wantCycle(t, o.all[2].Err, "b d b")
		o = <-requestMany(t.Context(), g, "abc", Batch[int]{Load: func(ctx context.Context, keys []int, _ bool) ([]int, []error) {
			inner := g.DoMany(ctx, Batch[int]{Keys: []string{"d", "c"}, Load: each(time.Second, tens), Fill: func(context.Context, []int, []int) {}})
			wantCycle(t, inner[1].Err, "c c")
			return []int{1, 2, 3}, []error{nil, nil, inner[0].Err}
		}})
		if o.all[2].Err != nil || o.at != time.Second {
			t.Errorf("got %+v", o)
		}
	})
}

// A ring shows the keys for whose sake the loads wait, not others of a batch.
func TestRingOfBatches(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		abc := requestMany(t.Context(), g, "abc", Batch[int]{Load: askingBatch(g, "e", time.Second, unwanted(t))})
		def := requestMany(t.Context(), g, "def", Batch[int]{Load: askingBatch(g, "g", 2*time.Second, unwanted(t))})
		single := begin(t.Context(), g, "g", asking(g, "b", 3*time.Second, unwanted(t)), noFill)
		wantCycle(t, (<-single).err, "g b e g")
		for _, c := range []<-chan outcomes{abc, def} {
			o := <-c
			wantCycle(t, o.all[1].Err, "g b e g")
			if o.at != 3*time.Second {
				t.Errorf("found after %v, want when the ring was closed", o.at)
			}
		}
	})
}

// A caller who waits for several keys is no load: what one of them waits for
// may be another of them.
func TestBatchIsNoRing(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		single := begin(t.Context(), g, "s", asking(g, "a", time.Second, unwanted(t)), noFill)
		batch := requestMany(t.Context(), g, "sab", Batch[int]{Load: together(after(time.Minute, 5, nil))})
		wantOutcomes(t, "batch", batch, time.Minute, "5", "5*", "5*")
		wantOutcome(t, "single", single, 5, true, time.Minute)
		// Loads of two batches wait for one another's keys, but for none that waits.
		one := requestMany(t.Context(), g, "ab", Batch[int]{Load: askingBatch(g, "c", 0, after(time.Second, 1, nil))})
		two := requestMany(t.Context(), g, "dc", Batch[int]{Load: askingBatch(g, "a", 0, unwanted(t))})
		wantOutcomes(t, "two", two, time.Second, "1*", "1")
		wantOutcomes(t, "one", one, time.Second, "1*", "1*")
	})
}

func TestOtherGroupIsNoCycle(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		other := NewGroup[int](g.scope)
		wantOutcome(t, "a", begin(t.Context(), g, "a", asking(other, "a", 0, after(0, 1, nil)), noFill), 1, true, 0)
	})
}

// Who is refused for a cycle is no waiter any more.
func TestCycleLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		a := begin(ctx, g, "a", asking(g, "b", time.Second, unwanted(t)), noFill)
		b := begin(t.Context(), g, "b", func(ctx context.Context, _ bool) (int, error) {
			time.Sleep(2 * time.Second)
			_, _, err := do(g, ctx, "a", g.Mark(), unwanted(t), noFill)
			wantCycle(t, err, "b a b")
			time.Sleep(time.Hour)
			return 1, nil
		}, noFill)
		wantError(t, "a", a, context.DeadlineExceeded, time.Minute)
		synctest.Wait()
		if g.turn("a") != nil {
			t.Error("the load of a goes on although nobody waits for it")
		}
		wantOutcome(t, "b", b, 1, true, time.Hour+2*time.Second)
	})
}

// One of a load's goroutines gives up waiting, and another does not.
func TestCycleThroughOneOfTwoWaits(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		b := begin(t.Context(), g, "b", asking(g, "a", 2*time.Second, unwanted(t)), noFill)
		a := begin(t.Context(), g, "a", func(ctx context.Context, _ bool) (int, error) {
			go func() {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, _, _ = do(g, short, "b", g.Mark(), unwanted(t), noFill)
			}()
			v, _, err := do(g, ctx, "b", g.Mark(), unwanted(t), noFill)
			return v, err
		}, noFill)
		wantCycle(t, (<-b).err, "b a b")
		wantCycle(t, (<-a).err, "b a b")
	})
}

// There are 2^60 ways through these loads.
func TestManyWays(t *testing.T) {
	last := [2]*node{{done: make(chan struct{})}, {done: make(chan struct{})}}
	first := last
	for range 60 {
		next := [2]*node{{done: make(chan struct{})}, {done: make(chan struct{})}}
		for _, from := range last {
			for _, to := range next {
				if err := from.waitFor(to, "k"); err != nil {
					t.Fatal(err)
				}
			}
		}
		last = next
	}
	if err := new(node).waitFor(first[0], "k"); err != nil {
		t.Error(err)
	}
	if err := last[0].waitFor(first[0], "k"); err == nil {
		t.Error("no cycle found")
	}
}
