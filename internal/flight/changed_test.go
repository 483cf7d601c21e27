package flight

import (
	"context"
	"testing"
	"time"
)

// Those who come after the change do not join. A load that is guarded fills all
// the same, and another one does not.
func TestChanged(t *testing.T) {
	for _, guarded := range []bool{false, true} {
		for name, change := range map[string]func(*Group[int]){
			"one": func(g *Group[int]) { g.Changed("k") },
			"all": func(g *Group[int]) { g.ChangedAll() },
		} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T, g *Group[int]) {
					var l ledger
					r := Request[int]{Key: "k", Guarded: guarded, Load: after(time.Minute, 1, nil), Fill: l.fill, Void: l.skip}
					first := request(t.Context(), g, r)
					change(g)
					change(g)
					r.Load = after(time.Hour, 2, nil)
					later := request(t.Context(), g, r)
					r.Load = unwanted(t)
					wantOutcome(t, "joined the later", request(t.Context(), g, r), 2, false, time.Hour)
					wantOutcome(t, "first", first, 1, true, time.Minute)
					wantOutcome(t, "later", later, 2, true, time.Hour)
					if guarded {
						l.want(t, "[1 2]", 0)
					} else {
						l.want(t, "[2]", 1)
					}
				})
			})
		}
	}
}

// An invalidation is for all loads under way, also those that nobody joins.
func TestInvalidateAfterChanged(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		r := Request[int]{Key: "k", Guarded: true, Load: after(time.Minute, 1, nil), Fill: l.fill, Void: l.skip}
		one := request(t.Context(), g, r)
		g.Changed("k")
		two := request(t.Context(), g, r)
		g.Changed("k")
		three := request(t.Context(), g, r)
		g.Invalidate("k").Done()
		for _, c := range []<-chan outcome{one, two, three} {
			wantOutcome(t, "joined before", c, 1, true, time.Minute)
		}
		l.want(t, "[]", 3)
	})
}

// Who asked the cache before the change asks it again.
func TestChangedLooksAgain(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		seen := g.Mark()
		first := begin(t.Context(), g, "k", after(time.Minute, 1, nil), mustNotFill(t))
		g.Changed("k")
		later := make(chan bool, 1)
		_, _, _ = do(g, t.Context(), "k", seen, func(_ context.Context, again bool) (int, error) {
			later <- again
			return 2, nil
		}, noFill)
		if !<-later {
			t.Error("the cache is not asked again")
		}
		wantOutcome(t, "first", first, 1, true, time.Minute)
	})
}

// The store may tell of a change while it makes it.
func TestChangedDuringFill(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		for _, guarded := range []bool{false, true} {
			c := request(t.Context(), g, Request[int]{
				Key: "k", Guarded: guarded, Load: after(0, 1, nil),
				Fill: func(context.Context, int) { g.Changed("k") },
				Void: func() { t.Error("void") },
			})
			wantOutcome(t, "Do", c, 1, true, 0)
		}
	})
}
