package flight

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func explode(value any) func(context.Context, bool) (int, error) {
	return func(context.Context, bool) (int, error) {
		time.Sleep(time.Second)
		panic(value)
	}
}

// recovered calls Do and returns what it panics with.
func recovered(t *testing.T, g *Group[int], key string, load func(context.Context, bool) (int, error), fill func(context.Context, int)) (value any) {
	defer func() { value = recover() }()
	v, _, err := do(g, t.Context(), key, g.Mark(), load, fill)
	t.Errorf("Do returned %v, %v; want a panic", v, err)
	return nil
}

func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		led := make(chan any, 1)
		go func() { led <- recovered(t, g, "k", explode("boom"), mustNotFill(t)) }()
		synctest.Wait()
		joined := begin(t.Context(), g, "k", unwanted(t), noFill)

		got, ok := (<-led).(*PanicError)
		if !ok || got.Value != "boom" || !strings.Contains(string(got.Stack), "explode") {
			t.Errorf("the caller that led panicked with %v, want a *PanicError with the stack of the load", got)
		}
		var err *PanicError
		if o := <-joined; !errors.As(o.err, &err) || err.Value != "boom" || !strings.Contains(o.err.Error(), "boom") {
			t.Errorf("the other got %+v, want a *PanicError", o)
		}
		wantOutcome(t, "next", begin(t.Context(), g, "k", after(0, 8, nil), noFill), 8, true, 0)
	})
}

func TestPanicWithError(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		err, _ := recovered(t, g, "k", explode(io.ErrUnexpectedEOF), noFill).(error)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v does not wrap the error that was the value", err)
		}
	})
}

func TestPanicInFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		value := recovered(t, g, "k", after(0, 1, nil), func(context.Context, int) { panic("boom") })
		if err, ok := value.(*PanicError); !ok || err.Value != "boom" {
			t.Errorf("panicked with %v", value)
		}
		change := g.Invalidate("k")
		defer change.Done()
		if err := change.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A panic goes through the loads that led to it, and keeps its first stack.
func TestPanicInInnerLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		value := recovered(t, g, "outer", func(ctx context.Context, _ bool) (int, error) {
			v, _, err := do(g, ctx, "inner", g.Mark(), explode("boom"), noFill)
			return v, err
		}, noFill)
		if err, ok := value.(*PanicError); !ok || err.Value != "boom" || !strings.Contains(string(err.Stack), "explode") {
			t.Errorf("panicked with %v", value)
		}
	})
}

// Nobody is left in whom the panic could go on: it ends with the load.
func TestPanicAfterFirstCallerLeft(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, g, "k", explode("boom"), noFill)
		joined := begin(t.Context(), g, "k", unwanted(t), noFill)
		cancel()
		wantError(t, "first", first, context.Canceled, 0)
		var err *PanicError
		if o := <-joined; !errors.As(o.err, &err) {
			t.Errorf("the other got %+v, want a *PanicError", o)
		}
	})
}

func TestGoexit(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		exited := make(chan bool)
		go func() {
			returned := false
			defer func() { exited <- !returned && recover() == nil }()
			_, _, _ = do(g, t.Context(), "k", g.Mark(), func(context.Context, bool) (int, error) {
				time.Sleep(time.Second)
				runtime.Goexit()
				return 0, nil
			}, mustNotFill(t))
			returned = true
		}()
		synctest.Wait()
		joined := begin(t.Context(), g, "k", unwanted(t), noFill)
		if !<-exited {
			t.Error("the caller that led did not exit")
		}
		var err *GoexitError
		if o := <-joined; !errors.As(o.err, &err) || !strings.Contains(string(err.Stack), "TestGoexit") {
			t.Errorf("the other got %+v, want a *GoexitError with the stack of the load", o)
		}
		wantOutcome(t, "next", begin(t.Context(), g, "k", after(0, 8, nil), noFill), 8, true, 0)
	})
}
