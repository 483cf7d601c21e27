package memo_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// TestFleetOverRedis is the whole of it, over a server: one load for all, and
// nothing stored that another process has deleted meanwhile.
func TestFleetOverRedis(t *testing.T) {
	url := fmt.Sprintf("redis://%s/0?timeout=10s&prefix=t%d:", testservers.Redis(t).Addr, prefixes.Add(1))
	const load = 300 * time.Millisecond
	var loads atomic.Int64
	process := func() *memo.Func[int, int64] {
		return wrap(t, newMemo(t, open(t, url), nil), "f", func(context.Context, int) (int64, error) {
			n := loads.Add(1)
			time.Sleep(load)
			return n, nil
		}, &memo.FuncOptions[int, int64]{Policy: memo.Policy{TTL: time.Hour}})
	}
	a, b := process(), process()
	get(t, a, 0)
	get(t, b, 0)
	loads.Store(0)

	var all sync.WaitGroup
	for range 50 {
		for _, f := range []*memo.Func[int, int64]{a, b} {
			all.Go(func() {
				if v := get(t, f, 1); v != 1 {
					t.Errorf("got %d, want 1", v)
				}
			})
		}
	}
	all.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}

	all.Go(func() {
		if v := get(t, a, 2); v != 2 {
			t.Errorf("during: got %d, want 2", v)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); loads.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not loaded")
		}
	}
	if err := b.Delete(t.Context(), 2); err != nil {
		t.Error(err)
	}
	all.Wait()
	if _, err := b.Meta(t.Context(), 2); err != store.ErrNotFound {
		t.Errorf("deleted while loading: %v", err)
	}
	if v := get(t, b, 2); v != 3 {
		t.Errorf("after it: got %d, want 3", v)
	}
	if n := a.Stats().Voided; n != 1 {
		t.Errorf("%d loads were voided, want 1", n)
	}

	if err := a.Update(t.Context(), 2, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if v := get(t, b, 2); v != 4 {
		t.Errorf("after Update: got %d, want 4", v)
	}
}
