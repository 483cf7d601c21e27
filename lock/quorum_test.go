package lock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func newQuorum(t testing.TB, o *Options, stores ...store.Store) *Locker {
	t.Helper()
	k, err := NewQuorum(stores, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func newServers(t testing.TB, n int) (fakes []*fake, stores []store.Store) {
	for range n {
		f := newFake(t)
		fakes, stores = append(fakes, f), append(stores, f)
	}
	return fakes, stores
}

func holders(fakes []*fake) (n int) {
	for _, f := range fakes {
		if f.holder("a") != "" {
			n++
		}
	}
	return n
}

func TestNewQuorum(t *testing.T) {
	f, g, h := newFake(t), newFake(t), newFake(t)
	for name, bad := range map[string]struct {
		stores []store.Store
		o      *Options
		want   error
	}{
		"none":      {nil, nil, store.ErrInvalid},
		"two":       {[]store.Store{f, g}, nil, store.ErrInvalid},
		"nil":       {[]store.Store{f, g, nil}, nil, store.ErrInvalid},
		"the same":  {[]store.Store{f, g, f}, nil, store.ErrInvalid},
		"no locks":  {[]store.Store{f, g, unwatchedBare{h}}, nil, errors.ErrUnsupported},
		"no fence":  {[]store.Store{f, g, unwatched{h}}, nil, errors.ErrUnsupported},
		"short TTL": {[]store.Store{f, g, h}, &Options{TTL: 499 * time.Millisecond}, store.ErrInvalid},
		"negative":  {[]store.Store{f, g, h}, &Options{TTL: -1}, store.ErrInvalid},
	} {
		if _, err := NewQuorum(bad.stores, bad.o); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v, want %v", name, err, bad.want)
		}
	}
}

type unwatchedBare struct{ store.Store }

func TestQuorum(t *testing.T) {
	for _, faults := range []struct {
		name     string
		down     []func(context.Context, string, string) error // of the last ones
		slowest  time.Duration
		acquired bool
	}{
		{name: "all are up", acquired: true},
		{name: "two are down", down: []func(context.Context, string, string) error{refuse, refuse}, acquired: true},
		{name: "one is down, one a black hole", down: []func(context.Context, string, string) error{refuse, hang}, acquired: true},
		{name: "two are black holes", down: []func(context.Context, string, string) error{hang, hang}, acquired: true},
		{name: "two are down, one a black hole", down: []func(context.Context, string, string) error{refuse, refuse, hang}, slowest: 500 * time.Millisecond},
		{name: "three are down", down: []func(context.Context, string, string) error{refuse, refuse, refuse}},
	} {
		t.Run(faults.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fakes, stores := newServers(t, 5)
				k := newQuorum(t, nil, stores...)
				for i, fault := range faults.down {
					fakes[4-i].faults(fault, nil)
				}
				start := time.Now()
				l, err := k.TryLock(t.Context(), "a")
				within(t, "the answer", time.Since(start), 0, faults.slowest)
				if !faults.acquired {
					if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errFault) {
						t.Errorf("got %v", err)
					}
					synctest.Wait()
					if n := holders(fakes); n != 0 {
						t.Errorf("%d still hold it", n)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Second)
				if n := holders(fakes); n != 5-len(faults.down) || l.Context().Err() != nil {
					t.Errorf("%d hold it, %v", n, context.Cause(l.Context()))
				}
				start = time.Now()
				mustUnlock(t, l)
				within(t, "Unlock", time.Since(start), 0, 0)
				synctest.Wait()
				if n := holders(fakes); n != 0 {
					t.Errorf("%d still hold it", n)
				}
			})
		})
	}
}

// Who was missing is asked again, so that the failure of another is survived.
func TestQuorumAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		k := newQuorum(t, &Options{TTL: 3 * time.Second}, stores...)
		fakes[0].faults(refuse, nil)
		l := mustLock(t, k, "a")
		time.Sleep(500 * time.Millisecond)
		fakes[0].faults(nil, nil)
		time.Sleep(time.Second)
		if holders(fakes) != 3 {
			t.Errorf("%d hold it", holders(fakes))
		}
		time.Sleep(time.Second) // it counts from the next renewal on
		fakes[1].faults(refuse, nil)
		fakes[1].lose()
		time.Sleep(10 * time.Second)
		if l.Context().Err() != nil || holders(fakes) != 2 {
			t.Errorf("%d hold it, %v", holders(fakes), context.Cause(l.Context()))
		}
		mustUnlock(t, l)
	})
}

// Most have lost their data: somebody else may have held the lock there, so the
// lease is lost, although it could be had again.
func TestQuorumLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		k := newQuorum(t, &Options{TTL: 3 * time.Second}, stores...)
		l := mustLock(t, k, "a")
		fakes[0].lose()
		time.Sleep(1500 * time.Millisecond)
		if l.Context().Err() != nil {
			t.Errorf("the loss of one: %v", context.Cause(l.Context()))
		}
		fakes[1].lose()
		fakes[2].lose()
		start := time.Now()
		<-l.Context().Done()
		within(t, "the end", time.Since(start), 0, time.Second)
		if err := l.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v", err)
		}
		start = time.Now()
		next := mustLock(t, k, "a")
		within(t, "the next holder", time.Since(start), 0, 200*time.Millisecond)
		if next.Fence() <= l.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), l.Fence())
		}
		mustUnlock(t, next)
	})
}

// The clocks of the servers differ by hours, and different ones are down each
// time: the fence grows all the same.
func TestQuorumFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		fakes[1].clock, fakes[2].clock = -time.Hour, time.Hour
		k := newQuorum(t, nil, stores...)
		last := uint64(0)
		for i := range 30 {
			down := fakes[i*7/3%3]
			down.faults(refuse, nil)
			l := mustLock(t, k, "a")
			if l.Fence() <= last {
				t.Fatalf("fence %d after %d", l.Fence(), last)
			}
			last = l.Fence()
			mustUnlock(t, l)
			down.faults(nil, nil)
		}
	})
}

// Nobody has most: all give back what they have got.
func TestQuorumSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		for i, other := range []string{"b", "c"} {
			if _, err := fakes[i].TryLock(t.Context(), "a", other, 5*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		k := newQuorum(t, nil, stores...)
		_, err := k.TryLock(t.Context(), "a")
		var held *HeldError
		if !errors.As(err, &held) || held.RetryAfter > 5*time.Second {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if fakes[2].holder("a") != "" {
			t.Error("it is not given back")
		}
		// All three are asked at once, by five.
		var all sync.WaitGroup
		start := time.Now()
		for range 5 {
			k := newQuorum(t, nil, stores...)
			all.Go(func() { mustUnlock(t, mustLock(t, k, "a")) })
		}
		all.Wait()
		within(t, "all", time.Since(start), 5*time.Second, 8*time.Second)
	})
}

// Another has it, on most or on all.
func TestQuorumHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 5)
		for i, ttl := range []time.Duration{3, 1, 2, 5, 4} {
			if _, err := fakes[i].TryLock(t.Context(), "a", "other", ttl*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		k := newQuorum(t, nil, stores...)
		_, err := k.TryLock(t.Context(), "a")
		var held *HeldError
		if !errors.As(err, &held) || !slices.Contains([]time.Duration{3 * time.Second, 4 * time.Second, 5 * time.Second}, held.RetryAfter) { // of the three that were the first to refuse
			t.Errorf("got %v", err)
		}
		l := mustLock(t, k, "a")
		other := newQuorum(t, nil, stores...)
		time.AfterFunc(10*time.Millisecond, func() { mustUnlock(t, l) })
		start := time.Now()
		mustUnlock(t, mustLock(t, other, "a"))
		within(t, "the lock", time.Since(start), 15*time.Millisecond, 300*time.Millisecond)
	})
}

func TestQuorumContextEndsInMidAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		k := newQuorum(t, &Options{TTL: time.Minute}, stores...)
		var resume []func()
		for _, f := range fakes[:2] {
			resume = append(resume, f.pause())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := k.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		for _, f := range resume {
			f()
		}
		time.Sleep(1100 * time.Millisecond)
		if n := holders(fakes); n != 0 {
			t.Errorf("%d hold it", n)
		}
	})
}

// The fence has to be known to most, or the lock is not acquired.
func TestQuorumFenceIsNotAgreedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		k := newQuorum(t, nil, stores...)
		for i := range 2 { // their entries fail, their locks do not
			if err := fakes[i].Close(); err != nil {
				t.Fatal(err)
			}
			l, err := k.TryLock(t.Context(), "a")
			if i == 0 {
				if err != nil {
					t.Fatal(err)
				}
				mustUnlock(t, l)
			} else if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		time.Sleep(1100 * time.Millisecond) // an undo that may have overtaken its request looks again
		if n := holders(fakes); n != 0 {
			t.Errorf("%d still hold it", n)
		}
	})
}

// What has been granted without an answer, or could not be unlocked, is undone.
func TestQuorumUndoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 5)
		k := newQuorum(t, nil, stores...)
		for _, f := range fakes[:3] {
			f.faults(nil, only("trylock", refuse))
		}
		if _, err := k.TryLock(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if n := holders(fakes); n != 0 {
			t.Errorf("%d still hold it", n)
		}
		for _, f := range fakes[:3] {
			f.faults(nil, nil)
		}
		l := mustLock(t, k, "a")
		synctest.Wait() // for those who were slower than most
		fakes[0].faults(refuse, nil)
		fakes[1].faults(hang, nil)
		mustUnlock(t, l)
		time.Sleep(3 * time.Second)
		fakes[0].faults(nil, nil)
		fakes[1].faults(nil, nil)
		time.Sleep(2 * time.Second)
		if n := holders(fakes); n != 0 {
			t.Errorf("%d still hold it", n)
		}
	})
}

// One who has got a few, and nobody most, soon tries again.
func TestQuorumTriesAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		if _, err := fakes[0].TryLock(t.Context(), "a", "other", 5*time.Second); err != nil {
			t.Fatal(err)
		}
		fakes[1].faults(refuse, nil)
		_, err := newQuorum(t, nil, stores...).TryLock(t.Context(), "a")
		var held *HeldError
		if !errors.As(err, &held) || held.RetryAfter > 150*time.Millisecond {
			t.Errorf("got %v", err)
		}
	})
}
