package flight

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseWaits(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		filled := false
		first := begin(t.Context(), g, "k", after(time.Minute, 1, nil), func(context.Context, int) {
			time.Sleep(time.Minute)
			filled = true
		})
		closed := make(chan error, 2)
		for range cap(closed) {
			go func() { closed <- g.scope.Close(t.Context()) }()
		}
		synctest.Wait()
		if !g.scope.Closed() {
			t.Error("not closed")
		}
		wantError(t, "new load", begin(t.Context(), g, "other", unwanted(t), noFill), ErrClosed, 0)
		wantOutcome(t, "joined", begin(t.Context(), g, "k", unwanted(t), noFill), 1, false, 2*time.Minute)
		wantOutcome(t, "first", first, 1, true, 2*time.Minute)
		for range cap(closed) {
			if err := <-closed; err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if !filled {
			t.Error("Close did not wait for the fill")
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause error
		heeds := begin(t.Context(), g, "heeds", func(ctx context.Context, _ bool) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return 0, ctx.Err()
		}, noFill)
		stubborn := begin(t.Context(), g, "stubborn", after(time.Hour, 1, nil), mustNotFill(t))
		var fillErr error
		filling := begin(t.Context(), g, "filling", after(0, 2, nil), func(ctx context.Context, _ int) {
			<-ctx.Done()
			fillErr = ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.scope.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		wantError(t, "heeds", heeds, ErrClosed, time.Second)
		wantError(t, "stubborn", stubborn, ErrClosed, time.Second)
		wantOutcome(t, "filling", filling, 2, true, time.Second)
		synctest.Wait()
		if cause != ErrClosed {
			t.Errorf("the load was cancelled with the cause %v", cause)
		}
		if fillErr == nil {
			t.Error("the fill was not cancelled")
		}
	})
}

// Those who stop waiting since the Scope was closed are not the cause, even if
// they are ahead of it.
func TestCloseIsTheCause(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		causes := make([]atomic.Value, 2000)
		for i := range causes {
			go func() { _, _, _ = do(g, t.Context(), fmt.Sprint(i), g.Mark(), caused(&causes[i]), noFill) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.scope.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v", err)
		}
		for i := range causes {
			wantCause(t, &causes[i], ErrClosed)
		}
	})
}

func TestScopeRun(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ran := make(chan error)
		go func() {
			ran <- g.scope.Run(t.Context(), func(ctx context.Context) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.scope.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if err := <-ran; !errors.Is(err, ErrClosed) {
			t.Errorf("Run: %v", err)
		}
		err := g.scope.Run(t.Context(), func(context.Context) error {
			t.Error("ran after Close")
			return nil
		})
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Run after Close: %v", err)
		}
	})
}
