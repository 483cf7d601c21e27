package flight

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAfterAtRest(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		wantOutcome(t, "Do", request(t.Context(), g, Request[int]{Key: "k", After: true, Load: after(time.Second, 1, nil)}), 1, true, time.Second)
	})
}

// However many there are, and however fast the loads, they share the next one.
func TestAfterIsShared(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group[int]) {
				var loads atomic.Int64
				first := begin(t.Context(), g, "k", after(time.Minute, 1, nil), noFill)
				var later []<-chan outcome
				for range 1000 {
					later = append(later, request(t.Context(), g, Request[int]{Key: "k", After: true, Load: func(context.Context, bool) (int, error) {
						loads.Add(1)
						time.Sleep(d)
						return 2, nil
					}}))
				}
				wantOutcome(t, "first", first, 1, true, time.Minute)
				led := 0
				for _, c := range later {
					o := <-c
					if o.value != 2 || o.err != nil || o.at != time.Minute+d {
						t.Fatalf("got %+v, want what was loaded after the first", o)
					}
					if o.led {
						led++
					}
				}
				if n := loads.Load(); n != 1 || led != 1 {
					t.Errorf("%d loads after the first and %d callers who led, want 1", n, led)
				}
			})
		})
	}
}

// What others begin after the call will do.
func TestAfterJoinsYounger(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := begin(t.Context(), g, "k", after(time.Minute, 1, nil), noFill)
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: unwanted(t)})
		g.Invalidate("k").Done()
		younger := begin(t.Context(), g, "k", after(time.Hour, 2, nil), noFill)
		wantOutcome(t, "first", first, 1, true, time.Minute)
		wantOutcome(t, "younger", younger, 2, true, time.Hour)
		wantOutcome(t, "later", later, 2, false, time.Hour)
	})
}

// There is no need to wait for a load that nobody can join any more.
func TestAfterUselessLoad(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"timed out": time.Second, "left by all": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group[int]) {
				var l ledger
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if timeout > 0 {
					ctx = t.Context()
				}
				first := request(ctx, g, Request[int]{Key: "k", Timeout: timeout, Load: after(time.Minute, 1, nil), Fill: l.fill, Void: l.skip})
				early := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: after(time.Hour, 2, nil), Fill: l.fill})
				<-first
				synctest.Wait()
				late := request(t.Context(), g, Request[int]{Key: "k", Load: unwanted(t)})
				wantOutcome(t, "early", early, 2, true, time.Second+time.Hour)
				wantOutcome(t, "late", late, 2, false, time.Hour)
				l.want(t, "[2]", 1)
			})
		})
	}
}

// A load that was left by all returned a value and is storing it. Others may
// join it, but it is older than the call.
func TestAfterUselessLoadFills(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := begin(ctx, g, "k", after(2*time.Second, 1, nil), slowFill)
		wantError(t, "first", first, context.DeadlineExceeded, time.Second)
		time.Sleep(2 * time.Second)
		joined := begin(t.Context(), g, "k", unwanted(t), noFill)
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: after(0, 2, nil)})
		wantOutcome(t, "later", later, 2, true, 0)
		wantOutcome(t, "joined", joined, 1, false, 59*time.Second)
	})
}

// A load that goes on for nobody can be joined, so it is waited for.
func TestAfterLoadLeftToItself(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		wantError(t, "first", request(t.Context(), g, Request[int]{
			Key: "k", Patience: time.Second, Load: after(time.Minute, 1, nil), Fill: l.fill,
		}), ErrPatience, time.Second)
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: after(0, 2, nil), Fill: l.fill})
		wantOutcome(t, "later", later, 2, true, 59*time.Second)
		l.want(t, "[1 2]", 0)
	})
}

// The older value is not what the caller wants, even if it is all there is.
func TestAfterGivesUp(t *testing.T) {
	for name, loading := range map[string]bool{"load": true, "fill": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group[int]) {
				d := time.Duration(0)
				if loading {
					d = time.Hour
				}
				first := begin(t.Context(), g, "k", heeding(d, 1), func(context.Context, int) { time.Sleep(time.Hour - d) })
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := Request[int]{Key: "k", After: true, Load: unwanted(t)}
				wantError(t, "with a deadline", request(ctx, g, r), context.DeadlineExceeded, time.Second)
				r.Patience = time.Second
				wantError(t, "impatient", request(t.Context(), g, r), ErrPatience, time.Second)
				wantOutcome(t, "first", first, 1, true, time.Hour)
			})
		})
	}
}

func TestAfterDoesNotKeepLoadGoing(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause atomic.Value
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := begin(ctx, g, "k", caused(&cause), noFill)
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: after(0, 2, nil)})
		wantError(t, "first", first, context.DeadlineExceeded, time.Second)
		wantOutcome(t, "later", later, 2, true, time.Second)
		wantCause(t, &cause, errAbandoned)
	})
}

// Patience counts from the call, and goes for the second wait if there is some
// left.
func TestAfterPatience(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		first := begin(t.Context(), g, "k", after(time.Second, 1, nil), noFill)
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Patience: time.Minute, Load: heeding(time.Hour, 2), Fill: l.fill})
		wantOutcome(t, "first", first, 1, true, time.Second)
		wantError(t, "later", later, ErrPatience, time.Minute)
		time.Sleep(time.Hour)
		l.want(t, "[2]", 0)
	})
}

// Whatever ends at the same moment, the caller does not hang nor get the older
// value.
func TestAfterEndsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		for range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			first := begin(t.Context(), g, "k", after(time.Second, 1, nil), noFill)
			r := Request[int]{Key: "k", After: true, Load: heeding(time.Second, 2)}
			one := request(ctx, g, r)
			r.Patience = time.Second
			two := request(t.Context(), g, r)
			<-first
			if o := <-one; o.err != context.DeadlineExceeded || o.at != time.Second {
				t.Errorf("with a deadline: got %+v", o)
			}
			if o := <-two; o.err != ErrPatience || o.at != time.Second {
				t.Errorf("impatient: got %+v", o)
			}
			cancel()
			time.Sleep(time.Minute)
		}
	})
}

func TestAfterCycles(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		askAfter := func(key string, d time.Duration) func(context.Context, bool) (int, error) {
			return func(ctx context.Context, _ bool) (int, error) {
				time.Sleep(d)
				v, _, err := g.Do(ctx, Request[int]{Key: key, After: true, Load: after(0, 5, nil), Fill: noFill})
				return v, err
			}
		}
		wantCycle(t, (<-begin(t.Context(), g, "a", askAfter("a", 0), noFill)).err, "a a")
		b := begin(t.Context(), g, "b", askAfter("c", time.Second), noFill)
		c := begin(t.Context(), g, "c", askAfter("b", 2*time.Second), noFill)
		wantCycle(t, (<-c).err, "c b c")
		wantOutcome(t, "b, which waited for c to end", b, 5, true, 2*time.Second)
	})
}

// A load that has given up waiting for its turn is no part of a ring any more.
func TestAfterGivenUpIsNoCycle(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		b := begin(t.Context(), g, "b", asking(g, "a", 2*time.Second, unwanted(t)), noFill)
		a := begin(t.Context(), g, "a", func(ctx context.Context, _ bool) (int, error) {
			_, _, err := g.Do(ctx, Request[int]{Key: "b", After: true, Patience: time.Second, Load: unwanted(t)})
			if err != ErrPatience {
				t.Errorf("got %v", err)
			}
			time.Sleep(time.Minute)
			return 1, nil
		}, noFill)
		wantOutcome(t, "a", a, 1, true, time.Minute+time.Second)
		wantOutcome(t, "b", b, 1, true, time.Minute+time.Second)
	})
}

func TestAfterEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := begin(t.Context(), g, "k", after(time.Second, 1, nil), noFill)
		later := func(epoch uint64) <-chan outcome {
			return request(t.Context(), g, Request[int]{Key: "k", After: true, Epoch: epoch, Load: after(time.Minute, int(epoch), nil)})
		}
		second, third := later(2), later(3)
		wantOutcome(t, "first", first, 1, true, time.Second)
		if o := <-second; o.value < 2 || o.err != nil {
			t.Errorf("second: got %+v", o)
		}
		if o := <-third; o.value != 3 || o.err != nil {
			t.Errorf("third: got %+v", o)
		}
	})
}

func TestAfterClose(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := begin(t.Context(), g, "k", after(time.Minute, 1, nil), noFill)
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: unwanted(t)})
		other := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: unwanted(t)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = g.scope.Close(ctx)
		wantError(t, "first", first, ErrClosed, time.Second)
		wantError(t, "later", later, ErrClosed, time.Second)
		wantError(t, "other", other, ErrClosed, time.Second)
	})
}

// A load that never returns does not hold what comes after it.
func TestAfterLoadThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		hung := make(chan struct{})
		var stuck *flight[int]
		first := request(t.Context(), g, Request[int]{Key: "k", Timeout: time.Second, Load: func(context.Context, bool) (int, error) {
			<-hung
			return 1, nil
		}})
		stuck = g.turn("k").last
		later := request(t.Context(), g, Request[int]{Key: "k", After: true, Load: after(0, 2, nil)})
		wantError(t, "first", first, ErrTimeout, time.Second)
		wantOutcome(t, "later", later, 2, true, time.Second)
		if stuck.turn != nil {
			t.Error("the load that hangs still holds the one that came after it")
		}
		close(hung)
		synctest.Wait()
	})
}
