package flight

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestInvalidateDuringBatch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		batch := requestMany(t.Context(), g, "abcd", Batch[int]{Load: each(time.Minute, tens), Fill: l.fillMany, Void: l.skipMany})
		g.Invalidate("b").Done()
		change := g.Invalidate("c")
		later := begin(t.Context(), g, "b", after(0, 1, nil), l.fill)
		wantOutcome(t, "later", later, 1, true, 0)
		wantOutcomes(t, "batch", batch, time.Minute, "10*", "11*", "12*", "13*")
		change.Done()
		l.want(t, "[1 10 13]", 2)
	})
}

func TestInvalidationWaitsForBatch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		b := Batch[int]{Load: each(0, tens), Fill: func(context.Context, []int, []int) { time.Sleep(time.Minute) }}
		batch := requestMany(t.Context(), g, "ab", b)
		start := time.Now()
		change := g.Invalidate("b")
		if err := change.Wait(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("waited %v, %v; want until the fill had ended", time.Since(start), err)
		}
		change.Done()
		wantOutcomes(t, "batch", batch, time.Minute, "10*", "11*")
	})
}

func TestPanicInBatch(t *testing.T) {
	for name, b := range map[string]Batch[int]{
		"load": {Load: together(explode("boom"))},
		"fill": {Load: each(time.Second, tens), Fill: func(context.Context, []int, []int) { panic("boom") }},
		"void": {Load: each(time.Second, tens), Void: func(int) { panic("boom") }},
		// Of the wrong length.
		"result": {Load: func(context.Context, []int, bool) ([]int, []error) {
			time.Sleep(time.Second)
			return []int{1}, []error{nil}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group[int]) {
				led := make(chan any, 1)
				go func() {
					defer func() { led <- recover() }()
					b.Keys = []string{"a", "b"}
					if b.Fill == nil {
						b.Fill = func(context.Context, []int, []int) {}
					}
					t.Errorf("DoMany returned %v", g.DoMany(t.Context(), b))
				}()
				synctest.Wait()
				joined := requestMany(t.Context(), g, "cb", Batch[int]{Load: each(0, tens)})
				if name == "void" {
					g.Invalidate("b").Done()
				}
				if err, ok := (<-led).(*PanicError); !ok || name != "result" && err.Value != "boom" {
					t.Errorf("the caller that led panicked with %v", err)
				}
				var err *PanicError
				if o := <-joined; o.all[0].Err != nil || !errors.As(o.all[1].Err, &err) || o.at != time.Second {
					t.Errorf("the other got %+v", o)
				}
				change := g.Invalidate("a")
				if err := change.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				change.Done()
				wantOutcomes(t, "next", requestMany(t.Context(), g, "ab", Batch[int]{Load: each(0, tens)}), 0, "10*", "11*")
			})
		})
	}
}

func TestGoexitInBatch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		exited := make(chan bool)
		go func() {
			returned := false
			defer func() { exited <- !returned && recover() == nil }()
			g.DoMany(t.Context(), Batch[int]{Keys: []string{"a", "b"}, Load: func(context.Context, []int, bool) ([]int, []error) {
				time.Sleep(time.Second)
				runtime.Goexit()
				return nil, nil
			}})
			returned = true
		}()
		synctest.Wait()
		joined := begin(t.Context(), g, "b", unwanted(t), noFill)
		if !<-exited {
			t.Error("the caller that led did not exit")
		}
		var err *GoexitError
		if o := <-joined; !errors.As(o.err, &err) {
			t.Errorf("the other got %+v, want a *GoexitError", o)
		}
	})
}

func TestCloseDuringBatch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		batch := requestMany(t.Context(), g, "ab", Batch[int]{Load: each(time.Minute, tens), Fill: l.fillMany})
		closed := make(chan error)
		go func() { closed <- g.scope.Close(t.Context()) }()
		synctest.Wait()
		joined := requestMany(t.Context(), g, "cb", Batch[int]{Load: unwantedBatch(t)})
		if n := g.StartMany(t.Context(), Batch[int]{Keys: []string{"c", "d"}, Load: unwantedBatch(t)}); n != 0 {
			t.Errorf("began %d after Close", n)
		}
		wantOutcomes(t, "joined", joined, time.Minute, ErrClosed, "11")
		wantOutcomes(t, "batch", batch, time.Minute, "10*", "11*")
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		l.want(t, "[10 11]", 0)
	})
}

func TestCloseCutsBatch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause atomic.Value
		heeds := requestMany(t.Context(), g, "ab", Batch[int]{Load: together(caused(&cause))})
		stubborn := requestMany(t.Context(), g, "cd", Batch[int]{
			Load: each(time.Hour, tens),
			Fill: func(context.Context, []int, []int) { t.Error("filled after Close") },
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.scope.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		wantOutcomes(t, "heeds", heeds, time.Second, ErrClosed, ErrClosed)
		wantOutcomes(t, "stubborn", stubborn, time.Second, ErrClosed, ErrClosed)
		wantCause(t, &cause, ErrClosed)
	})
}
