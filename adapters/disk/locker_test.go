package disk

import (
	"context"
	"sync"
	"testing"

	"github.com/cairncache/cairn/lock"
)

// Package lock makes locks of Add and the compare methods, which hold between
// Stores that know nothing of each other.
func TestLock(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	held, fence := 0, uint64(0)
	var wg sync.WaitGroup
	for range 4 {
		k, err := lock.New(newStore(t, path, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close(context.Background()) })
		wg.Go(func() {
			for range 5 {
				l, err := k.Lock(context.Background(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				if held++; held != 1 || l.Fence() <= fence {
					t.Errorf("%d hold it; fence %d after %d", held, l.Fence(), fence)
				}
				fence = l.Fence()
				held--
				if err := l.Unlock(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
