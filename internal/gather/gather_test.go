package gather

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// call is a number to be squared by whoever carries it.
type call struct{ n, square int }

// do makes a call in the way that Join says. It counts the requests, each of
// which takes a while.
func do(t *testing.T, g *Group[*call], n int, requests *atomic.Int64) {
	c := &call{n: n}
	carry := func(calls ...*call) {
		requests.Add(1)
		time.Sleep(time.Second)
		for _, c := range calls {
			c.square = c.n * c.n
		}
	}
	b, drive := g.Join(c)
	switch {
	case b == nil:
		carry(c)
		g.Leave()
	case drive:
		if len(b.Calls) > capacity {
			t.Errorf("a batch of %d", len(b.Calls))
		}
		carry(b.Calls...)
		b.End(true)
	default:
		if carried, err := b.Wait(t.Context(), context.Background()); !carried || err != nil {
			t.Errorf("Wait: %v, %v", carried, err)
		}
	}
	if c.square != n*n {
		t.Errorf("call %d has the result %d", n, c.square)
	}
}

func TestEveryCallIsCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[*call]
		var requests atomic.Int64
		var calls sync.WaitGroup
		for n := range 3000 {
			calls.Go(func() {
				for range 5 {
					do(t, &g, n, &requests)
				}
			})
		}
		calls.Wait()
		if g.away != 0 || g.open != nil {
			t.Errorf("%d are still away, %v is open", g.away, g.open)
		}
		if requests.Load() >= 3000*5 {
			t.Errorf("%d requests for as many calls", requests.Load())
		}
	})
}

// With one processor those who are ready run when another one yields, some 60
// of them before it is its turn again.
func TestCallsOfOneMomentTravelTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for calls, most := range map[int]int64{
		1:               1,
		100:             10,
		3*capacity + 10: 100,
	} {
		synctest.Test(t, func(t *testing.T) {
			var g Group[*call]
			var requests atomic.Int64
			var all sync.WaitGroup
			for n := range calls {
				all.Go(func() { do(t, &g, n, &requests) })
			}
			all.Wait()
			if requests.Load() > most {
				t.Errorf("%d calls of one moment made %d requests, want at most %d", calls, requests.Load(), most)
			}
		})
	}
}

func TestABatchIsBounded(t *testing.T) {
	var g Group[int]
	g.away = 1
	b := &Batch[int]{Calls: make([]int, 1, capacity), group: &g}
	g.open = b
	for range capacity - 1 {
		if got, drive := g.Join(1); got != b || drive {
			t.Fatal("a call did not join the open batch")
		}
	}
	if g.open != nil || len(b.Calls) != capacity {
		t.Errorf("a batch of %d still takes calls", len(b.Calls))
	}
}

func TestACallInTurnGoesAlone(t *testing.T) {
	var g Group[int]
	for range 100 {
		if b, drive := g.Join(1); b != nil || !drive {
			t.Fatal("a call that finds nobody under way did not go alone")
		}
		g.Leave()
	}
}

func TestWaitEndsWithAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[int]
		b := &Batch[int]{group: &g, done: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if carried, err := b.Wait(ctx, context.Background()); carried || err != context.DeadlineExceeded {
			t.Errorf("ctx: got %v, %v", carried, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if carried, err := b.Wait(context.Background(), ctx); carried || err != context.DeadlineExceeded {
			t.Errorf("limit: got %v, %v", carried, err)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("two waits of a second took %v", d)
		}
		g.away = 1
		b.End(false)
		if carried, err := b.Wait(t.Context(), context.Background()); carried || err != nil {
			t.Errorf("after a batch that failed: got %v, %v", carried, err)
		}
	})
}

func TestAccount(t *testing.T) {
	start := time.Now()
	var a account
	if !a.pays(start) {
		t.Error("it begins closed")
	}

	// A loss closes it for as long as makes the loss a small part of the time.
	a.book(start, time.Millisecond, 0)
	end := start.Add(65 * time.Millisecond)
	if a.pays(end.Add(-1)) || !a.pays(end) {
		t.Errorf("after a loss of 1ms it is closed for %v, want 65ms", a.closed.Sub(start))
	}

	// Gains make up for a loss.
	a = account{}
	for range 1000 {
		a.book(start, time.Microsecond, 10)
	}
	if a.balance != credit {
		t.Errorf("saved up: %v, want %v", a.balance, credit)
	}
	a.book(start, credit, 0)
	if !a.pays(start) || a.balance != 0 {
		t.Errorf("after a loss of what was saved up: balance %v, closed for %v", a.balance, a.closed.Sub(start))
	}
	a.book(start, time.Microsecond, 0)
	if a.pays(start) {
		t.Error("it stays open though all is spent")
	}
}

func TestAClosedAccountSendsAllAlone(t *testing.T) {
	var g Group[int]
	g.closed = time.Now().Add(time.Hour)
	for range 100 {
		if b, drive := g.Join(1); b != nil || !drive {
			t.Fatal("a call did not go alone")
		}
	}
	if g.away != 100 {
		t.Errorf("%d are away, want 100", g.away)
	}
}
