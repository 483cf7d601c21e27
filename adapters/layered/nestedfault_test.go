package layered_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// levels are three, of which the last may fail.
type levels struct {
	outer, inner *layered.Store
	last         *far
	fault        atomic.Pointer[fault]
	asked        atomic.Int64 // calls that the last level got
}

func onLevels(t *testing.T, outer, inner layered.Options, test func(t *testing.T, l *levels)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &levels{last: newFar(t)}
		outer.Coherence, inner.Coherence = watchSecond.Coherence, watchSecond.Coherence
		l.inner = newLayered(t, newMemory(t), storetest.Intercept(onlyFar{l.last}, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			l.asked.Add(1)
			if f := l.fault.Load(); f != nil {
				return (*f)(ctx, c, next)
			}
			return next(ctx)
		}), &inner)
		l.outer = newLayered(t, newMemory(t), l.inner, &outer)
		test(t, l)
	})
}

// onlyFar hides that far's entries are in the process.
type onlyFar struct{ *far }

func (l *levels) fail(f fault) { l.fault.Store(&f) }

// The level that holds an entry answers while the last one is away, however
// often that has failed, and only the inner Store counts how.
func TestNestedL1sAnswerWhileL2IsAway(t *testing.T) {
	for name, f := range map[string]fault{"fails": refuse, "hangs": hang} {
		t.Run(name, func(t *testing.T) {
			onLevels(t, layered.Options{Timeout: time.Hour}, layered.Options{}, func(t *testing.T, l *levels) {
				l.last.watcher.Proven(store.AlwaysProven)
				set(t, l.last, "outer", "v", time.Hour)
				set(t, l.last, "inner", "v", time.Hour)
				set(t, l.last, "many", "v", time.Hour)
				wantGet(t, l.outer, "outer", "v")
				wantGet(t, l.inner, "inner", "v")
				wantGet(t, l.inner, "many", "v")
				l.fail(f)
				start := time.Now()
				for range 10 {
					if _, err := l.outer.Get(t.Context(), "absent"); !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("Get of what no L1 holds: %v", err)
					}
				}
				if took := time.Since(start); took > 5*500*time.Millisecond {
					t.Errorf("10 reads took %v: the breaker has not opened", took)
				}
				for what, err := range map[string]error{
					"Ping":   l.outer.Ping(t.Context()),
					"Set":    l.outer.Set(t.Context(), "k", nil, 0),
					"Delete": l.outer.Delete(t.Context(), "k"),
					"Hold":   l.outer.Hold(t.Context(), "k", time.Second),
				} {
					if !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if _, err := l.outer.GetOrLease(t.Context(), "absent", "token", time.Second, nil); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("GetOrLease: %v", err)
				}
				wantGet(t, l.outer, "outer", "v")
				wantGet(t, l.outer, "inner", "v")
				found, err := batches["GetMany"](t.Context(), l.outer, "outer", "many", "absent")
				if !errors.Is(err, store.ErrUnavailable) || !maps.Equal(found, map[string]string{"outer": "v", "many": "v"}) {
					t.Errorf("GetMany = %q, %v", found, err)
				}
				outer, inner := l.outer.Stats(), l.inner.Stats()
				if b := outer.Breaker; b != inner.Breaker || b.State != layered.BreakerOpen || b.Opened != 1 || b.Failed != 5 || b.Refused != 11 {
					t.Errorf("breakers %+v and %+v", b, inner.Breaker)
				}
				if outer.L2Errors != 16 || inner.L2Errors != 16 || outer.PendingDeletes != 1 || inner.PendingDeletes != 1 {
					t.Errorf("Stats = %+v and %+v", outer, inner)
				}
				l.fault.Store(nil)
				time.Sleep(10 * time.Second)
				wantGet(t, l.outer, "absent", "")
				if st := l.outer.Stats(); st.Breaker.State != layered.BreakerClosed || st.PendingDeletes != 0 {
					t.Errorf("afterwards: %+v", st)
				}
			})
		})
	}
}

// The outer Timeout does not cut short what the inner one allows.
func TestNestedTimeout(t *testing.T) {
	onLevels(t, layered.Options{Timeout: time.Millisecond}, layered.Options{Timeout: time.Second}, func(t *testing.T, l *levels) {
		l.last.watcher.Proven(store.AlwaysProven)
		l.fail(dawdle)
		set(t, l.outer, "k", "v", 0)
		wantGet(t, l.outer, "k", "v")
		ctx, cancel := context.WithTimeout(t.Context(), slowness/2)
		defer cancel()
		if _, err := l.outer.Get(ctx, "absent"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("of a caller who does not wait so long: %v", err)
		}
		l.fail(hang)
		start := time.Now()
		if _, err := l.outer.Get(t.Context(), "absent"); !errors.Is(err, store.ErrUnavailable) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want ErrUnavailable after a second", err, time.Since(start))
		}
		if st := l.outer.Stats(); st.L2Errors != 1 || st.Breaker.TimedOut != 1 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

// A Delete that has failed is remembered and repeated once, not by each level.
func TestNestedDeletes(t *testing.T) {
	onLevels(t, layered.Options{}, layered.Options{}, func(t *testing.T, l *levels) {
		l.last.watcher.Proven(store.AlwaysProven)
		set(t, l.outer, "k", "v", 0)
		wantGet(t, l.outer, "k", "v")
		l.fail(refuse)
		if err := l.outer.DeleteMany(t.Context(), []string{"k"}); !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
		l.asked.Store(0)
		for _, s := range []*layered.Store{l.outer, l.inner} {
			if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Get: %v", err)
			}
		}
		if n := l.asked.Load(); n != 2 {
			t.Errorf("2 reads have repeated it %d times", n)
		}
		tries := func() uint64 { b := l.inner.Stats().Breaker; return b.Failed + b.Refused }
		before := tries()
		time.Sleep(10 * time.Second)
		if n := tries() - before; n < 9 || n > 11 {
			t.Errorf("it was repeated %d times in 10s, want once a second", n)
		}
		l.fault.Store(nil)
		l.asked.Store(0)
		time.Sleep(10 * time.Second)
		if n := l.asked.Load(); n != 1 {
			t.Errorf("it was repeated %d times", n)
		}
		wantGet(t, l.last, "k", "")
		wantGet(t, l.outer, "k", "")
	})
}

// What the inner Store answers by its Degraded, the outer one counts as such,
// and does not take for what L2 has.
func TestNestedDegraded(t *testing.T) {
	miss := layered.Options{Degraded: layered.AnswerMiss()}
	onLevels(t, miss, miss, func(t *testing.T, l *levels) {
		l.last.watcher.Proven(store.AlwaysProven)
		set(t, l.last, "k", "v", 0)
		wantGet(t, l.outer, "k", "v")
		l.fail(refuse)
		wantGet(t, l.outer, "absent", "")
		if _, _, err := l.outer.GetWithTTL(t.Context(), "absent"); err != store.ErrNotFound {
			t.Errorf("GetWithTTL: %v", err)
		}
		for name, read := range batches {
			if found, err := read(t.Context(), l.outer, "a", "b"); err != nil || len(found) != 0 {
				t.Errorf("%s = %q, %v", name, found, err)
			}
		}
		wantMany(t, l.outer, []string{"a", "k"}, map[string]string{"k": "v"})
		l.outer.TTL(t.Context(), "k") // fails, and does not open the breaker yet
		outer, inner := l.outer.Stats(), l.inner.Stats()
		if outer.Masked != 7 || inner.Masked != 7 || outer.Misses != 0 || outer.L2Errors != 1 || inner.Misses != 0 || inner.L2Errors != 6 {
			t.Errorf("Stats = %+v and %+v", outer, inner)
		}
	})
	stale := layered.Options{Degraded: layered.ServeStale(time.Minute)}
	onLevels(t, layered.Options{}, stale, func(t *testing.T, l *levels) {
		l.last.watcher.Proven(time.Now())
		for _, key := range []string{"a", "b"} {
			set(t, l.last, key, "v", time.Hour)
			wantGet(t, l.inner, key, "v")
		}
		l.fail(refuse)
		time.Sleep(10 * time.Second)
		wantGet(t, l.outer, "a", "v")
		wantMany(t, l.outer, []string{"a", "b"}, map[string]string{"a": "v", "b": "v"})
		if b, ttl, err := l.outer.GetWithTTL(t.Context(), "a"); string(b) != "v" || ttl != store.UnknownTTL || err != nil {
			t.Errorf("GetWithTTL = %q, %v, %v", b, ttl, err)
		}
		outer, inner := l.outer.Stats(), l.inner.Stats()
		if outer.Stale != 4 || outer.L1Hits != 0 || outer.L2Hits != 0 || inner.Stale != 4 || inner.L2Errors != 3 {
			t.Errorf("Stats = %+v and %+v", outer, inner)
		}
	})
}

// Nobody but the last level knows that Clear has failed; the L1s are empty.
func TestNestedClear(t *testing.T) {
	onLevels(t, layered.Options{}, layered.Options{}, func(t *testing.T, l *levels) {
		l.last.watcher.Proven(store.AlwaysProven)
		set(t, l.outer, "k", "v", 0)
		wantGet(t, l.outer, "k", "v")
		l.fail(refuse)
		if err := l.outer.Clear(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Clear: %v", err)
		}
		if _, err := l.outer.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Get: %v", err)
		}
		l.fault.Store(nil)
		if err := l.outer.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		wantGet(t, l.outer, "k", "")
	})
}

func TestExplainLevels(t *testing.T) {
	o := layered.Options{Degraded: layered.AnswerMiss()}
	onLevels(t, layered.Options{}, o, func(t *testing.T, l *levels) {
		l.last.watcher.Proven(store.AlwaysProven)
		explain := func(want string) {
			t.Helper()
			x, err := l.outer.Explain(t.Context(), "k")
			if err != nil || !strings.HasPrefix(x.String(), want) {
				t.Errorf("%v, %v\nwant %s", x, err, want)
			}
		}
		explain(`"k": L2 is asked; L1 has no entry; L3 is asked; L2 has no entry; L3 has no entry`)
		set(t, l.last, "k", "v", time.Minute)
		wantGet(t, l.inner, "k", "v")
		explain(`"k": L2 is asked; L1 has no entry; L2 answers; L2 has it for 1m0s; L3 has it for 1m0s`)
		wantGet(t, l.outer, "k", "v")
		explain(`"k": L1 answers; L1 has it for 1m0s; L2 answers; L2 has it for 1m0s; L3 has it for 1m0s`)
		l.fail(refuse)
		explain(`"k": L1 answers; L1 has it for 1m0s; L2 answers; L2 has it for 1m0s; L3 fails: store: ttl "k": connection refused, so reads answer a miss (miss)`)
		x, _ := l.outer.Explain(t.Context(), "k")
		if x.L2 == nil || !x.L2.InL1 || x.InL2 || !errors.Is(x.L2Err, store.ErrUnavailable) || x.Degraded != "" {
			t.Errorf("%+v", x)
		}
		for range 5 {
			l.outer.Ping(t.Context())
		}
		if x, _ := l.outer.Explain(t.Context(), "k"); x.Breaker != layered.BreakerOpen || !strings.HasSuffix(x.String(), "; breaker open") {
			t.Errorf("%v", x)
		}
		l.inner.Close()
		explain(`"k": L1 answers; L1 has it for 1m0s; L2 fails: store: explain "k": store is closed`)
	})
}
