package flight

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestTimeout(t *testing.T) {
	for _, next := range []bool{false, true} {
		bubble(t, func(t *testing.T, g *Group[int]) {
			var l ledger
			r := Request[int]{Key: "k", Timeout: time.Second, Load: after(time.Minute, 1, nil), Fill: l.fill, Void: l.skip}
			first := request(t.Context(), g, r)
			r.Load = unwanted(t)
			joined := request(t.Context(), g, r)
			wantError(t, "first", first, ErrTimeout, time.Second)
			wantError(t, "joined", joined, ErrTimeout, time.Second)
			if !next {
				time.Sleep(time.Minute)
				l.want(t, "[1]", 0) // late, but good
				return
			}
			r.Timeout, r.Load = 0, after(time.Hour, 2, nil)
			newer := request(t.Context(), g, r)
			r.Load = unwanted(t)
			joined = request(t.Context(), g, r)
			time.Sleep(time.Minute)
			l.want(t, "[]", 1)
			wantOutcome(t, "newer", newer, 2, true, time.Hour)
			wantOutcome(t, "joined the newer", joined, 2, false, time.Hour)
			l.want(t, "[2]", 1)
		})
	}
}

// A load that has timed out and returned after all is storing what it brought.
// Who comes then does not wait for it either, nor stores over it.
func TestTimeoutDuringLateFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := request(t.Context(), g, Request[int]{Key: "k", Timeout: time.Second, Load: after(time.Minute, 1, nil), Fill: slowFill})
		wantError(t, "first", first, ErrTimeout, time.Second)
		time.Sleep(time.Minute)
		wantOutcome(t, "next", request(t.Context(), g, Request[int]{Key: "k", Load: after(time.Second, 2, nil), Fill: mustNotFill(t)}), 2, true, time.Second)
		change := g.Invalidate("k")
		defer change.Done()
		start := time.Now()
		if err := change.Wait(t.Context()); err != nil || time.Since(start) != 58*time.Second {
			t.Errorf("waited %v, %v; want until the fill had ended", time.Since(start), err)
		}
	})
}

func TestTimeoutCancelsLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause atomic.Value
		c := request(t.Context(), g, Request[int]{Key: "k", Timeout: time.Second, Load: caused(&cause), Fill: mustNotFill(t)})
		wantError(t, "Do", c, ErrTimeout, time.Second)
		wantCause(t, &cause, ErrTimeout)
	})
}

// An error that the load returns because it has timed out says so, too.
func TestTimeoutMarksError(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		failed := errors.New("failed")
		r := Request[int]{Key: "k", Timeout: time.Second, Load: after(time.Minute, 0, failed)}
		l := &load[int]{batch: new(r.batch())}
		f, _, err := g.join(&caller{ctx: t.Context(), waits: true}, l, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run(l)
		if _, err := g.wait(&caller{ctx: t.Context()}, f); !errors.Is(err, ErrTimeout) || !errors.Is(err, failed) {
			t.Errorf("got %v, want one that matches ErrTimeout and what the load returned", err)
		}
	})
}

func TestTimeoutIsForLoadAlone(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first := request(t.Context(), g, Request[int]{Key: "k", Timeout: time.Second, Load: after(0, 1, nil), Fill: func(ctx context.Context, _ int) {
			slowFill(ctx, 0)
			if ctx.Err() != nil {
				t.Errorf("the fill's context has ended: %v", ctx.Err())
			}
		}})
		time.Sleep(2 * time.Second)
		joined := request(t.Context(), g, Request[int]{Key: "k", Load: unwanted(t)})
		wantOutcome(t, "joined", joined, 1, false, 58*time.Second)
		wantOutcome(t, "first", first, 1, true, time.Minute)
	})
}

// However the load ends.
func TestTimeoutEndsWithLoad(t *testing.T) {
	for name, loads := range map[string]func(context.Context, bool) (int, error){
		"value": after(0, 1, nil),
		"error": after(0, 0, errors.New("failed")),
		"panic": func(context.Context, bool) (int, error) { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group[int]) {
				r := Request[int]{Key: "k", Timeout: time.Second, Load: loads, Fill: noFill}
				l := &load[int]{batch: new(r.batch())}
				if _, _, err := g.join(&caller{ctx: t.Context()}, l, 0, nil); err != nil {
					t.Fatal(err)
				}
				g.run(l)
				time.Sleep(time.Minute)
				if l.overdue() {
					t.Error("it timed out after its end")
				}
			})
		})
	}
}

func TestPanicAfterTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		c := request(t.Context(), g, Request[int]{Key: "k", Timeout: time.Millisecond, Load: explode("boom")})
		wantError(t, "first", c, ErrTimeout, time.Millisecond)
		time.Sleep(time.Minute)
		wantOutcome(t, "next", begin(t.Context(), g, "k", after(0, 8, nil), noFill), 8, true, 0)
	})
}

func TestPatience(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		first := request(t.Context(), g, Request[int]{Key: "k", Patience: time.Second, Load: heeding(time.Minute, 1), Fill: l.fill})
		wantError(t, "first", first, ErrPatience, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, "joined for a while", begin(ctx, g, "k", unwanted(t), noFill), context.DeadlineExceeded, time.Second)
		wantOutcome(t, "joined", begin(t.Context(), g, "k", unwanted(t), noFill), 1, false, 58*time.Second)
		l.want(t, "[1]", 0)
	})
}

// The load goes on for the sake of one who has joined it, too.
func TestPatienceOfJoined(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		first := begin(ctx, g, "k", heeding(time.Minute, 1), l.fill)
		joined := request(t.Context(), g, Request[int]{Key: "k", Patience: time.Second, Load: unwanted(t)})
		wantError(t, "joined", joined, ErrPatience, time.Second)
		wantError(t, "first", first, context.DeadlineExceeded, 2*time.Second)
		time.Sleep(time.Minute)
		l.want(t, "[1]", 0)
	})
}

func TestPatienceDuringFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		c := request(t.Context(), g, Request[int]{Key: "k", Patience: time.Second, Load: after(0, 1, nil), Fill: slowFill})
		wantOutcome(t, "Do", c, 1, true, time.Second)
		wantOutcome(t, "joined", begin(t.Context(), g, "k", unwanted(t), noFill), 1, false, 59*time.Second)
	})
}

// Whichever comes first, it is one of the two, and the value is stored.
func TestPatienceEndsWithLoad(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		for range 200 {
			var l ledger
			c := request(t.Context(), g, Request[int]{Key: "k", Patience: time.Second, Load: heeding(time.Second, 1), Fill: l.fill})
			if o := <-c; o.err == nil && o.value != 1 || o.err != nil && o.err != ErrPatience || o.at != time.Second {
				t.Errorf("got %+v", o)
			}
			l.want(t, "[1]", 0)
		}
	})
}

func TestTimeoutAfterPatience(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause atomic.Value
		r := Request[int]{Key: "k", Patience: time.Second, Timeout: time.Minute, Load: caused(&cause)}
		wantError(t, "first", request(t.Context(), g, r), ErrPatience, time.Second)
		r.Patience = 0
		wantError(t, "joined", request(t.Context(), g, r), ErrTimeout, 59*time.Second)
		wantCause(t, &cause, ErrTimeout)
	})
}

func TestCloseCutsWhatNobodyWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var impatient, started atomic.Value
		wantError(t, "impatient", request(t.Context(), g, Request[int]{Key: "a", Patience: time.Second, Load: caused(&impatient)}), ErrPatience, time.Second)
		if !g.Start(t.Context(), Request[int]{Key: "b", Load: caused(&started)}) {
			t.Error("not started")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.scope.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		wantCause(t, &impatient, ErrClosed)
		wantCause(t, &started, ErrClosed)
	})
}
