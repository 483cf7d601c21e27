package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// Several want the lock, and a minority of the servers does not answer. Who has
// got a few does not keep them from the others while it waits for a server that
// has not answered the last time either.
func TestQuorumContended(t *testing.T) {
	for _, servers := range []int{3, 5} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fakes, stores := newServers(t, servers)
				for i, f := range fakes {
					if f.faults(hang, nil); i >= servers/2 {
						f.faults(latency, nil)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				var all sync.WaitGroup
				var mu sync.Mutex
				sections, longest := 0, time.Duration(0)
				for range 4 {
					k := newQuorum(t, nil, stores...)
					all.Go(func() {
						for ctx.Err() == nil {
							start := time.Now()
							l, err := k.Lock(ctx, "a")
							if err != nil {
								if !errors.Is(err, context.DeadlineExceeded) {
									t.Error(err)
								}
								continue
							}
							mu.Lock()
							sections, longest = sections+1, max(longest, time.Since(start))
							mu.Unlock()
							_ = wait(ctx, 10*time.Millisecond)
							mustUnlock(t, l)
							_ = wait(ctx, time.Millisecond)
						}
					})
				}
				all.Wait()
				if sections < 100 || longest > 4*time.Second {
					t.Errorf("%d sections of 10 ms in 5 s, the longest wait %v", sections, longest)
				}
			})
		})
	}
}

// latency is a server that is near.
func latency(ctx context.Context, _, _ string) error {
	return wait(ctx, 200*time.Microsecond+rand.N(600*time.Microsecond))
}

// Most have lost their data: the renewal that learns so has taken the lock anew
// there, for nobody, and gives it back.
func TestQuorumLostIsNotTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 5)
		k := newQuorum(t, &Options{TTL: 9 * time.Second}, stores...)
		l := mustLock(t, k, "a")
		synctest.Wait() // for those who were slower than most
		for _, f := range fakes[:3] {
			f.lose()
		}
		<-l.Context().Done()
		time.Sleep(2 * time.Second)
		if n := holders(fakes); n != 0 {
			t.Errorf("%d hold it for a lease that is lost", n)
		}
		start := time.Now()
		mustUnlock(t, mustLock(t, newQuorum(t, nil, stores...), "a"))
		within(t, "the next holder", time.Since(start), 0, time.Second)
		if err := l.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v, want ErrLost", err)
		}
	})
}

// twin is another Store over the same server.
type twin struct{ *fake }

func (w *twin) Get(ctx context.Context, key string) ([]byte, error) {
	time.Sleep(time.Millisecond)
	return w.fake.Get(ctx, key)
}

// One server given as three never accepts one fence thrice: that is an error,
// and no loop.
func TestQuorumOfOneServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newQuorum(t, nil, &twin{f}, &twin{f}, &twin{f})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := k.TryLock(ctx, "a"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		within(t, "the error", time.Since(start), 0, time.Second)
		if time.Sleep(time.Second); f.holder("a") != "" {
			t.Error("it is still held")
		}
	})
}
