package lock

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/store"
)

// warm makes the connections, and teaches the server the scripts.
func warm(t *testing.T, k *Locker) {
	t.Helper()
	mustUnlock(t, mustLock(t, k, "warm"))
}

// The answer to an acquisition is lost: the lock is acquired all the same, or it
// is refused and free. Nobody else has it, and nobody is kept from it until the
// ttl is over.
func TestAcquisitionWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	once := func(o *goredis.UniversalOptions) { o.MaxRetries, o.MaxRedirects = -1, -1 }
	onSites(t, func(t *testing.T, s *site) {
		for _, repeats := range []bool{true, false} {
			if repeats && s.kind == "memcached" {
				continue // an Add may not be repeated
			}
			var change []func(*goredis.UniversalOptions)
			if !repeats {
				change = append(change, once)
			}
			behind, net := s.proxied(t, change...)
			k, other := newLock(t, behind, &Options{TTL: longTTL}), newLock(t, s.direct, &Options{TTL: longTTL})
			warm(t, k)
			net.all((*faultproxy.Proxy).DropReply)
			ctx, cancel := context.WithTimeout(t.Context(), longTTL/2)
			l, err := k.Lock(ctx, "a")
			cancel()
			net.pass()
			var fence uint64
			switch {
			case repeats && err == nil:
				wantHeld(t, other, "a")
				if left := s.left(t, "a"); left == 0 {
					t.Error("the lock is not on the server")
				}
				fence = l.Fence()
				mustUnlock(t, l)
			case repeats || !errors.Is(err, store.ErrUnavailable):
				t.Fatalf("with a client that repeats: %v; got %v", repeats, err)
			}
			next := lockWithin(t, other, "a", 3*late)
			if next.Fence() <= fence {
				t.Errorf("fence %d after %d", next.Fence(), fence)
			}
			wantHeld(t, k, "a")
			mustUnlock(t, next)
			if left := s.left(t, "a"); left != 0 {
				t.Errorf("a lock is left, for %v", left)
			}
		}
	})
}

// An outage begins and ends.
type outage struct{ begin, end func() }

func outages(s *site, net network) map[string]outage {
	delay := func(toServer, toClient time.Duration) func() {
		return func() { net.all(func(p *faultproxy.Proxy) { p.Delay(toServer, toClient) }) }
	}
	all := map[string]outage{
		"requests held": {delay(time.Hour, 0), net.pass},
		"answers held":  {delay(0, time.Hour), net.pass},
		"black hole":    {func() { net.all((*faultproxy.Proxy).BlackHole) }, net.pass},
	}
	if s.server != nil {
		all["server stopped"] = outage{s.server.Pause, s.server.Resume}
	}
	return all
}

// The context of an acquisition ends while the network hangs. No lock is left a
// second after the servers can be reached, also where the request arrives only
// then.
func TestContextEndsInAcquisition(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, s *site) {
		behind, net := s.proxied(t)
		for name, o := range outages(s, net) {
			for _, cancels := range []bool{false, true} {
				abandon(t, s, behind, name, o, cancels)
			}
		}
	}
	onOwnSites(t, run)
	t.Run("cluster", func(t *testing.T) { t.Parallel(); run(t, clusterSite(t)) })
}

func abandon(t *testing.T, s *site, behind store.Store, name string, o outage, cancels bool) {
	t.Helper()
	undone := make(chan error, 10)
	k := newLock(t, behind, &Options{TTL: longTTL, Trace: &Trace{Undone: func(_ context.Context, u UndoneInfo) { undone <- u.Err }}})
	eventually(t, name+": the server", patience, func() bool { return store.Ping(t.Context(), behind) == nil })
	warm(t, k)
	o.begin()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	want := context.DeadlineExceeded
	if cancels {
		ctx, cancel = context.WithCancel(t.Context())
		want = context.Canceled
		time.AfterFunc(100*time.Millisecond, cancel)
	}
	defer cancel()
	l, err := k.Lock(ctx, "a")
	if l != nil || !errors.Is(err, want) {
		t.Errorf("%s: Lock: %v, %v, want %v", name, l, err, want)
	}
	sleep(t.Context(), 200*time.Millisecond) // the undoing is held up as well
	o.end()
	reachable := startStopwatch()
	var seen time.Duration // when the lock was last there
	for len(undone) == 0 && reachable.passed() < patience {
		asked := reachable.passed()
		if s.left(t, "a") != 0 {
			seen = asked
		}
		time.Sleep(2 * time.Millisecond)
	}
	if seen > time.Second {
		t.Errorf("%s: the lock was still there %v after the server could be reached", name, seen)
	}
	if took := reachable.passed(); took > time.Second+late {
		t.Fatalf("%s: undone only after %v", name, took)
	}
	if err := <-undone; err != nil {
		t.Errorf("%s: not undone: %v", name, err)
	}
	if left := s.left(t, "a"); left != 0 {
		t.Errorf("%s: a lock is left, for %v", name, left)
	}
	mustUnlock(t, lockWithin(t, newLock(t, s.direct, nil), "a", late))
}

// Whatever is lost after the acquisition, of the renewals or of their answers:
// the Context ends before the lock can end on the server.
func TestContextEndsBeforeTheLockOnTheServer(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	onSites(t, func(t *testing.T, s *site) {
		for name, test := range map[string]struct {
			fault    func(p *faultproxy.Proxy)
			renewals uint64 // before that
		}{
			"black hole":   {(*faultproxy.Proxy).BlackHole, 1},
			"answers held": {func(p *faultproxy.Proxy) { p.Delay(0, time.Hour) }, 0},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				isolate(t, newSite(t, s.kind, s.addrs...), ttl, test.renewals, test.fault)
			})
		}
	})
}

// renewedTimes returns a lease that has been renewed. It takes another one where
// that was too late, as the process stood still for so long.
func renewedTimes(t *testing.T, k *Locker, renewals uint64, ttl time.Duration) *Lease {
	t.Helper()
	for range 10 {
		start, before := startStopwatch(), k.Stats().Renewals
		l := mustLock(t, k, "a")
		for l.Context().Err() == nil && k.Stats().Renewals < before+renewals {
			time.Sleep(time.Millisecond)
		}
		if l.Context().Err() == nil {
			return l
		}
		_ = l.Unlock(t.Context())
		if start.stalled() < ttl/10 {
			t.Errorf("it was not renewed, and the process stood still for only %v", start.stalled())
		}
	}
	t.Fatal("it was never renewed")
	return nil
}

// isolate makes the network fail after some renewals.
func isolate(t *testing.T, s *site, ttl time.Duration, renewals uint64, fault func(p *faultproxy.Proxy)) {
	behind, net := s.proxied(t)
	k, other := newLock(t, behind, &Options{TTL: ttl}), newLock(t, s.direct, &Options{TTL: longTTL})
	warm(t, k)
	l := renewedTimes(t, k, renewals, ttl)
	s.left(t, "a") // there is a connection
	net.all(fault)

	var until time.Time // the lock is on the server until then, at least
	for start := startStopwatch(); !isDone(l); time.Sleep(2 * time.Millisecond) {
		asked := time.Now()
		left := s.left(t, "a")
		if left == 0 && l.Context().Err() == nil {
			t.Fatal("the lock has ended on the server, and the Context has not")
		}
		if end := asked.Add(left - time.Millisecond); left > 0 && end.After(until) { // the server may round up
			until = end
		}
		if start.passed() > ttl+late {
			t.Fatal("Done is not closed")
		}
	}
	l.mu.Lock()
	valid := l.until
	l.mu.Unlock()
	switch {
	case until.IsZero():
		t.Log("the process stood still until the lock had ended")
	case !valid.Before(until):
		t.Errorf("the Context ends %v after the lock can", valid.Sub(until))
	}

	// Whatever the old holder does when the network is back: the lock is that
	// of another now.
	next := lockWithin(t, other, "a", ttl+ttl/10+3*late)
	if next.Fence() <= l.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), l.Fence())
	}
	net.pass()
	wantLost(t, l, late)
	if err := k.Close(t.Context()); err != nil { // what is done in the background has ended
		t.Error(err)
	}
	if next.Context().Err() != nil || s.left(t, "a") < longTTL/2 {
		t.Error("the next holder has lost the lock by that")
	}
	mustUnlock(t, next)
}
