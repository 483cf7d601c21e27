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

// unreliable delays, and now and then loses, requests and answers.
func unreliable(ctx context.Context, _, _ string) error {
	switch n := rand.N(40); n {
	case 0:
		return errFault
	case 1:
		<-ctx.Done()
		return ctx.Err()
	default:
		return wait(ctx, time.Duration(n)*100*time.Microsecond)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if !sleep(ctx, d) {
		return ctx.Err()
	}
	return nil
}

// Whatever is lost on the way, and whenever contexts end: no lease begins before
// the Context of the one before it has ended, and its fence is larger. And in
// the end nothing is left.
func TestExclusionOverABadNetwork(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fakes, stores := newServers(t, servers)
				for _, f := range fakes {
					f.faults(unreliable, unreliable)
				}
				var all sync.WaitGroup
				var lockers []*Locker
				var r record
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for range 3 {
					k, err := New(stores[0], &Options{TTL: time.Second})
					if servers > 1 {
						k, err = NewQuorum(stores, &Options{TTL: time.Second})
					}
					if err != nil {
						t.Fatal(err)
					}
					lockers = append(lockers, k)
					for range 10 {
						all.Go(func() {
							for ctx.Err() == nil {
								r.section(t, k)
							}
						})
					}
				}
				all.Wait()
				if r.leases < 20 {
					t.Errorf("only %d leases", r.leases)
				}
				for _, k := range lockers {
					if err := k.Close(context.Background()); err != nil {
						t.Error(err)
					}
					if s := k.Stats(); s.Held != 0 || s.Waiting != 0 || len(k.lines) != 0 {
						t.Errorf("left: %+v, %d lines", s, len(k.lines))
					}
				}
			})
		})
	}
}

// record is what has happened to the lock "a".
type record struct {
	mu     sync.Mutex
	last   *Lease
	leases int
}

// section takes the lock in some way, and holds it for some time.
func (r *record) section(t *testing.T, k *Locker) {
	ctx, cancel := context.WithTimeout(context.Background(), rand.N(3*time.Second))
	defer cancel()
	take := k.Lock
	if rand.N(10) == 0 {
		take = k.TryLock
	}
	l, err := take(ctx, "a")
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrHeld) && !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
		_ = wait(context.Background(), rand.N(100*time.Millisecond))
		return
	}
	r.mu.Lock()
	if r.last != nil && r.last.Context().Err() == nil && l.Context().Err() == nil {
		t.Errorf("two hold it, for %v and %v", r.last.Validity(), l.Validity())
	}
	if r.last != nil && l.Fence() <= r.last.Fence() {
		t.Errorf("fence %d after %d", l.Fence(), r.last.Fence())
	}
	r.last = l
	r.leases++
	r.mu.Unlock()
	_ = wait(l.Context(), rand.N(300*time.Millisecond))
	err = l.Unlock(ctx)
	if l.Context().Err() == nil {
		t.Errorf("its Context has not ended after Unlock (%v)", err)
	}
}
