package layered

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

var errRefused = store.Errorf("get", "k", store.ErrUnavailable, "connection refused")

func answer(context.Context) error { return nil }

func refuse(context.Context) error { return errRefused }

// hang ignores its context, as L2 may.
func hang(context.Context) error {
	time.Sleep(time.Minute)
	return nil
}

// heed waits for its context.
func heed(ctx context.Context) error {
	<-ctx.Done()
	return &store.Error{Op: "get", Key: "k", Err: ctx.Err()}
}

func TestGuardReturnsWhatTheCallReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(time.Second)
		defer g.close()
		partial := map[string][]byte{"a": []byte("1")}
		for _, want := range []error{nil, store.ErrNotFound, errRefused, store.Errorf("set", "k", store.ErrTooLarge, "too large")} {
			got, err := guarded(t.Context(), g, "getmany", "", func(context.Context) (map[string][]byte, error) { return partial, want })
			if len(got) != 1 || err != want {
				t.Errorf("got %q, %v, want %v", got, err, want)
			}
		}
	})
}

func TestGuardEndsACall(t *testing.T) {
	for name, test := range map[string]struct {
		call     func(context.Context) error
		deadline time.Duration
		cancel   bool
		after    time.Duration
		want     error
	}{
		"that ignores its context":                 {call: hang, after: time.Second, want: store.ErrUnavailable},
		"that heeds its context":                   {call: heed, after: time.Second, want: store.ErrUnavailable},
		"of a caller with a later deadline":        {call: heed, deadline: 2 * time.Second, after: time.Second, want: store.ErrUnavailable},
		"by the caller's deadline":                 {call: heed, deadline: time.Second / 2, after: time.Second / 2, want: context.DeadlineExceeded},
		"by the caller's deadline, though ignored": {call: hang, deadline: time.Second / 2, after: time.Second / 2, want: context.DeadlineExceeded},
		"when the caller cancels":                  {call: heed, cancel: true, after: time.Second / 2, want: context.Canceled},
		"when the caller cancels, though ignored":  {call: hang, cancel: true, after: time.Second / 2, want: context.Canceled},
		"that fails when the caller cancels": {call: func(ctx context.Context) error {
			<-ctx.Done()
			return errRefused
		}, cancel: true, after: time.Second / 2, want: context.Canceled},
		"with a time-out of L2's own": {call: func(context.Context) error {
			time.Sleep(time.Second / 4)
			return &store.Error{Op: "get", Key: "k", Err: context.DeadlineExceeded}
		}, after: time.Second / 4, want: store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				if test.cancel {
					time.AfterFunc(time.Second/2, cancel)
				}
				g := newGuard(time.Second)
				defer g.calls.Wait()
				start := time.Now()
				err := g.do(ctx, "get", "k", test.call)
				if took := time.Since(start); took != test.after || !errors.Is(err, test.want) {
					t.Errorf("%v after %v, want %v after %v", err, took, test.want, test.after)
				}
				var e *store.Error
				if !errors.As(err, &e) || e.Op != "get" || e.Key != "k" {
					t.Errorf("%v is no *store.Error of the call", err)
				}
				unavailable := test.want == store.ErrUnavailable
				if errors.Is(err, store.ErrUnavailable) != unavailable || isContextError(err) == unavailable {
					t.Errorf("%v looks like more than one kind", err)
				}
				failed := uint64(0)
				if unavailable {
					failed = 1
				}
				if s := g.breaker.snapshot(); s.Failed != failed || s.TimedOut != failed {
					t.Errorf("counted as %+v", s)
				}
			})
		})
	}
}

func TestGuardSaysHowLongItWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(time.Second)
		defer g.close()
		err := g.do(t.Context(), "get", "k", heed)
		if want := `store: get "k": no answer from L2 within 1s`; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

func TestGuardWaitsForCallsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(time.Second)
		ended := false
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		g.do(ctx, "get", "k", func(context.Context) error {
			time.Sleep(time.Second / 2)
			ended = true
			return nil
		})
		g.close()
		if !ended {
			t.Error("close returned before the call had ended")
		}
		start := time.Now()
		g.do(ctx, "get", "k", hang)
		g.close()
		if took := time.Since(start); took > time.Second {
			t.Errorf("close returned after %v", took)
		}
		time.Sleep(time.Hour)
	})
}

func TestBreakerOpensOnFailures(t *testing.T) {
	for name, call := range map[string]func(context.Context) error{"errors": refuse, "time-outs": heed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard(time.Second / 10)
				defer g.close()
				for range breakAfter {
					if s := g.breaker.snapshot(); s.State != BreakerClosed {
						t.Fatalf("%+v", s)
					}
					g.do(t.Context(), "get", "k", call)
				}
				opened := time.Now()
				s := g.breaker.snapshot()
				if s.State != BreakerOpen || s.Opened != 1 || s.Failed != breakAfter || !s.Since.Equal(opened) {
					t.Fatalf("%+v", s)
				}
				err := g.do(t.Context(), "get", "other", func(context.Context) error {
					t.Error("a call was made")
					return nil
				})
				if !errors.Is(err, store.ErrUnavailable) || isContextError(err) || time.Since(opened) != 0 {
					t.Errorf("%v after %v", err, time.Since(opened))
				}
				want := "it is not asked until " + s.Until.Format("15:04:05.000") + ", in "
				if text := err.Error(); !strings.HasPrefix(text, `store: get "other": L2 is away since `) || !strings.Contains(text, want) {
					t.Errorf("%s\ndoes not say %s", text, want)
				}
				if s := g.breaker.snapshot(); s.Refused != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestBreakerIgnoresWhatIsNotL2sFault(t *testing.T) {
	for name, err := range map[string]error{
		"a miss":       store.ErrNotFound,
		"invalid":      store.Errorf("set", "k", store.ErrInvalid, "bad"),
		"too large":    store.Errorf("set", "k", store.ErrTooLarge, "large"),
		"unsupported":  store.Errorf("add", "k", errors.ErrUnsupported, "no"),
		"closed":       store.Errorf("get", "k", store.ErrClosed, "closed"),
		"another kind": errors.New("other"),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuard(time.Second)
			defer g.close()
			for range 10 * breakAfter {
				g.do(t.Context(), "get", "k", func(context.Context) error { return err })
			}
			if s := g.breaker.snapshot(); s != (BreakerStats{}) {
				t.Errorf("%+v", s)
			}
		})
	}
	t.Run("a caller who cancels", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard(time.Second)
			defer g.close()
			for range 10 * breakAfter {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				g.do(ctx, "get", "k", heed)
				cancel()
			}
			if s := g.breaker.snapshot(); s != (BreakerStats{}) {
				t.Errorf("%+v", s)
			}
		})
	})
}

// Many callers wait for one key that hangs, and one asks for others.
func TestBreakerSurvivesOneSlowKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(time.Second / 2)
		defer g.close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				for ctx.Err() == nil {
					g.do(ctx, "get", "slow", heed)
				}
			})
		}
		for ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			if err := g.do(ctx, "get", "fast", answer); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
		}
		callers.Wait()
		if s := g.breaker.snapshot(); s.Opened != 0 || s.TimedOut < 1000 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBreakerOpensWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(time.Second / 2)
		died := time.Now().Add(3 * time.Second)
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				for g.breaker.snapshot().State == BreakerClosed {
					g.do(t.Context(), "get", "k", func(ctx context.Context) error {
						if time.Sleep(3 * time.Millisecond); time.Now().Before(died) {
							return nil
						}
						return heed(ctx)
					})
				}
			})
		}
		callers.Wait()
		if took := g.breaker.snapshot().Since.Sub(died); took > time.Second {
			t.Errorf("it opened after %v", took)
		}
		g.close()
	})
}

// It tells nothing of L2, and another call is the next probe.
func TestBreakerAndAProbeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := openBreaker(t)
		defer g.close()
		time.Sleep(time.Until(g.breaker.snapshot().Until))
		func() {
			defer func() {
				if v := recover(); v != "broken" {
					t.Errorf("recovered %v", v)
				}
			}()
			g.do(t.Context(), "set", "k", func(context.Context) error { panic("broken") })
		}()
		if s := g.breaker.snapshot(); s.Failed != breakAfter {
			t.Errorf("%+v", s)
		}
		if err := g.do(t.Context(), "get", "k", answer); err != nil {
			t.Error(err)
		}
	})
}
