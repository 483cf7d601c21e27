package memo_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// batchFleet is two processes with FillMany. Each value is the number of the
// call that has put it.
func onBatchFleet(t *testing.T, test func(t *testing.T, s *fleetStore, a, b *memo.Func[int, int], calls *batchCalls)) {
	t.Helper()
	for name, watched := range map[string]bool{"watched": true, "unwatched": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFleetStore(watched)
				calls := new(batchCalls)
				one := func() *memo.Func[int, int] {
					return wrapFill(t, s, memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour}}, calls.fill)
				}
				test(t, s, one(), one(), calls)
			})
		})
	}
}

type batchCalls struct {
	n    atomic.Int64
	mu   sync.Mutex
	keys [][]int
	fail atomic.Bool
}

func (c *batchCalls) fill(_ context.Context, ks []int, put func(int, int)) error {
	n := int(c.n.Add(1))
	c.mu.Lock()
	c.keys = append(c.keys, slices.Clone(ks))
	c.mu.Unlock()
	time.Sleep(time.Second)
	if c.fail.Load() {
		panic("boom")
	}
	for _, k := range ks {
		put(k, n)
	}
	return nil
}

func getMany(t *testing.T, f *memo.Func[int, int], want ...int) {
	t.Helper()
	ks := make([]int, len(want))
	for i := range ks {
		ks[i] = i + 1
	}
	results, err := f.GetMany(t.Context(), ks)
	if err != nil {
		t.Error(err)
	}
	for i, r := range results {
		if r.Value != want[i] {
			t.Errorf("%d: got %+v, want %d", ks[i], r, want[i])
		}
	}
}

// What was loaded before another process has deleted it is not stored, and the
// rest of the batch is.
func TestFleetBatchInvalidated(t *testing.T) {
	onBatchFleet(t, func(t *testing.T, _ *fleetStore, a, b *memo.Func[int, int], _ *batchCalls) {
		time.AfterFunc(time.Second/2, func() {
			if err := b.Delete(context.Background(), 2); err != nil {
				t.Error(err)
			}
		})
		getMany(t, a, 1, 1, 1)
		if n := a.Stats().Voided; n != 1 {
			t.Errorf("%d were voided", n)
		}
		getMany(t, b, 1, 2, 1)
		getMany(t, a, 1, 2, 1)
	})
}

// A batch that finds a key being loaded by another process does not wait for
// it, and leaves it to that to store it.
func TestFleetBatchesOverlap(t *testing.T) {
	onBatchFleet(t, func(t *testing.T, s *fleetStore, a, b *memo.Func[int, int], _ *batchCalls) {
		var both sync.WaitGroup
		both.Go(func() { getMany(t, a, 1, 1) })
		synctest.Wait()
		start := time.Now()
		both.Go(func() { getMany(t, b, 2, 2, 2) })
		both.Wait()
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		getMany(t, a, 1, 1, 2)
		if n := s.filled.Load(); n != 3 {
			t.Errorf("%d fills, want 3", n)
		}
	})
}

// However a batch ends, nobody waits for its leases.
func TestFleetBatchFails(t *testing.T) {
	onBatchFleet(t, func(t *testing.T, s *fleetStore, a, b *memo.Func[int, int], calls *batchCalls) {
		calls.fail.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = a.GetMany(t.Context(), []int{1, 2, 3})
		}()
		for _, k := range []int{1, 2, 3} {
			key, _ := b.Key(k)
			if l, err := s.GetOrLease(t.Context(), key, "other", time.Second, nil); err != nil || l.Lease != store.LeaseGranted {
				t.Errorf("%d: %v, %v", k, l, err)
			}
		}
	})
}

// What is voided in this process gives up its lease, too.
func TestFleetBatchVoided(t *testing.T) {
	onBatchFleet(t, func(t *testing.T, s *fleetStore, a, _ *memo.Func[int, int], _ *batchCalls) {
		time.AfterFunc(time.Second/2, func() {
			if err := a.Expire(context.Background(), 2); err != nil { // which ends no lease, as there is no entry
				t.Error(err)
			}
		})
		getMany(t, a, 1, 1, 1)
		key, _ := a.Key(2)
		if l, err := s.GetOrLease(t.Context(), key, "other", time.Second, nil); err != nil || l.Lease != store.LeaseGranted {
			t.Errorf("%v, %v", l, err)
		}
	})
}
