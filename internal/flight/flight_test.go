package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// group makes a Group and checks at the end that nothing of it is left.
func group(t *testing.T) *Group[int] {
	g := NewGroup[int](NewScope())
	t.Cleanup(func() {
		if err := g.scope.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		for i := range g.stripes {
			for key := range g.stripes[i].slots {
				t.Errorf("%q has a slot although nothing is going on", key)
			}
		}
	})
	return g
}

// bubble runs a test with virtual time.
func bubble(t *testing.T, test func(t *testing.T, g *Group[int])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, group(t)) })
}

// after returns a load that takes d, whatever its context says.
func after(d time.Duration, value int, err error) func(context.Context, bool) (int, error) {
	return func(context.Context, bool) (int, error) {
		time.Sleep(d)
		return value, err
	}
}

// heeding returns a load that takes d unless its context ends first.
func heeding(d time.Duration, value int) func(context.Context, bool) (int, error) {
	return func(ctx context.Context, _ bool) (int, error) {
		select {
		case <-time.After(d):
			return value, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func unwanted(t *testing.T) func(context.Context, bool) (int, error) {
	return func(context.Context, bool) (int, error) {
		t.Error("a second load")
		return -1, nil
	}
}

func noFill(context.Context, int) {}

func mustNotFill(t *testing.T) func(context.Context, int) {
	return func(_ context.Context, value int) { t.Errorf("filled with %d", value) }
}

// do calls Do with what every Request has.
func do(g *Group[int], ctx context.Context, key string, seen Mark,
	load func(context.Context, bool) (int, error), fill func(context.Context, int),
) (int, bool, error) {
	return g.Do(ctx, Request[int]{Key: key, Seen: seen, Load: load, Fill: fill})
}

// outcome is what a Do returned, and when.
type outcome struct {
	value int
	led   bool
	err   error
	at    time.Duration
}

// begin calls Do in a goroutine of its own and waits until it waits.
func begin(ctx context.Context, g *Group[int], key string,
	load func(context.Context, bool) (int, error), fill func(context.Context, int),
) <-chan outcome {
	c := make(chan outcome, 1)
	start := time.Now()
	go func() {
		value, led, err := do(g, ctx, key, g.Mark(), load, fill)
		c <- outcome{value, led, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

func wantOutcome(t *testing.T, what string, c <-chan outcome, value int, led bool, at time.Duration) {
	t.Helper()
	if o := <-c; o.value != value || o.led != led || o.err != nil || o.at != at {
		t.Errorf("%s: got %+v, want value %d, led %v, after %v", what, o, value, led, at)
	}
}

func wantError(t *testing.T, what string, c <-chan outcome, err error, at time.Duration) {
	t.Helper()
	if o := <-c; !errors.Is(o.err, err) || o.at != at {
		t.Errorf("%s: got %+v, want error %v after %v", what, o, err, at)
	}
}

func TestDo(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		filled := 0
		first := begin(t.Context(), g, "k", after(time.Second, 7, nil), func(_ context.Context, value int) { filled += value })
		var joined []<-chan outcome
		for range 10 {
			joined = append(joined, begin(t.Context(), g, "k", unwanted(t), mustNotFill(t)))
		}
		wantOutcome(t, "first", first, 7, true, time.Second)
		for _, c := range joined {
			wantOutcome(t, "joined", c, 7, false, time.Second)
		}
		if filled != 7 {
			t.Errorf("filled with %d in all, want once 7", filled)
		}
		wantOutcome(t, "next", begin(t.Context(), g, "k", after(0, 8, nil), noFill), 8, true, 0)
	})
}

func TestErrorIsSharedAndForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		failed := errors.New("failed")
		first := begin(t.Context(), g, "k", after(time.Second, 7, failed), mustNotFill(t))
		joined := begin(t.Context(), g, "k", unwanted(t), mustNotFill(t))
		wantError(t, "first", first, failed, time.Second)
		wantError(t, "joined", joined, failed, time.Second)
		wantOutcome(t, "next", begin(t.Context(), g, "k", after(0, 8, nil), noFill), 8, true, 0)
	})
}

func TestFirstCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, g, "k", heeding(time.Minute, 7), noFill)
		joined := begin(t.Context(), g, "k", unwanted(t), noFill)
		cancel()
		wantError(t, "first", first, context.Canceled, 0)
		wantOutcome(t, "joined", joined, 7, false, time.Minute)
	})
}

func TestWaiterKeepsItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := begin(t.Context(), g, "k", after(time.Minute, 7, nil), noFill)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		joined := begin(ctx, g, "k", unwanted(t), noFill)
		wantError(t, "joined", joined, context.DeadlineExceeded, time.Second)
		wantOutcome(t, "first", first, 7, true, time.Minute)
	})
}

func TestContextOfLoad(t *testing.T) {
	type name struct{}
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "first"), time.Minute)
		defer cancel()
		check := func(what string, ctx context.Context) {
			if got := ctx.Value(name{}); got != "first" {
				t.Errorf("%s has the value %v, want that of the first caller", what, got)
			}
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("%s has the deadline %v of a caller", what, deadline)
			}
			if err := ctx.Err(); err != nil {
				t.Errorf("%s has ended: %v", what, err)
			}
		}
		var given context.Context
		load := func(ctx context.Context, _ bool) (int, error) {
			given = ctx
			check("load", ctx)
			return 7, nil
		}
		_, _, err := do(g, ctx, "k", g.Mark(), load, func(ctx context.Context, _ int) { check("fill", ctx) })
		if err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if given.Err() == nil {
			t.Error("the load's context is not released with the load")
		}
	})
}

func TestDoneContextLoadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantError(t, "Do", begin(ctx, g, "k", unwanted(t), mustNotFill(t)), context.Canceled, 0)
	})
}

func TestCancelledWhenNobodyWaits(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx1, cancel1 := context.WithTimeout(t.Context(), time.Second)
		defer cancel1()
		ctx2, cancel2 := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel2()
		var ended time.Duration
		start := time.Now()
		load := func(ctx context.Context, _ bool) (int, error) {
			<-ctx.Done()
			ended = time.Since(start)
			return 0, ctx.Err()
		}
		first := begin(ctx1, g, "k", load, mustNotFill(t))
		joined := begin(ctx2, g, "k", unwanted(t), mustNotFill(t))
		wantError(t, "first", first, context.DeadlineExceeded, time.Second)
		wantError(t, "joined", joined, context.DeadlineExceeded, 2*time.Second)
		synctest.Wait()
		if ended != 2*time.Second {
			t.Errorf("the load was cancelled after %v, want when the last waiter left", ended)
		}
	})
}

// A load that was left by all, and goes on, may still fill the cache: its
// value is good. Who comes meanwhile does not wait for it, and then it may not.
func TestAbandonedLoad(t *testing.T) {
	for _, next := range []bool{false, true} {
		t.Run(fmt.Sprintf("next=%v", next), func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group[int]) {
				var filled []int
				fill := func(ctx context.Context, value int) {
					if ctx.Err() != nil {
						t.Errorf("fill's context has ended: %v", ctx.Err())
					}
					filled = append(filled, value)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				first := begin(ctx, g, "k", after(time.Minute, 1, nil), fill)
				wantError(t, "first", first, context.DeadlineExceeded, time.Second)
				want := "[1]"
				if next {
					want = "[2]"
					wantOutcome(t, "next", begin(t.Context(), g, "k", after(time.Hour, 2, nil), fill), 2, true, time.Hour)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := fmt.Sprint(filled); got != want {
					t.Errorf("filled with %s, want %s", got, want)
				}
			})
		})
	}
}

func TestContextEndsDuringFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var fillErr error
		fill := func(ctx context.Context, _ int) {
			time.Sleep(time.Minute)
			fillErr = ctx.Err()
		}
		first := begin(ctx, g, "k", after(0, 7, nil), fill)
		patient := begin(t.Context(), g, "k", unwanted(t), noFill)
		wantOutcome(t, "first", first, 7, true, time.Second)
		late := begin(t.Context(), g, "k", unwanted(t), noFill)
		wantOutcome(t, "patient", patient, 7, false, time.Minute)
		wantOutcome(t, "late", late, 7, false, time.Minute-time.Second)
		if fillErr != nil {
			t.Errorf("fill's context ended with its waiters: %v", fillErr)
		}
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		slow := begin(t.Context(), g, "slow", after(time.Hour, 1, nil), func(context.Context, int) { time.Sleep(time.Hour) })
		for _, phase := range []string{"load", "fill"} {
			for i := range 1000 { // several keys for each stripe
				if _, led, err := do(g, t.Context(), fmt.Sprint(i), g.Mark(), after(0, i, nil), noFill); err != nil || !led {
					t.Fatalf("during %s: led %v, err %v", phase, led, err)
				}
			}
			time.Sleep(time.Hour)
		}
		wantOutcome(t, "slow", slow, 1, true, 2*time.Hour)
	})
}

func TestMark(t *testing.T) {
	again := func(t *testing.T, g *Group[int], seen Mark) (again bool) {
		t.Helper()
		_, _, err := do(g, t.Context(), "k", seen, func(_ context.Context, a bool) (int, error) {
			again = a
			return 0, errors.New("nothing")
		}, noFill)
		if err == nil {
			t.Fatal("no error")
		}
		return again
	}
	bubble(t, func(t *testing.T, g *Group[int]) {
		before := g.Mark()
		if again(t, g, before) {
			t.Error("told to look again although nothing was filled")
		}
		if again(t, g, before) {
			t.Error("told to look again after a load that failed")
		}
		var during Mark
		_, _, err := do(g, t.Context(), "k", before, after(0, 1, nil), func(context.Context, int) { during = g.Mark() })
		if err != nil {
			t.Fatal(err)
		}
		if !again(t, g, before) || !again(t, g, during) {
			t.Error("not told to look again although a fill has ended since")
		}
		if again(t, g, g.Mark()) {
			t.Error("told to look again although nothing was filled since")
		}
	})
}

// Of callers that find the cache empty, whenever they ask, one loads.
func TestOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t)
		var cache, loads atomic.Int64
		look := func(ms int) bool {
			hit := cache.Load() != 0
			time.Sleep(time.Duration(ms) * time.Millisecond) // the answer is on its way
			return hit
		}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				seen := g.Mark()
				if look(i % 30) {
					return
				}
				_, _, err := do(g, t.Context(), "k", seen, func(_ context.Context, again bool) (int, error) {
					if again && look(1) {
						return 1, nil
					}
					loads.Add(1)
					time.Sleep(20 * time.Millisecond)
					return 1, nil
				}, func(context.Context, int) { cache.Store(1) })
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}
