package memo_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// What is known about loads that failed does not grow for ever, and no pause is
// forgotten before its time.
func TestPausesOfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 3000
		var calls atomic.Int64
		var down atomic.Bool
		f := wrap(t, newMemo(t, newLiveStore(), nil), "f", func(_ context.Context, k int) (int, error) {
			calls.Add(1)
			if down.Load() {
				return 0, errOrigin
			}
			return k, nil
		}, policy(memo.Policy{TTL: time.Second, Stale: time.Hour, Retry: time.Minute}))
		for k := range keys {
			get(t, f, k)
		}
		time.Sleep(time.Second)
		down.Store(true)
		calls.Store(0)
		for range 3 {
			for k := range keys {
				get(t, f, k)
				synctest.Wait()
			}
		}
		if n := calls.Load(); n != keys {
			t.Errorf("%d loads of %d keys in their pauses, want one each", n, keys)
		}
		for round := range 3 { // those whose pause is over make room
			time.Sleep(time.Hour / 10)
			calls.Store(0)
			for k := range keys {
				get(t, f, k)
				synctest.Wait()
				get(t, f, k)
			}
			if n := calls.Load(); n != keys {
				t.Errorf("round %d: %d loads of %d keys", round, n, keys)
			}
		}
	})
}

// Nobody is held up by loads that fail, and they are not made for each call.
func TestPausesGrow(t *testing.T) {
	for _, took := range []time.Duration{0, 10 * time.Second} {
		for _, soft := range []time.Duration{0, time.Second, memo.Off} {
			if soft == memo.Off && took > 0 {
				continue // callers wait, so there is no asking every second
			}
			onEachStore(t, func(t *testing.T, s store.Store) {
				var o origin
				f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{
					TTL: time.Minute, Stale: 10 * time.Minute, Retry: 3 * time.Second, SoftTimeout: soft,
				}))
				get(t, f, 7)
				time.Sleep(time.Minute)
				o.takes(took)
				o.fails(errOrigin)
				start := time.Now()
				failures := func() (n int) { // that have ended
					for _, began := range o.called()[1:] {
						if time.Since(began) >= took {
							n++
						}
					}
					return n
				}
				for time.Since(start) < 9*time.Minute {
					synctest.Wait()
					asked, before := time.Now(), failures()
					r, err := f.Lookup(t.Context(), 7)
					if r.Value != 1 || r.Source != memo.SourceStale || r.TTL != 0 || err != nil {
						t.Fatalf("got %+v, %v", r, err)
					}
					if r.Err == nil && before > 0 || r.Err != nil && (failures() == 0 || !errors.Is(r.Err, errOrigin)) {
						t.Errorf("after %d failures Err is %v", before, r.Err)
					}
					synctest.Wait()
					waited := time.Since(asked)
					if waited > 0 && (soft == 0 || waited != time.Second || before == len(o.called())-1) {
						t.Errorf("waited %v although there is no load", waited)
					}
					time.Sleep(time.Second - waited)
				}
				var pauses []time.Duration
				calls := o.called()
				for i := 2; i < len(calls); i++ {
					pauses = append(pauses, calls[i].Sub(calls[i-1])-took)
				}
				want := []time.Duration{3, 6, 12, 24, 48, 96, 96, 96, 96}
				for i, pause := range pauses {
					if pause != want[min(i, 8)]*time.Second {
						t.Fatalf("took %v, SoftTimeout %v: the pauses after the ends of the loads were %v", took, soft, pauses)
					}
				}
				if len(pauses) < 7 {
					t.Errorf("only the pauses %v", pauses)
				}
			})
		}
	}
}

// A thousand callers after a pause that has just ended, and a load that fails
// at once.
func TestOneLoadPerPause(t *testing.T) {
	for _, soft := range []time.Duration{0, time.Second, memo.Off} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: soft}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			o.fails(errOrigin)
			for n := range 3 {
				var wg sync.WaitGroup
				for range 1000 {
					wg.Go(func() { get(t, f, 7) })
				}
				wg.Wait()
				o.want(t, n+2)
				time.Sleep(time.Second << n)
			}
		})
	}
}

// A load that had to wait for others before it began does not begin when
// somebody else's has failed meanwhile.
func TestPauseBeforeLoadBegins(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		const keys = 40 // more than are refreshed at a time
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, Retry: time.Minute}))
		var ks []int
		for k := range keys {
			ks = append(ks, k)
			get(t, f, k)
		}
		time.Sleep(time.Minute)
		o.takes(time.Second)
		o.fails(errOrigin)
		if _, err := f.GetMany(t.Context(), ks); err != nil {
			t.Error(err)
		}
		get(t, f, keys-1)
		o.want(t, keys+17)
		time.Sleep(10 * time.Second)
		o.want(t, 2*keys)
	})
}

func TestPauseEnds(t *testing.T) {
	type function = memo.Func[int, int]
	for name, end := range map[string]func(ctx context.Context, f *function, o *origin) error{
		"Set":     func(ctx context.Context, f *function, _ *origin) error { return f.Set(ctx, 7, -1) },
		"Delete":  func(ctx context.Context, f *function, _ *origin) error { return f.Delete(ctx, 7) },
		"many":    func(ctx context.Context, f *function, _ *origin) error { return f.DeleteMany(ctx, []int{7, 8}) },
		"Expire":  func(ctx context.Context, f *function, _ *origin) error { return f.Expire(ctx, 7) },
		"success": func(ctx context.Context, f *function, _ *origin) error { _, err := f.Refresh(ctx, 7); return err },
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) {
				var o origin
				f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, Retry: time.Minute}))
				get(t, f, 7)
				time.Sleep(time.Minute)
				o.fails(errOrigin)
				for n := range 2 { // so that the next pause would be of 4 minutes
					get(t, f, 7)
					o.want(t, n+2)
					time.Sleep(time.Minute << n)
				}
				get(t, f, 7)
				o.want(t, 4)
				o.fails(nil)
				if err := end(t.Context(), f, &o); err != nil {
					t.Fatal(err)
				}
				get(t, f, 7) // loads after Delete, and refreshes after Expire
				synctest.Wait()
				if _, err := f.TTL(t.Context(), 7); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				r, err := f.Lookup(t.Context(), 7)
				if r.Source != memo.SourceStale || r.Err != nil || err != nil {
					t.Errorf("got %+v, %v; want no error of a load that the value is younger than", r, err)
				}
				synctest.Wait()
				time.Sleep(time.Minute)
				o.fails(errOrigin)
				get(t, f, 7)
				synctest.Wait()
				n := len(o.called())
				time.Sleep(time.Minute - 1)
				get(t, f, 7)
				o.want(t, n)
				time.Sleep(time.Nanosecond)
				get(t, f, 7)
				o.want(t, n+1) // the pauses have begun anew
			})
		})
	}
}

func TestRetryOff(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, Retry: memo.Off}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.fails(errOrigin)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
		for n := range 5 {
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin})
			o.want(t, n+3)
		}
	})
}

// Where there is no value to answer, each caller tries.
func TestNoPauseWithoutStaleValue(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Minute, Retry: time.Hour}))
		o.fails(errOrigin)
		for n := range 3 {
			wantLookup(t, f, seen{err: errOrigin})
			o.want(t, n+1)
		}
		o.fails(nil)
		wantLookup(t, f, seen{4, memo.SourceLoaded, 0, time.Minute, nil})
		o.fails(errOrigin)
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{4, memo.SourceStale, time.Minute, 0, nil})
		o.want(t, 5)
		time.Sleep(time.Minute) // in the middle of the pause
		for n := range 3 {
			wantLookup(t, f, seen{err: errOrigin})
			o.want(t, n+6)
		}
	})
}

// A value that is stale because the function said so is like any other.
func TestPauseAfterSetStale(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int, error) {
			memo.SetTTL(ctx, time.Minute)
			memo.SetStale(ctx, time.Hour)
			return o.load(ctx, k)
		}, nil)
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.fails(errOrigin)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
		for range 3 {
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin})
		}
		o.want(t, 2)
		time.Sleep(time.Second)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute + time.Second, 0, errOrigin})
		o.want(t, 3)
	})
}

// However many keys fail, each has its pause.
func TestManyPauses(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		const keys = 5000
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
		for k := range keys {
			get(t, f, k)
		}
		o.fails(errOrigin)
		time.Sleep(time.Minute)
		for range 2 {
			for k := range keys {
				get(t, f, k)
			}
			o.want(t, 2*keys)
		}
		time.Sleep(time.Second)
		for k := range keys {
			get(t, f, k)
		}
		o.want(t, 3*keys)
		o.fails(nil)
		time.Sleep(2 * time.Second)
		for k := range keys {
			get(t, f, k)
		}
		o.want(t, 4*keys)
	})
}

// What failed before another process has replaced the value says nothing about
// the new one.
func TestFailureOfAnEarlierValue(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o, other origin
		p := policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, Retry: time.Hour})
		f := wrap(t, newMemo(t, s, nil), "f", o.load, p)
		g := wrap(t, newMemo(t, s, nil), "f", other.load, p)
		get(t, f, 7)
		o.fails(errOrigin)
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin})
		o.want(t, 2)
		time.Sleep(time.Second)
		get(t, g, 7)
		synctest.Wait()
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
		o.want(t, 3)
		time.Sleep(time.Hour - time.Minute - 1)
		get(t, f, 7)
		o.want(t, 3)
	})
}
