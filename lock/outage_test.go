package lock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// A server that is down is not asked by every undo that waits for it, and does
// not hold up those of other servers. When it is back, all is undone.
func TestUndosOfAServerThatIsDownAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes, stores := newServers(t, 3)
		k := newQuorum(t, nil, stores...)
		down := fakes[2]
		down.faults(nil, refuse) // it takes and frees locks, and nobody hears of it
		const locks = 500
		for range locks {
			mustUnlock(t, mustLock(t, k, "a"))
			time.Sleep(2 * time.Millisecond)
		}
		n := down.calls("unlock")
		if n > 2*locks+200 { // with each lock one for Unlock, and one for its undo
			t.Errorf("%d calls of Unlock for %d locks", n, locks)
		}
		time.Sleep(time.Second)
		if n := down.calls("unlock") - n; n > 100 {
			t.Errorf("%d calls of Unlock in a second in which nobody locks", n)
		}

		l := mustLock(t, k, "b")
		synctest.Wait()
		tries := 0
		fakes[0].faults(only("unlock", func(context.Context, string, string) error {
			if tries++; tries <= 2 { // Unlock, and the first try to undo it
				return errFault
			}
			return nil
		}), nil)
		if err := l.Unlock(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Unlock: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
		if fakes[0].holder("b") != "" {
			t.Error("a server that is up has to wait for the one that is down")
		}
		down.faults(nil, nil)
		start := time.Now()
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
		within(t, "Close", time.Since(start), 0, 10*time.Second)
		for _, name := range []string{"a", "b"} {
			if down.holder(name) != "" {
				t.Errorf("%q is left", name)
			}
		}
	})
}

// Unlock has freed the lock, and its answer does not come. Who waits here asks
// himself at the end of the lease, at the latest.
func TestWaiterBehindAnUnlockThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, &Options{TTL: time.Second})
		l := mustLock(t, k, "a")
		f.faults(nil, only("unlock", once(hang)))
		start := time.Now()
		unlocked := make(chan error, 1)
		go func() { unlocked <- l.Unlock(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		next, err := k.Lock(ctx, "a")
		if err != nil {
			t.Fatalf("the lock was free all the time: %v", err)
		}
		within(t, "the lock", time.Since(start), 0, time.Second)
		if err := <-unlocked; !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrLost) {
			t.Errorf("Unlock: %v", err)
		}
		mustUnlock(t, next)
	})
}
