package await

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDoReturnsTheResult(t *testing.T) {
	var g Group
	defer g.Wait()
	failure := errors.New("failure")
	for name, ctx := range map[string]context.Context{"never done": context.Background(), "may be done": t.Context()} {
		t.Run(name, func(t *testing.T) {
			if n, err := Do(ctx, &g, func() (int, error) { return 7, nil }); n != 7 || err != nil {
				t.Errorf("got %d, %v, want 7", n, err)
			}
			if n, err := Do(ctx, &g, func() (int, error) { return 7, failure }); n != 7 || err != failure {
				t.Errorf("got %d, %v, want 7, %v", n, err, failure)
			}
		})
	}
}

func TestDoRunsInTheCallersGoroutine(t *testing.T) {
	var g Group
	_, err := Do(context.Background(), &g, func() (int, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.workers, nil
	})
	if err != nil || g.workers != 0 {
		t.Errorf("%d goroutines for a context that is never done, %v", g.workers, err)
	}
}

func TestWithinReturnsWhenAContextEnds(t *testing.T) {
	for name, ends := range map[string]struct {
		ctx, limit time.Duration
		cancel     bool
		want       error
	}{
		"the deadline of ctx": {ctx: time.Second, limit: time.Minute, want: context.DeadlineExceeded},
		"the limit":           {ctx: time.Minute, limit: time.Second, want: context.DeadlineExceeded},
		"a cancellation":      {ctx: time.Minute, limit: time.Minute, cancel: true, want: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), ends.ctx)
				defer cancel()
				limit, cancelLimit := context.WithTimeout(context.Background(), ends.limit)
				defer cancelLimit()
				if ends.cancel {
					time.AfterFunc(time.Second, cancel)
				}
				var g Group
				start := time.Now()
				n, err := Within(ctx, limit, &g, func(context.Context) (int, error) {
					time.Sleep(time.Hour)
					return 7, nil
				})
				if n != 0 || err != ends.want || time.Since(start) != time.Second {
					t.Errorf("got %d, %v after %v, want %v after 1s", n, err, time.Since(start), ends.want)
				}
				g.Wait()
				if d := time.Since(start); d != time.Hour {
					t.Errorf("Wait returned after %v, before the call had ended", d)
				}
			})
		})
	}
}

type valueKey struct{}

func TestTheContextOfACall(t *testing.T) {
	for name, ends := range map[string]struct{ ctx, limit time.Duration }{
		"ctx ends first":   {time.Second, time.Minute},
		"limit ends first": {time.Minute, time.Second},
		"no limit":         {ctx: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := time.Now().Add(time.Second)
				ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, "value"), ends.ctx)
				defer cancel()
				limit := context.Background()
				if ends.limit > 0 {
					limit, cancel = context.WithTimeout(limit, ends.limit)
					defer cancel()
				}
				var g Group
				var ended error
				_, err := Within(ctx, limit, &g, func(ctx context.Context) (none struct{}, _ error) {
					if deadline, ok := ctx.Deadline(); !ok || !deadline.Equal(want) {
						t.Errorf("the deadline is %v, %v, want %v", deadline, ok, want)
					}
					if ctx.Value(valueKey{}) != "value" {
						t.Error("the values of the caller's context are not there")
					}
					if ctx.Err() != nil {
						t.Errorf("it begins with %v", ctx.Err())
					}
					child, cancel := context.WithCancel(ctx)
					defer cancel()
					<-child.Done()
					ended = ctx.Err()
					return none, nil
				})
				g.Wait()
				if ended != err || err != context.DeadlineExceeded {
					t.Errorf("it ended with %v, Within with %v", ended, err)
				}
			})
		})
	}
}

func TestGoroutinesAreKeptForTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		for range 100 {
			Within(t.Context(), context.Background(), &g, func(context.Context) (int, error) { return 0, nil })
		}
		if g.workers != 1 {
			t.Errorf("%d goroutines after 100 calls in turn, want 1", g.workers)
		}
		g.Wait()
		if g.workers != 0 {
			t.Errorf("%d goroutines after Wait", g.workers)
		}
	})
}

func TestIdleGoroutinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		var calls sync.WaitGroup
		for range 3 * maxIdle {
			calls.Go(func() {
				Within(t.Context(), context.Background(), &g, func(context.Context) (int, error) {
					time.Sleep(time.Second)
					return 0, nil
				})
			})
		}
		calls.Wait()
		synctest.Wait()
		if g.workers != maxIdle {
			t.Errorf("%d goroutines stay, want %d", g.workers, maxIdle)
		}
		g.Wait()
	})
}

func TestAGroupWorksAfterWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		for range 3 {
			g.Wait()
			if n, err := Do(t.Context(), &g, func() (int, error) { return 7, nil }); n != 7 || err != nil {
				t.Errorf("got %d, %v, want 7", n, err)
			}
		}
		synctest.Wait()
		if g.workers != 0 {
			t.Errorf("%d goroutines stay after Wait", g.workers)
		}
	})
}

func TestWaitWhileCallsBegin(t *testing.T) {
	var g Group
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				Do(ctx, &g, func() (int, error) {
					cancel()
					runtime.Gosched()
					return 0, nil
				})
			}
		})
	}
	for range 100 {
		g.Wait()
		runtime.Gosched()
	}
	calls.Wait()
	g.Wait()
	if g.workers != 0 {
		t.Errorf("%d goroutines stay", g.workers)
	}
}

func BenchmarkWithin(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var g Group
	defer g.Wait()
	b.ReportAllocs()
	for b.Loop() {
		Within(ctx, context.Background(), &g, func(context.Context) (int, error) { return 0, nil })
	}
}
