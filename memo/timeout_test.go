package memo_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestSoftTimeout(t *testing.T) {
	for _, test := range []struct {
		soft, took time.Duration
		waits      time.Duration
		fresh      bool // is the answer
	}{
		{0, time.Second, 0, false},
		{time.Second, time.Second - 1, time.Second - 1, true},
		{time.Second, time.Second + 1, time.Second, false},
		{time.Second, time.Hour, time.Second, false},
		{time.Nanosecond, time.Second, time.Nanosecond, false},
		{memo.Off, time.Hour, time.Hour, true},
	} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: 24 * time.Hour, SoftTimeout: test.soft}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			o.takes(test.took)
			old := ask(t.Context(), f, 7)
			start := time.Now()
			if test.fresh {
				wantLookupIn(t, test.waits, f, seen{2, memo.SourceShared, 0, time.Minute, nil})
			} else {
				wantLookupIn(t, test.waits, f, seen{1, memo.SourceStale, time.Minute + test.waits, 0, nil})
			}
			wantAnswer(t, "first", old, map[bool]int{false: 1, true: 2}[test.fresh], test.waits)
			// The load goes on, and what it brings is stored.
			time.Sleep(test.took - time.Since(start))
			synctest.Wait()
			wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil})
			o.want(t, 2)
		})
	}
}

// A load that fails while callers wait is no reason to wait on.
func TestSoftTimeoutAndError(t *testing.T) {
	for _, soft := range []time.Duration{time.Minute, memo.Off} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: soft}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			o.takes(time.Second)
			o.fails(errOrigin)
			wantLookupIn(t, time.Second, f, seen{1, memo.SourceStale, time.Minute + time.Second, 0, errOrigin})
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute + time.Second, 0, errOrigin}) // the pause
			o.want(t, 2)
		})
	}
}

func TestSoftTimeoutIsForStaleValues(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: time.Second}))
		o.takes(time.Minute)
		wantLookupIn(t, time.Minute, f, seen{1, memo.SourceLoaded, 0, time.Minute, nil})
		wantLookupIn(t, time.Minute, f, seen{2, memo.SourceLoaded, 0, time.Minute, nil}, memo.Call{Refresh: true})
	})
}

// A caller's own deadline comes before what it could be answered later.
func TestDeadlineBeforeSoftTimeout(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: memo.Off}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.takes(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := ask(ctx, f, 7)
		joined := ask(t.Context(), f, 7)
		wantFailure(t, "first", first, context.DeadlineExceeded, time.Second)
		wantAnswer(t, "joined", joined, 2, time.Minute)
	})
}

func TestLoadTimeout(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{LoadTimeout: time.Second}))
			o.now(func(o *origin) { o.took, o.heeds = time.Minute, heeds })
			first, joined := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
			time.Sleep(time.Second / 2)
			late := ask(t.Context(), f, 7)
			wantFailure(t, "first", first, memo.ErrTimeout, time.Second)
			wantFailure(t, "joined", joined, memo.ErrTimeout, time.Second)
			wantFailure(t, "late", late, memo.ErrTimeout, time.Second/2)
			o.want(t, 1)
			next := ask(t.Context(), f, 7)
			o.want(t, 2)
			wantFailure(t, "next", next, memo.ErrTimeout, time.Second)
			o.takes(time.Second - 1)
			wantAnswer(t, "in time", ask(t.Context(), f, 7), 3, time.Second-1)
			time.Sleep(time.Hour)
			wantLookup(t, f, seen{3, sourceOf(s), time.Hour, store.UnknownTTL, nil}) // nothing came over it
		})
	}
}

// What a load brings late is stored if there is no newer one, and only then.
func TestLateValue(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{LoadTimeout: time.Second}))
		o.takes(time.Minute)
		wantFailure(t, "first", ask(t.Context(), f, 7), memo.ErrTimeout, time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantLookup(t, f, seen{1, sourceOf(s), time.Second, store.UnknownTTL, nil})
		mustDelete(t, f, 7)

		wantFailure(t, "first", ask(t.Context(), f, 7), memo.ErrTimeout, time.Second)
		o.takes(0)
		wantLookup(t, f, seen{3, memo.SourceLoaded, 0, store.UnknownTTL, nil})
		time.Sleep(time.Hour)
		wantLookup(t, f, seen{3, sourceOf(s), time.Hour, store.UnknownTTL, nil})

		mustDelete(t, f, 7)
		o.takes(time.Minute)
		wantFailure(t, "deleted meanwhile", ask(t.Context(), f, 7), memo.ErrTimeout, time.Second)
		mustDelete(t, f, 7)
		time.Sleep(time.Hour)
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
	})
}

// A load whose time is over has failed, whether it ends or not: there is a
// pause, and Err says why. The operator is told of it once.
func TestLoadTimeoutWithStaleValue(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		for _, soft := range []time.Duration{0, memo.Off} {
			onEachStore(t, func(t *testing.T, s store.Store) {
				var o origin
				var log lockedBuffer
				f := wrap(t, newMemo(t, s, &memo.Options{Logger: log.logger()}), "f", o.load, policy(memo.Policy{
					TTL: time.Minute, Stale: time.Hour, SoftTimeout: soft, LoadTimeout: 10 * time.Second,
				}))
				get(t, f, 7)
				time.Sleep(time.Minute)
				o.now(func(o *origin) { o.took, o.heeds = 30*time.Minute, heeds })
				if soft == 0 {
					wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
					time.Sleep(10 * time.Second)
					synctest.Wait()
					if n := strings.Count(log.String(), "background"); n != 1 {
						t.Errorf("the log says %q", log.String())
					}
				} else {
					wantLookupIn(t, 10*time.Second, f, seen{1, memo.SourceStale, 70 * time.Second, 0, memo.ErrTimeout})
				}
				for range 3 {
					wantLookup(t, f, seen{1, memo.SourceStale, 70 * time.Second, 0, memo.ErrTimeout})
				}
				o.want(t, 2)
				time.Sleep(time.Second)
				began := time.Now()
				next := ask(t.Context(), f, 7)
				o.want(t, 3)
				<-next
				time.Sleep(11*time.Second - time.Since(began)) // the second pause is longer
				get(t, f, 7)
				o.want(t, 3)
			})
		}
	}
}

// An error of the function after its time is over does not count as a second
// failure.
func TestLateError(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, LoadTimeout: time.Second, Retry: time.Minute}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.takes(30 * time.Second)
		o.fails(errOrigin)
		get(t, f, 7)
		time.Sleep(time.Second)
		synctest.Wait()
		o.takes(0)
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{1, memo.SourceStale, 2*time.Minute + time.Second, 0, memo.ErrTimeout})
		o.want(t, 3)
	})
}

func TestWaitTimeout(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{WaitTimeout: time.Second}))
		o.now(func(o *origin) { o.took, o.heeds = time.Minute, true })
		first := ask(t.Context(), f, 7)
		time.Sleep(time.Second / 2)
		joined := ask(t.Context(), f, 7)
		patient := ask2(t, f, memo.Call{Policy: memo.Policy{WaitTimeout: memo.Off}})
		a := <-first
		if !errors.Is(a.err, memo.ErrTimeout) || a.at != time.Second || !strings.Contains(a.err.Error(), "waited 1s") {
			t.Errorf("first: got %+v", a)
		}
		wantFailure(t, "joined", joined, memo.ErrTimeout, time.Second)
		wantAnswer(t, "patient", patient, 1, time.Minute-time.Second/2)
		wantLookup(t, f, seen{1, sourceOf(s), 0, store.UnknownTTL, nil})
		o.want(t, 1)
	})
}

// ask2 calls Lookup in a goroutine of its own and waits until it waits.
func ask2(t *testing.T, f *memo.Func[int, int], call memo.Call) <-chan answer[int] {
	c := make(chan answer[int], 1)
	start := time.Now()
	go func() {
		r, err := f.Lookup(t.Context(), 7, call)
		c <- answer[int]{r.Value, err, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

// Nobody waits, and yet the load goes on, whatever its context could say.
func TestWaitTimeoutOfAll(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{WaitTimeout: time.Second}))
		o.now(func(o *origin) { o.took, o.heeds = time.Minute, true })
		wantFailure(t, "first", ask(t.Context(), f, 7), memo.ErrTimeout, time.Second)
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{1, sourceOf(s), time.Second, store.UnknownTTL, nil})
	})
}

func TestWaitTimeoutWithStaleValue(t *testing.T) {
	for _, test := range []struct{ soft, wait, waits time.Duration }{
		{memo.Off, time.Second, time.Second},
		{time.Minute, time.Second, time.Second},
		{time.Second, time.Minute, time.Second},
		{0, time.Second, 0},
	} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{
				TTL: time.Minute, Stale: time.Hour, SoftTimeout: test.soft, WaitTimeout: test.wait,
			}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			o.takes(10 * time.Minute)
			wantLookupIn(t, test.waits, f, seen{1, memo.SourceStale, time.Minute + test.waits, 0, nil})
			time.Sleep(10*time.Minute - test.waits)
			synctest.Wait()
			wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil})
		})
	}
}

// However often a caller has to wait anew, it does not wait longer in all.
func TestWaitTimeoutIsForAllWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := storetest.Slow(newLiveStore(), func(c storetest.Call) time.Duration {
			if c.Op == "setlive" {
				return 20 * time.Second
			}
			return 0
		})
		var o origin
		f := wrap(t, newMemo(t, slow, nil), "f", o.load, policy(memo.Policy{TTL: time.Second, WaitTimeout: 30 * time.Second}))
		o.takes(5 * time.Second)
		first := ask(t.Context(), f, 7)
		time.Sleep(10 * time.Second) // what is being stored is not fresh any more
		late := ask(t.Context(), f, 7)
		wantAnswer(t, "first", first, 1, 25*time.Second)
		wantAnswer(t, "late", late, 2, 30*time.Second) // the load itself ended after 20 seconds
		time.Sleep(time.Minute)
	})
}

// The limits hold for those, too, who cannot share a load.
func TestTimeoutsWithoutKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo(t, newLiveStore(), nil)
		took, heeds := time.Minute, false
		load := func(ctx context.Context, _ float64) (int, error) {
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("the load has the deadline %v", deadline)
			}
			memo.SetTTL(ctx, -1) // of this load, not of one around it
			if !heeds {
				ctx = context.Background()
			}
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(took):
				return 1, nil
			}
		}
		for name, p := range map[string]memo.Policy{"load": {LoadTimeout: time.Second}, "wait": {WaitTimeout: time.Second}} {
			for _, heeds = range []bool{true, false} {
				f := wrap(t, m, name+map[bool]string{true: "heeds"}[heeds], load, &memo.FuncOptions[float64, int]{Policy: p})
				wantFailure(t, name, ask(t.Context(), f, math.NaN()), memo.ErrTimeout, time.Second)
			}
		}
		f := wrap(t, m, "f", load, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantFailure(t, "deadline", ask(ctx, f, math.NaN()), context.DeadlineExceeded, time.Second)

		took = 0
		outer := wrap(t, m, "outer", func(ctx context.Context, k int) (int, error) { return f.Get(ctx, math.NaN()) }, nil)
		get(t, outer, 1)
		if has, err := outer.Has(t.Context(), 1); !has || err != nil {
			t.Errorf("Has: %v, %v; the inner function has spoken for the outer one", has, err)
		}
		time.Sleep(time.Minute)
	})
}

// The error of a waiter whose context was cancelled is not that of the others,
// whatever the policy.
func TestCancelledCallerWithTimeouts(t *testing.T) {
	for _, p := range []memo.Policy{
		{LoadTimeout: time.Hour, WaitTimeout: time.Hour},
		{TTL: time.Minute, Stale: time.Hour, SoftTimeout: time.Hour, RefreshAhead: 0.5},
	} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(p))
			get(t, f, 7)
			time.Sleep(time.Minute)
			if p.TTL == 0 {
				mustDelete(t, f, 7)
			}
			o.now(func(o *origin) { o.took, o.heeds = time.Minute, true })
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			first := ask(ctx, f, 7)
			var others []<-chan answer[int]
			for range 10 {
				others = append(others, ask(t.Context(), f, 7))
			}
			wantFailure(t, "first", first, context.Canceled, time.Second)
			for _, other := range others {
				wantAnswer(t, "other", other, 2, time.Minute)
			}
			o.want(t, 2)
		})
	}
}

// A refresh in the background that hangs does not hold Close, nor is it
// stored, and nobody is told that it failed.
func TestCloseDuringRefresh(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		var log lockedBuffer
		m, err := memo.New(s, &memo.Options{Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		f := wrap(t, m, "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.now(func(o *origin) { o.took, o.heeds = time.Hour, true })
		get(t, f, 7)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		if _, err := f.Get(t.Context(), 7); !errors.Is(err, memo.ErrClosed) {
			t.Errorf("Get: %v", err)
		}
		synctest.Wait()
		if log.String() != "" {
			t.Errorf("the log says %q", log.String())
		}
	})
}

// lockedBuffer is what a logger writes to.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
