package lock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// An answer that is lost leaves no lock behind that blocks the name.
func TestUnknownOutcomeIsUndone(t *testing.T) {
	for name, fault := range map[string]func(context.Context, string, string) error{"error": refuse, "no answer": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				var undone []UndoneInfo
				k := newLock(t, f, &Options{Trace: &Trace{Undone: func(_ context.Context, i UndoneInfo) { undone = append(undone, i) }}})
				f.faults(nil, only("trylock", once(fault)))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := k.Lock(ctx, "a"); err == nil {
					t.Error("got the lock")
				}
				synctest.Wait()
				if f.holder("a") != "" || f.calls("unlock") != 1 {
					t.Errorf("held by %q after %d tries", f.holder("a"), f.calls("unlock"))
				}
				if len(undone) != 1 || undone[0] != (UndoneInfo{Name: "a"}) {
					t.Errorf("told %v", undone)
				}
			})
		})
	}
}

// Whenever the context ends, no lock is left within a second of the server's
// return, also if the request is done only then, after its undo.
func TestContextEndsInMidAcquire(t *testing.T) {
	for outage := 50 * time.Millisecond; outage < 10*time.Second; outage = outage * 5 / 4 {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			k := newLock(t, f, &Options{TTL: time.Minute})
			resume := f.pause()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			if _, err := k.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			within(t, "the error", time.Since(start), 100*time.Millisecond, 100*time.Millisecond)
			time.Sleep(outage)
			resume()
			time.Sleep(time.Second)
			if f.holder("a") != "" {
				t.Errorf("after an outage of %v, a lock is left that nobody holds", outage)
			}
		})
	}
}

func TestUndoIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		f.faults(only("unlock", refuse), only("trylock", refuse))
		if _, err := k.Lock(t.Context(), "a"); err == nil {
			t.Fatal("got the lock")
		}
		time.Sleep(5 * time.Second)
		f.faults(nil, nil)
		time.Sleep(time.Second)
		if f.holder("a") != "" {
			t.Error("a lock is left that nobody holds")
		}
	})
}

// It ends with the ttl, at the latest.
func TestUndoIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var undone []UndoneInfo
		k := newLock(t, f, &Options{Trace: &Trace{Undone: func(_ context.Context, i UndoneInfo) { undone = append(undone, i) }}})
		f.faults(refuse, nil)
		if _, err := k.Lock(t.Context(), "a"); err == nil {
			t.Fatal("got the lock")
		}
		start := time.Now()
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
		within(t, "Close", time.Since(start), 9*time.Second, 10*time.Second)
		if len(undone) != 1 || undone[0].Err == nil {
			t.Errorf("told %v", undone)
		}
		if n := f.calls("unlock"); n > 60 {
			t.Errorf("%d tries", n)
		}
	})
}

// What has not been sent is not undone.
func TestNothingToUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		for _, err := range []error{store.ErrInvalid, store.ErrClosed} {
			f.faults(nil, func(context.Context, string, string) error { return err })
			if _, got := k.TryLock(t.Context(), "a"); !errors.Is(got, err) {
				t.Errorf("got %v, want %v", got, err)
			}
		}
		time.Sleep(time.Minute)
		if f.calls("unlock") != 0 {
			t.Errorf("%d tries", f.calls("unlock"))
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, &Options{TTL: 3 * time.Second})
		held := mustLock(t, k, "held")
		theirs, err := f.TryLock(t.Context(), "theirs", "other", time.Hour)
		if err != nil || !theirs.Acquired {
			t.Fatal(err)
		}
		waiting := make(chan error)
		for _, name := range []string{"held", "held", "theirs", "theirs"} {
			go func() { _, err := k.Lock(t.Context(), name); waiting <- err }()
		}
		synctest.Wait()
		f.faults(only("trylock", func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }), nil)
		go func() { _, err := k.Lock(t.Context(), "hangs"); waiting <- err }()
		synctest.Wait()
		done := make(chan error)
		start := time.Now()
		go func() { done <- k.Close(t.Context()) }()
		for range 5 {
			if err := <-waiting; !errors.Is(err, store.ErrClosed) {
				t.Errorf("who waits got %v", err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		within(t, "Close", time.Since(start), 0, time.Second)
		if err := k.Close(t.Context()); err != nil {
			t.Errorf("Close again: %v", err)
		}
		if _, err := k.Lock(t.Context(), "a"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Lock: %v", err)
		}
		if _, err := k.TryLock(t.Context(), "a"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("TryLock: %v", err)
		}
		// The lease is valid, and not renewed.
		if held.Context().Err() != nil || held.Validity() < 2400*time.Millisecond {
			t.Errorf("valid for %v, %v", held.Validity(), context.Cause(held.Context()))
		}
		<-held.Context().Done()
		if f.calls("extendlock") != 0 {
			t.Error("renewed after Close")
		}
		if err := held.Unlock(t.Context()); err != ErrLost {
			t.Errorf("Unlock: %v", err)
		}
	})
}

func TestUnlockAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, k := range []*Locker{newLock(t, newFake(t), nil), newQuorum(t, nil, newFake(t), newFake(t), newFake(t))} {
			l := mustLock(t, k, "a")
			if err := k.Close(t.Context()); err != nil {
				t.Error(err)
			}
			mustUnlock(t, l)
		}
		f := newFake(t)
		k := newLock(t, f, nil)
		l := mustLock(t, k, "a")
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
		f.faults(refuse, nil)
		if err := l.Unlock(t.Context()); !errors.Is(err, errFault) {
			t.Errorf("Unlock: %v", err)
		}
		synctest.Wait()
		if n := f.calls("unlock"); n != 1 {
			t.Errorf("%d tries", n)
		}
	})
}

func TestCloseIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		f.faults(refuse, nil)
		if _, err := k.Lock(t.Context(), "a"); err == nil {
			t.Fatal("got the lock")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := k.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		within(t, "Close", time.Since(start), time.Second, time.Second)
		synctest.Wait()
		n := f.calls("unlock")
		time.Sleep(time.Minute)
		if f.calls("unlock") != n {
			t.Error("it goes on")
		}
		var none context.Context
		if err := k.Close(none); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Close(nil): %v", err)
		}
	})
}

func TestCloseEndsARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		l := mustLock(t, k, "a")
		f.faults(only("extendlock", hang), nil)
		time.Sleep(4 * time.Second)
		start := time.Now()
		if err := k.Close(t.Context()); err != nil || f.calls("extendlock") != 1 {
			t.Errorf("%v, renewed %d times", err, f.calls("extendlock"))
		}
		within(t, "Close", time.Since(start), 0, 0)
		if s := k.Stats(); s.RenewalErrors != 0 {
			t.Errorf("%+v", s)
		}
		mustUnlock(t, l)
	})
}
