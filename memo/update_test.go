package memo_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// What is loaded while a commit is under way is given to those who wait, and
// stored nowhere, in whichever process.
func TestUpdate(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Hour}, lasting(2*time.Second), func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		var before <-chan answered
		if f.watched() { // else b cannot know at once that those who come later are not to join
			before = begin(f.b, f.b.Refresh)
		}
		time.Sleep(time.Second)
		n := f.loads.Load()
		var during [2]<-chan answered
		err := f.a.Update(t.Context(), 7, func(ctx context.Context) error {
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != 9*time.Second {
				t.Errorf("the deadline is %v", d)
			}
			during = [2]<-chan answered{begin(f.a, f.a.Get), begin(f.b, f.b.Get)}
			time.Sleep(3 * time.Second)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if before != nil {
			f.want(t, "before", before, 2, 2*time.Second)
		}
		for i, c := range during {
			if got := <-c; got.err != nil || got.value != n+1 && got.value != n+2 || got.after != 2*time.Second {
				t.Errorf("during %d: %+v", i, got)
			}
		}
		f.want(t, "b, after it", begin(f.b, f.b.Get), n+3, 2*time.Second)
		f.want(t, "a, after it", begin(f.a, f.a.Get), n+3, 0)
	})
}

func TestUpdateFails(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Hour}, lasting(0), func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		failed := errors.New("failed")
		if err := f.a.Update(t.Context(), 7, func(context.Context) error { return failed }); err != failed {
			t.Errorf("got %v", err)
		}
		if n := f.a.Stats().StoreErrors; n != 0 {
			t.Errorf("%d errors of the store", n)
		}
		f.want(t, "b", begin(f.b, f.b.Get), 2, 0)
		if err := f.a.Update(t.Context(), 7, nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("without commit: %v", err)
		}
	})
}

func TestUpdateWithoutLeases(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (int, error) { return 1, nil }, nil)
		err := f.Update(t.Context(), 7, func(context.Context) error {
			t.Error("called")
			return nil
		})
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v", err)
		}
	})
}

// A process that dies in a commit leaves no old value, and others store again
// when its time is over.
func TestUpdateDies(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Hour}, lasting(0), func(t *testing.T, f *fleet) {
		get(t, f.a, 7)
		died, die := context.WithCancel(context.Background())
		defer die()
		go func() {
			_ = f.a.Update(context.Background(), 7, func(context.Context) error {
				<-died.Done()
				return nil
			})
		}()
		synctest.Wait()
		f.want(t, "b", begin(f.b, f.b.Get), 2, 0)
		f.want(t, "b again", begin(f.b, f.b.Get), 3, 0)
		time.Sleep(10 * time.Second)
		f.want(t, "b, later", begin(f.b, f.b.Get), 4, 0)
		f.want(t, "b, later again", begin(f.b, f.b.Get), 4, 0)
	})
}
