package layered

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// openBreaker returns a guard that has just stopped asking L2.
func openBreaker(t *testing.T) *guard {
	t.Helper()
	g := newGuard(time.Second)
	for range breakAfter {
		g.do(t.Context(), "get", "k", refuse)
	}
	if s := g.breaker.snapshot(); s.State != BreakerOpen {
		t.Fatalf("%+v", s)
	}
	return g
}

func TestBreakerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := openBreaker(t)
		defer g.close()
		since := g.breaker.snapshot().Since
		for least := minPause; ; least = min(2*least, maxPause) {
			s := g.breaker.snapshot()
			pause := time.Until(s.Until)
			if pause < least || pause >= least+least/4 || !s.Since.Equal(since) || s.Opened != 1 {
				t.Fatalf("a pause of %v after %v, want %v and up to a quarter more; %+v", pause, s.Until.Sub(since), least, s)
			}
			time.Sleep(pause - 1)
			if g.do(t.Context(), "get", "k", answer) == nil {
				t.Fatal("a call was made before the pause was over")
			}
			time.Sleep(time.Nanosecond)
			if s.Until.Sub(since) > time.Minute {
				break
			}
			g.do(t.Context(), "get", "k", refuse)
		}
		if err := g.do(t.Context(), "get", "k", answer); err != nil {
			t.Fatal(err)
		}
		if s := g.breaker.snapshot(); s.State != BreakerClosed || !s.Since.IsZero() || !s.Until.IsZero() {
			t.Errorf("after an answer: %+v", s)
		}
		for range breakAfter {
			g.do(t.Context(), "get", "k", refuse)
		}
		if s := g.breaker.snapshot(); s.Until.Sub(s.Since) >= 2*minPause || s.Opened != 2 {
			t.Errorf("the pauses do not begin anew: %+v", s)
		}
	})
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := openBreaker(t)
		defer g.close()
		for range 20 {
			time.Sleep(time.Until(g.breaker.snapshot().Until))
			var asked atomic.Int64
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					g.do(t.Context(), "get", "k", func(context.Context) error {
						asked.Add(1)
						time.Sleep(time.Second / 4)
						return errRefused
					})
				})
			}
			synctest.Wait()
			if s := g.breaker.snapshot(); s.State != BreakerHalfOpen {
				t.Fatalf("%+v", s)
			}
			err := g.do(t.Context(), "get", "k", answer)
			if err == nil || !strings.Contains(err.Error(), "another call is asking whether it is back") {
				t.Errorf("%v", err)
			}
			callers.Wait()
			if n := asked.Load(); n != 1 {
				t.Fatalf("%d probes at once", n)
			}
		}
	})
}

func TestBreakerLetsTheNextOneProbe(t *testing.T) {
	for name, end := range map[string]func(*breaker, pass){
		"after a probe that says nothing of L2": (*breaker).leave,
		"after a probe that fails, and a pause": func(b *breaker, p pass) { b.failed(p, b.stats.Since, errRefused, false) },
	} {
		t.Run(name, func(t *testing.T) {
			var b breaker
			now := time.Now()
			fail := func() {
				p, err := b.enter(now)
				if err != nil {
					t.Fatal(err)
				}
				b.failed(p, now, errRefused, false)
			}
			for range breakAfter {
				fail()
			}
			now = now.Add(time.Minute)
			p, err := b.enter(now)
			if err != nil || !p.probe {
				t.Fatalf("%+v, %v", p, err)
			}
			end(&b, p)
			if p, err = b.enter(now); err != nil || !p.probe {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// A call that began before the breaker opened ends afterwards.
func TestBreakerAndLateResults(t *testing.T) {
	var b breaker
	now := time.Now()
	enter := func() pass {
		p, err := b.enter(now)
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
		return p
	}
	open := func() {
		for range breakAfter {
			b.failed(enter(), now, errRefused, false)
		}
	}
	late := enter()
	open()
	until := b.stats.Until
	b.failed(late, now.Add(time.Second), errRefused, true)
	if b.stats.Until != until || b.stats.Opened != 1 {
		t.Errorf("a late failure prolongs the pause: %+v", b.stats)
	}
	now = now.Add(time.Minute)
	probe := enter()
	b.leave(late)
	if _, err := b.enter(now); err == nil {
		t.Error("another call that ended has let a second probe through")
	}
	b.answered()
	if b.stats.State != BreakerClosed {
		t.Errorf("after an answer: %+v", b.stats)
	}
	b.failed(probe, now, errRefused, false)
	b.leave(probe)
	if b.stats.State != BreakerClosed || b.row != 0 {
		t.Errorf("a probe that has failed counts though another call was answered since: %+v", b.stats)
	}
	open()
	now = now.Add(time.Minute)
	enter()
	b.leave(probe)
	b.failed(probe, now, errRefused, false)
	if b.stats.State != BreakerHalfOpen {
		t.Errorf("an old probe ended the new one: %+v", b.stats)
	}
}

func TestBreakerStateString(t *testing.T) {
	for state, want := range map[BreakerState]string{BreakerClosed: "closed", BreakerOpen: "open", BreakerHalfOpen: "half-open", 9: "unknown"} {
		if got := state.String(); got != want {
			t.Errorf("%d is %s, want %s", state, got, want)
		}
	}
}
