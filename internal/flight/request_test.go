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

// request calls Do in a goroutine of its own and waits until it waits. A
// Request without Fill fills nothing.
func request(ctx context.Context, g *Group[int], r Request[int]) <-chan outcome {
	if r.Fill == nil {
		r.Fill = noFill
	}
	c := make(chan outcome, 1)
	start := time.Now()
	go func() {
		value, led, err := g.Do(ctx, r)
		c <- outcome{value, led, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

// A ledger notes what is filled and what is void.
type ledger struct {
	mu     sync.Mutex
	filled []int
	void   int
}

func (l *ledger) fill(_ context.Context, value int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filled = append(l.filled, value)
}

func (l *ledger) fillMany(ctx context.Context, _ []int, values []int) {
	for _, value := range values {
		l.fill(ctx, value)
	}
}

func (l *ledger) skip() { l.skipMany(1) }

func (l *ledger) skipMany(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.void += n
}

// want checks what was noted once all that is under way has come to rest.
func (l *ledger) want(t *testing.T, filled string, void int) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := fmt.Sprint(l.filled); got != filled || l.void != void {
		t.Errorf("filled %s and left out %d, want %s and %d", got, l.void, filled, void)
	}
}

// caused returns a load that waits for the end of its context and notes why.
func caused(cause *atomic.Value) func(context.Context, bool) (int, error) {
	return func(ctx context.Context, _ bool) (int, error) {
		<-ctx.Done()
		cause.Store(context.Cause(ctx))
		return 0, errors.New("cancelled")
	}
}

// wantCause checks what caused noted, nil if the context has not ended.
func wantCause(t *testing.T, cause *atomic.Value, want any) {
	t.Helper()
	synctest.Wait()
	if got := cause.Load(); got != want {
		t.Errorf("the load was cancelled with the cause %v, want %v", got, want)
	}
}

func TestVoid(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		c := request(t.Context(), g, Request[int]{Key: "k", Load: after(time.Second, 1, nil), Fill: l.fill, Void: l.skip})
		g.Invalidate("k").Done()
		wantOutcome(t, "void", c, 1, true, time.Second)
		l.want(t, "[]", 1)
		failed := errors.New("failed")
		c = request(t.Context(), g, Request[int]{Key: "k", Load: after(time.Second, 1, failed), Fill: l.fill, Void: l.skip})
		g.Invalidate("k").Done()
		wantError(t, "void and failed", c, failed, time.Second)
		l.want(t, "[]", 1)
		c = request(t.Context(), g, Request[int]{Key: "k", Load: after(time.Second, 2, nil), Fill: l.fill, Void: l.skip})
		wantOutcome(t, "good", c, 2, true, time.Second)
		l.want(t, "[2]", 1)
	})
}

// Those who wait get the value after Void, as after Fill.
func TestVoidIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		c := request(t.Context(), g, Request[int]{Key: "k", Load: after(0, 1, nil), Void: func() { time.Sleep(time.Second) }})
		wantOutcome(t, "good", c, 1, true, 0)
		inv := g.Invalidate("k")
		c = request(t.Context(), g, Request[int]{Key: "k", Load: after(0, 1, nil), Void: func() { time.Sleep(time.Second) }})
		inv.Done()
		wantOutcome(t, "void", c, 1, true, time.Second)
	})
}

func TestEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		load := func(epoch uint64, d time.Duration) <-chan outcome {
			return request(t.Context(), g, Request[int]{
				Key: "k", Epoch: epoch, Load: after(d, int(epoch), nil), Fill: l.fill, Void: l.skip,
			})
		}
		first := load(1, time.Minute)
		joined := load(1, 0)
		second := load(2, time.Hour)
		later := load(1, 0)
		wantOutcome(t, "first", first, 1, true, time.Minute)
		wantOutcome(t, "of the same epoch", joined, 1, false, time.Minute)
		l.want(t, "[]", 1)
		wantOutcome(t, "of a later epoch", second, 2, true, time.Hour)
		wantOutcome(t, "of an earlier epoch", later, 2, false, time.Hour)
		l.want(t, "[2]", 1)
	})
}

// Two fills at a time could be stored in the wrong order.
func TestEpochDuringFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		first := request(t.Context(), g, Request[int]{Key: "k", Load: after(0, 1, nil), Fill: slowFill})
		second := request(t.Context(), g, Request[int]{Key: "k", Epoch: 1, Load: after(0, 2, nil), Fill: l.fill, Void: l.skip})
		wantOutcome(t, "second", second, 2, true, 0)
		wantOutcome(t, "first", first, 1, true, time.Minute)
		l.want(t, "[]", 1)
	})
}

// Fill belongs to the load: asking for the key there would never end.
func TestOwnFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var err error
		c := request(t.Context(), g, Request[int]{Key: "k", Load: after(0, 1, nil), Fill: func(ctx context.Context, _ int) {
			_, _, err = do(g, ctx, "k", g.Mark(), unwanted(t), noFill)
		}})
		wantOutcome(t, "Do", c, 1, true, 0)
		wantCycle(t, err, "k k")
	})
}
