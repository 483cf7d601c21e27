package layered

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestDeletesAreHiddenUntilRepeated(t *testing.T) {
	var d deletes
	if d.has("k") {
		t.Error("it has a key that was never deleted")
	}
	unused := func(context.Context) error {
		t.Error("a Delete was repeated")
		return nil
	}
	if err := d.settle(t.Context(), "k", unused); err != nil {
		t.Error(err)
	}
	for range 2 {
		if !d.failed("k") {
			t.Error("it has no room")
		}
	}
	if !d.has("k") || d.has("other") {
		t.Error("a failed Delete is not remembered")
	}
	if err := d.settle(t.Context(), "other", unused); err != nil {
		t.Error(err)
	}
	if err := d.settle(t.Context(), "k", refuse); err != errRefused || !d.has("k") {
		t.Errorf("after a repeat that failed: %v, hidden %v", err, d.has("k"))
	}
	if n, _ := d.pending(); n != 1 {
		t.Errorf("%d are remembered", n)
	}
	if err := d.settle(t.Context(), "k", answer); err != nil || d.has("k") {
		t.Errorf("after a repeat that succeeded: %v, hidden %v", err, d.has("k"))
	}
	d.failed("k")
	d.forget("k")
	d.forget("k")
	if d.has("k") || d.count.Load() != 0 {
		t.Error("a later write does not end it")
	}
}

func TestDeletesAreBounded(t *testing.T) {
	var d deletes
	for i := range 2 * maxDeletes {
		if remembered := d.failed(fmt.Sprint(i)); remembered != (i < maxDeletes) {
			t.Fatalf("key %d: remembered %v", i, remembered)
		}
	}
	if !d.failed("0") {
		t.Error("a key that is remembered already has no room")
	}
	if n, dropped := d.pending(); n != maxDeletes || dropped != maxDeletes {
		t.Errorf("%d are remembered, %d dropped", n, dropped)
	}
	d.forget("0")
	if !d.failed("new") || d.failed("newer") {
		t.Error("the room of one that was forgotten is for one other")
	}
}

func TestOneRepeatAtATime(t *testing.T) {
	for name, result := range map[string]error{"it succeeds": nil, "it fails": errRefused} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d deletes
				d.failed("k")
				var repeats atomic.Int64
				var readers sync.WaitGroup
				for range 20 {
					readers.Go(func() {
						err := d.settle(t.Context(), "k", func(context.Context) error {
							repeats.Add(1)
							time.Sleep(time.Second)
							return result
						})
						if err != result {
							t.Errorf("%v, want %v", err, result)
						}
					})
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				defer cancel()
				if err := d.settle(ctx, "k", answer); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v for a reader who does not wait so long", err)
				}
				d.failed("other")
				if err := d.settle(ctx, "other", answer); err != nil {
					t.Errorf("another key has to wait: %v", err)
				}
				readers.Wait()
				if n := repeats.Load(); n != 1 {
					t.Errorf("%d repeats", n)
				}
			})
		})
	}
}

// A reader who gives up must not fail those who wait for its repeat.
func TestARepeatThatWasCancelledIsMadeByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deletes
		d.failed("k")
		ctx, cancel := context.WithCancel(t.Context())
		go d.settle(ctx, "k", func(ctx context.Context) error {
			<-ctx.Done()
			return &store.Error{Op: "delete", Key: "k", Err: ctx.Err()}
		})
		synctest.Wait()
		time.AfterFunc(time.Second, cancel)
		if err := d.settle(t.Context(), "k", answer); err != nil || d.has("k") {
			t.Errorf("%v, hidden %v", err, d.has("k"))
		}
	})
}

// What happens to the key while its Delete is repeated.
func TestRepeatAndOtherWrites(t *testing.T) {
	t.Run("another Delete fails", func(t *testing.T) {
		var d deletes
		d.failed("k")
		repeats := 0
		err := d.settle(t.Context(), "k", func(context.Context) error {
			if repeats++; repeats == 1 {
				d.failed("k") // of what was stored since this repeat
			}
			return nil
		})
		if err != nil || repeats != 2 || d.has("k") {
			t.Errorf("%v after %d repeats, hidden %v; want the second Delete repeated as well", err, repeats, d.has("k"))
		}
	})
	t.Run("a Set, and another Delete fails", func(t *testing.T) {
		var d deletes
		d.failed("k")
		repeats := 0
		err := d.settle(t.Context(), "k", func(context.Context) error {
			if repeats++; repeats == 1 {
				d.forget("k")
				d.failed("k")
			}
			return nil
		})
		if err != nil || repeats != 2 || d.has("k") {
			t.Errorf("%v after %d repeats, hidden %v; want the second Delete repeated as well", err, repeats, d.has("k"))
		}
	})
	t.Run("a Set", func(t *testing.T) {
		var d deletes
		d.failed("k")
		err := d.settle(t.Context(), "k", func(context.Context) error {
			d.forget("k")
			return errRefused
		})
		if err != errRefused || d.has("k") {
			t.Errorf("%v, hidden %v", err, d.has("k"))
		}
	})
}

func TestBackgroundRepeatsDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, down atomic.Int64
		down.Store(1)
		d := deletes{del: func(_ context.Context, key string) error {
			asked.Add(1)
			if down.Load() > 0 || key == "poisoned" {
				return errRefused
			}
			return nil
		}}
		for i := range 100 {
			d.failed(fmt.Sprint(i))
		}
		time.Sleep(10*retryPeriod + 1)
		if n := asked.Load(); n != 10 {
			t.Errorf("%d repeats in %v while L2 is down, want one for each %v", n, 10*retryPeriod, retryPeriod)
		}
		down.Store(0)
		time.Sleep(retryPeriod)
		if n, _ := d.pending(); n != 0 {
			t.Errorf("%d are still remembered after L2 is back", n)
		}
		synctest.Wait()
		d.mu.Lock()
		if d.stop != nil {
			t.Error("the goroutine stays though there is nothing to do")
		}
		d.mu.Unlock()
		d.failed("poisoned")
		for i := range 100 {
			d.failed(fmt.Sprint(i))
		}
		time.Sleep(100 * retryPeriod)
		if n, _ := d.pending(); n != 1 || !d.has("poisoned") {
			t.Errorf("%d are remembered; want the one that L2 refuses", n)
		}
		d.close()
		n := asked.Load()
		d.failed("late")
		d.close()
		time.Sleep(time.Hour)
		if asked.Load() != n {
			t.Error("Deletes are repeated after close")
		}
	})
}

// close ends a repeat that is under way.
func TestCloseEndsARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deletes{del: func(ctx context.Context, _ string) error { return heed(ctx) }}
		d.failed("k")
		time.Sleep(2 * retryPeriod)
		start := time.Now()
		if d.close(); time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

func TestDeletesConcurrently(t *testing.T) {
	d := deletes{max: 4}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 1000 {
				key := fmt.Sprint((n + i) % 6)
				switch n % 4 {
				case 0:
					d.failed(key)
				case 1:
					d.forget(key)
				case 2:
					d.settle(t.Context(), key, answer)
				default:
					d.settle(t.Context(), key, refuse)
				}
			}
		})
	}
	all.Wait()
	for i := range 6 {
		d.forget(fmt.Sprint(i))
	}
	if n, _ := d.pending(); n != 0 || d.count.Load() != 0 {
		t.Errorf("%d are remembered, %d counted", n, d.count.Load())
	}
}
