package flight

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestJoin(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		ctx := t.Context()
		if _, joined, err := g.Join(ctx, "k", 0, 0); joined || err != nil {
			t.Errorf("nobody loads: joined %v, %v", joined, err)
		}
		go func() {
			_, _, _ = g.Do(ctx, Request[int]{Key: "k", Epoch: 1, Load: after(time.Second, 7, nil), Fill: noFill})
		}()
		synctest.Wait()

		if _, joined, err := g.Join(ctx, "k", 2, 0); joined || err != nil {
			t.Errorf("a load of an earlier epoch: joined %v, %v", joined, err)
		}
		done, cancel := context.WithCancel(ctx)
		cancel()
		if _, joined, err := g.Join(done, "k", 1, 0); joined || err != nil {
			t.Errorf("with a done context, which Do answers: joined %v, %v", joined, err)
		}
		if _, joined, err := g.Join(ctx, "k", 1, time.Millisecond); !joined || err != ErrPatience {
			t.Errorf("with little patience: joined %v, %v", joined, err)
		}
		if v, joined, err := g.Join(ctx, "k", 1, 0); !joined || v != 7 || err != nil {
			t.Errorf("joined %v, %d, %v; want the 7 that is loaded", joined, v, err)
		}
	})
}

func TestJoinWithinItself(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cycle *CycleError
		load := func(ctx context.Context, _ bool) (int, error) {
			_, joined, err := g.Join(ctx, "k", 0, 0)
			if !joined || !errors.As(err, &cycle) {
				t.Errorf("joined %v, %v; want a CycleError", joined, err)
			}
			return 0, nil
		}
		if _, _, err := do(g, t.Context(), "k", g.Mark(), load, noFill); err != nil {
			t.Error(err)
		}
	})
}

func TestJoinKeepsTheLoadGoing(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		first, cancel := context.WithCancel(t.Context())
		go func() { _, _, _ = do(g, first, "k", g.Mark(), heeding(time.Second, 7), noFill) }()
		synctest.Wait()
		time.AfterFunc(time.Millisecond, cancel)
		if v, joined, err := g.Join(t.Context(), "k", 0, 0); !joined || v != 7 || err != nil {
			t.Errorf("joined %v, %d, %v; want 7, though the first caller has gone", joined, v, err)
		}
	})
}
