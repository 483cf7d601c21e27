package flight

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStart(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		if !g.Start(t.Context(), Request[int]{Key: "k", Load: heeding(time.Minute, 1), Fill: l.fill}) {
			t.Fatal("not started")
		}
		if g.Start(t.Context(), Request[int]{Key: "k", Load: unwanted(t)}) {
			t.Error("started twice")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, "joined for a while", begin(ctx, g, "k", unwanted(t), noFill), context.DeadlineExceeded, time.Second)
		wantOutcome(t, "joined", begin(t.Context(), g, "k", unwanted(t), noFill), 1, false, 59*time.Second)
		l.want(t, "[1]", 0)
	})
}

// A load that is left by all is not the one that Start would begin.
func TestStartWhileLoading(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := begin(ctx, g, "k", after(time.Minute, 1, nil), l.fill)
		r := Request[int]{Key: "k", Load: after(time.Hour, 2, nil), Fill: l.fill}
		if g.Start(t.Context(), r) {
			t.Error("started although the key is being loaded")
		}
		wantError(t, "first", first, context.DeadlineExceeded, time.Second)
		if !g.Start(t.Context(), r) {
			t.Error("not started although nobody waits for the load of the key")
		}
		time.Sleep(time.Hour)
		l.want(t, "[2]", 0)
	})
}

func TestContextOfStart(t *testing.T) {
	type name struct{}
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "mine"), time.Minute)
		cancel()
		loaded := false
		g.Start(ctx, Request[int]{Key: "k", Fill: noFill, Load: func(ctx context.Context, _ bool) (int, error) {
			loaded = true
			if _, ok := ctx.Deadline(); ok || ctx.Err() != nil || ctx.Value(name{}) != "mine" {
				t.Errorf("the load has the context %v, want its values alone", ctx)
			}
			return 1, nil
		}})
		synctest.Wait()
		if !loaded {
			t.Error("not loaded")
		}
	})
}

// The load that begins another in the background does not wait for it, so that
// one may wait for the first.
func TestStartWithinLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var err error
		a := begin(t.Context(), g, "a", func(ctx context.Context, _ bool) (int, error) {
			if g.Start(ctx, Request[int]{Key: "a", Load: unwanted(t)}) {
				t.Error("started although the key is being loaded")
			}
			g.Start(ctx, Request[int]{Key: "b", Load: asking(g, "a", 0, unwanted(t)), Fill: func(ctx context.Context, _ int) {
				_, _, err = do(g, ctx, "c", g.Mark(), asking(g, "a", 0, after(0, 3, nil)), noFill)
			}})
			time.Sleep(time.Second)
			return 1, nil
		}, slowFill)
		b := begin(t.Context(), g, "b", unwanted(t), noFill)
		wantOutcome(t, "a", a, 1, true, time.Minute+time.Second)
		wantOutcome(t, "b", b, 1, false, time.Minute+time.Second)
		synctest.Wait()
		if err != nil {
			t.Errorf("the fill of b asked for what needs a: %v", err)
		}
	})
}

// It is a cycle as soon as the first does wait for it.
func TestStartWithinLoadAndWait(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		a := begin(t.Context(), g, "a", func(ctx context.Context, _ bool) (int, error) {
			g.Start(ctx, Request[int]{Key: "b", Load: asking(g, "a", 0, unwanted(t)), Fill: noFill})
			time.Sleep(time.Second)
			v, _, err := do(g, ctx, "b", g.Mark(), unwanted(t), noFill)
			return v, err
		}, noFill)
		o := <-a
		wantCycle(t, o.err, "a b a")
		if o.at != time.Second {
			t.Errorf("found after %v", o.at)
		}
	})
}

func TestPanicInBackground(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		g.Start(t.Context(), Request[int]{Key: "nobody", Load: explode("boom")})
		g.Start(t.Context(), Request[int]{Key: "k", Load: explode("boom")})
		var err *PanicError
		if o := <-begin(t.Context(), g, "k", unwanted(t), noFill); !errors.As(o.err, &err) || err.Value != "boom" {
			t.Errorf("got %+v, want a *PanicError", o)
		}
	})
}

func TestStartAndClose(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		g.Start(t.Context(), Request[int]{Key: "k", Load: heeding(time.Minute, 1), Fill: l.fill})
		start := time.Now()
		if err := g.scope.Close(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Close: %v after %v, want when the load had ended", err, time.Since(start))
		}
		l.want(t, "[1]", 0)
		if g.Start(t.Context(), Request[int]{Key: "k", Load: unwanted(t)}) {
			t.Error("started after Close")
		}
	})
}

func TestInvalidateDuringStart(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		r := Request[int]{Key: "k", Load: after(time.Minute, 1, nil), Fill: l.fill, Void: l.skip}
		g.Start(t.Context(), r)
		g.Invalidate("k").Done()
		if !g.Start(t.Context(), r) {
			t.Error("not started although the load under way is void")
		}
		time.Sleep(time.Minute)
		l.want(t, "[1]", 1)
	})
}
