package lock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, "value"), time.Minute)
		defer cancel()
		failure := errors.New("failure")
		var inner context.Context
		deadline, _ := ctx.Deadline()
		err := Do(ctx, k, "a", func(ctx context.Context, fence uint64) error {
			inner = ctx
			if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) {
				t.Errorf("deadline %v, want %v", got, deadline)
			}
			if ctx.Value(valueKey{}) != "value" || ctx.Err() != nil || fence == 0 || f.holder("a") == "" {
				t.Errorf("%v, %v, fence %d", ctx.Value(valueKey{}), ctx.Err(), fence)
			}
			return failure
		})
		if err != failure || f.holder("a") != "" || inner.Err() == nil {
			t.Errorf("got %v, held by %q, %v", err, f.holder("a"), inner.Err())
		}
	})
}

// The context of fn ends with the caller's, and the lock is freed all the same.
func TestDoEndsWithTheCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		cause := errors.New("cause")
		for name, end := range map[string]struct {
			err, cause error
			ctx        func() context.Context
		}{
			"cancelled": {context.Canceled, cause, func() context.Context {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				return ctx
			}},
			"deadline": {context.DeadlineExceeded, context.DeadlineExceeded, func() context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				time.AfterFunc(time.Minute, cancel)
				return ctx
			}},
		} {
			start := time.Now()
			err := Do(end.ctx(), k, "a", func(ctx context.Context, _ uint64) error {
				<-ctx.Done()
				if context.Cause(ctx) != end.cause {
					t.Errorf("%s: cause %v", name, context.Cause(ctx))
				}
				return ctx.Err()
			})
			if err != end.err || f.holder("a") != "" || time.Since(start) != time.Second {
				t.Errorf("%s: %v after %v, held by %q", name, err, time.Since(start), f.holder("a"))
			}
		}
	})
}

func TestDoLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		failure := errors.New("failure")
		for _, fails := range []error{nil, failure} {
			err := Do(t.Context(), k, "a", func(ctx context.Context, _ uint64) error {
				f.lose()
				<-ctx.Done()
				if context.Cause(ctx) != ErrLost {
					t.Errorf("cause %v", context.Cause(ctx))
				}
				return fails
			})
			if !errors.Is(err, ErrLost) || fails != nil && !errors.Is(err, fails) {
				t.Errorf("got %v", err)
			}
		}
		// It is lost, and nobody has noticed before Unlock.
		err := Do(t.Context(), k, "a", func(context.Context, uint64) error { f.lose(); return nil })
		if !errors.Is(err, ErrLost) {
			t.Errorf("got %v", err)
		}
		// It is said once, also if fn says it too.
		err = Do(t.Context(), k, "a", func(ctx context.Context, _ uint64) error { f.lose(); <-ctx.Done(); return context.Cause(ctx) })
		if err != ErrLost {
			t.Errorf("got %v", err)
		}
	})
}

func TestDoUnlocksAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		func() {
			defer func() {
				if r := recover(); r != "panic" {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = Do(t.Context(), k, "a", func(context.Context, uint64) error { panic("panic") })
		}()
		if f.holder("a") != "" {
			t.Error("it is still held")
		}
	})
}

// A lock that cannot be freed is no error, and holds the caller up for a second.
func TestDoCannotUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		start := time.Now()
		if err := Do(t.Context(), k, "a", func(context.Context, uint64) error { f.faults(hang, nil); return nil }); err != nil {
			t.Error(err)
		}
		within(t, "Do", time.Since(start), time.Second, time.Second)
		f.faults(nil, nil)
		time.Sleep(2 * time.Second)
		if f.holder("a") != "" {
			t.Error("it is still held")
		}
	})
}

func TestAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		ctx, cancel := context.WithCancel(t.Context())
		release, err := k.Acquire(ctx, "a")
		if err != nil || f.holder("a") == "" {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(time.Minute)
		if f.holder("a") == "" {
			t.Error("it is not held any more")
		}
		for range 2 {
			release()
			if f.holder("a") != "" {
				t.Error("it is still held")
			}
		}
	})
}

func TestTraceAndStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var acquired []AcquiredInfo
		var released []ReleasedInfo
		k := newLock(t, f, &Options{Trace: &Trace{
			Acquired: func(ctx context.Context, i AcquiredInfo) {
				acquired = append(acquired, i)
				if ctx.Value(valueKey{}) != "value" {
					t.Error("the values of the context are not there")
				}
				panic("dropped")
			},
			Released: func(_ context.Context, i ReleasedInfo) { released = append(released, i) },
		}})
		if _, err := f.TryLock(t.Context(), "a", "other", 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		l, err := k.Lock(context.WithValue(t.Context(), valueKey{}, "value"), "a")
		if err != nil {
			t.Fatal(err)
		}
		s := k.Stats()
		waited := s.WaitTime
		within(t, "the lock", waited, 500*time.Millisecond, 600*time.Millisecond)
		if s != (Stats{Acquired: 1, Refused: 2, Held: 1, WaitTime: waited}) {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		mustUnlock(t, l)
		if len(acquired) != 1 || acquired[0] != (AcquiredInfo{"a", l.Fence(), waited}) {
			t.Errorf("told %v", acquired)
		}
		if len(released) != 1 || released[0] != (ReleasedInfo{"a", time.Second}) {
			t.Errorf("told %v", released)
		}
		if s := k.Stats(); s.Held != 0 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDoWithoutWhatItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		k := newLock(t, f, nil)
		run := func(context.Context, uint64) error { return nil }
		for name, err := range map[string]error{
			"no function": Do(t.Context(), k, "a", nil),
			"no Locker":   Do(t.Context(), nil, "a", run),
		} {
			if !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		if f.holder("a") != "" {
			t.Error("the lock was taken")
		}
	})
}
