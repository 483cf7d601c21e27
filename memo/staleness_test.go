package memo_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestTTLAndStaleAdd(t *testing.T) {
	for _, p := range []memo.Policy{
		{TTL: time.Minute, Stale: time.Hour, Retry: memo.Off},
		{TTL: time.Minute, Stale: 1, Retry: memo.Off},
		{TTL: 1, Stale: time.Hour, Retry: memo.Off},
		{TTL: 1, Stale: 1, Retry: memo.Off},
		{TTL: time.Minute},
		{TTL: 1},
		{TTL: 100 * 365 * 24 * time.Hour, Stale: 100 * 365 * 24 * time.Hour, Retry: memo.Off},
	} {
		onExactAndLongStores(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(p))
			wantLookup(t, f, seen{1, memo.SourceLoaded, 0, p.TTL, nil})
			if left, err := s.TTL(t.Context(), theKeyOf(t, f, 7)); err != nil || left != p.TTL+p.Stale && left != store.Forever {
				t.Errorf("%+v: the store was told to keep it %v, %v", p, left, err)
			}
			if _, long := s.(longStore); !long {
				if left, err := f.TTL(t.Context(), 7); err != nil || left != p.TTL+p.Stale && left != store.Forever {
					t.Errorf("%+v: TTL is %v, %v", p, left, err)
				}
			}
			o.fails(errOrigin)
			time.Sleep(p.TTL - 1)
			wantLookup(t, f, seen{1, sourceOf(s), p.TTL - 1, 1, nil})
			o.want(t, 1)
			time.Sleep(time.Nanosecond)
			if p.Stale > 0 {
				wantLookup(t, f, seen{1, memo.SourceStale, p.TTL, 0, nil})
				o.want(t, 2)
				time.Sleep(p.Stale - 1)
				wantLookup(t, f, seen{1, memo.SourceStale, p.TTL + p.Stale - 1, 0, errOrigin})
				if has, err := f.Has(t.Context(), 7); !has || err != nil {
					t.Errorf("Has: %v, %v", has, err)
				}
				time.Sleep(time.Nanosecond)
			}
			wantLookup(t, f, seen{err: errOrigin})
			if has, err := f.Has(t.Context(), 7); has || err != nil {
				t.Errorf("Has: %v, %v", has, err)
			}
			if _, err := f.TTL(t.Context(), 7); err != store.ErrNotFound {
				t.Errorf("TTL: %v", err)
			}
		})
	}
}

// With a TTL that has no end nothing becomes stale by time; where only the
// store knows it, the store decides.
func TestTTLWithoutEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", o.load, policy(memo.Policy{TTL: memo.Off, Stale: time.Hour}))
		wantLookup(t, f, seen{1, memo.SourceLoaded, 0, store.Forever, nil})
		time.Sleep(1000 * time.Hour)
		wantLookup(t, f, seen{1, sourceOf(s), 1000 * time.Hour, store.Forever, nil})
		g := wrap(t, m, "g", o.load, nil)
		wantLookup(t, g, seen{2, memo.SourceLoaded, 0, store.UnknownTTL, nil})
		time.Sleep(time.Hour)
		wantLookup(t, g, seen{2, sourceOf(s), time.Hour, store.UnknownTTL, nil})
	})
}

// How long a value is stale is what its reader says, not who stored it.
func TestReadersPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []store.Store{longStore{newLiveStore()}, storetest.Bare(longStore{newLiveStore()})} {
			var o origin
			with := func(stale time.Duration) *memo.Func[int, int] {
				return wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: stale, Retry: memo.Off}))
			}
			none, short, long := with(memo.Off), with(time.Minute), with(time.Hour)
			get(t, short, 7)
			o.fails(errOrigin)
			time.Sleep(time.Minute)
			for i, age := range []time.Duration{1, 2, 61} {
				wantLookup(t, none, seen{err: errOrigin})
				if i == 0 {
					wantLookup(t, short, seen{1, memo.SourceStale, age * time.Minute, 0, nil})
				} else {
					wantLookup(t, short, seen{err: errOrigin})
				}
				if i < 2 {
					r, err := long.Lookup(t.Context(), 7)
					if r.Value != 1 || r.Source != memo.SourceStale || err != nil {
						t.Errorf("after %d minutes: %+v, %v", age, r, err)
					}
				} else {
					wantLookup(t, long, seen{err: errOrigin})
				}
				synctest.Wait()
				time.Sleep([]time.Duration{time.Minute, 59 * time.Minute, 0}[i])
			}

		}
	})
}

func TestJitterShortensOnly(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		const ttl, stale = 100 * time.Second, 7 * time.Second
		f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) {
			if k%2 == 1 {
				return 0, store.ErrNotFound
			}
			return k, nil
		}, policy(memo.Policy{TTL: ttl, Stale: stale, Absent: ttl, Jitter: 0.5}))
		const n = 200
		lives := make(map[time.Duration]bool)
		for k := range n {
			_, _ = f.Get(t.Context(), k)
			meta, err := f.Meta(t.Context(), k)
			if err != nil {
				t.Fatal(err)
			}
			fresh := meta.FreshUntil.Sub(meta.Created)
			if fresh > ttl || fresh < ttl/2 || lives[fresh] {
				t.Errorf("%d is fresh for %v", k, fresh)
			}
			lives[fresh] = true
			if k%2 == 0 {
				fresh += stale
			}
			if meta.TTL != fresh || meta.Absent != (k%2 == 1) {
				t.Errorf("%d is stored for %v, want %v; absent: %v", k, meta.TTL, fresh, meta.Absent)
			}
		}
		least, most := slices.Min(slices.Collect(maps.Keys(lives))), slices.Max(slices.Collect(maps.Keys(lives)))
		if least > 55*time.Second || most < 95*time.Second { // of 200 draws none in a tenth: less than 1 in a thousand million
			t.Errorf("all are between %v and %v", least, most)
		}
		// The store was told nothing longer either.
		time.Sleep(ttl + stale)
		for k := range n {
			if _, err := s.TTL(t.Context(), theKeyOf(t, f, k)); err != store.ErrNotFound {
				t.Errorf("%d is still stored: %v", k, err)
			}
		}
	})
}

func TestOneRefreshForAll(t *testing.T) {
	onExactAndLongStores(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.takes(10 * time.Second)
		for round := range 5 {
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() {
					start := time.Now()
					r, err := f.Lookup(t.Context(), 7)
					if r.Value != 1 || r.Source != memo.SourceStale || r.Err != nil || err != nil || time.Since(start) != 0 {
						t.Errorf("round %d: got %+v, %v after %v", round, r, err, time.Since(start))
					}
				})
			}
			wg.Wait()
			time.Sleep(2 * time.Second)
			o.want(t, 2)
		}
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil})
		o.want(t, 2)
	})
}

// A load that panics or exits in the background is one that failed: the value
// is answered, there is a pause, and the operator is told.
func TestAbortsInBackground(t *testing.T) {
	for _, panics := range []bool{true, false} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			var log lockedBuffer
			m := newMemo(t, s, &memo.Options{Logger: log.logger()})
			f := wrap(t, m, "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			o.now(func(o *origin) { o.panics, o.exits = panics, !panics })
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
			for range 3 {
				r, err := f.Lookup(t.Context(), 7)
				var panicked *memo.PanicError
				var exited *memo.GoexitError
				if r.Value != 1 || err != nil || panics && !errors.As(r.Err, &panicked) || !panics && !errors.As(r.Err, &exited) {
					t.Errorf("got %+v, %v", r, err)
				}
			}
			o.want(t, 2)
			if !strings.Contains(log.String(), "background") {
				t.Errorf("the log says %q", log.String())
			}
			time.Sleep(time.Second)
			o.now(func(o *origin) { o.panics, o.exits = false, false })
			get(t, f, 7)
			o.want(t, 3)
			wantLookup(t, f, seen{3, sourceOf(s), 0, time.Minute, nil})
		})
	}
}

// A panic in a load that callers wait for goes on in the one that led. The
// others have the stale value.
func TestPanicWhileWaitingForFresh(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: memo.Off}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.now(func(o *origin) { o.panics, o.took = true, time.Second })
		led := make(chan any, 1)
		go func() {
			defer func() { led <- recover() }()
			_, _ = f.Get(t.Context(), 7)
		}()
		synctest.Wait()
		joined := ask(t.Context(), f, 7)
		wantAnswer(t, "joined", joined, 1, time.Second)
		if err, ok := (<-led).(*memo.PanicError); !ok || err.Value != "origin panics" {
			t.Error("the panic did not go on in the caller that led")
		}
		wantAnswer(t, "next", ask(t.Context(), f, 7), 1, 0) // during the pause
		o.want(t, 2)
	})
}

// A load that needs its own key gets the stale value where nobody waits, and
// the error where it would.
func TestStaleAndCycle(t *testing.T) {
	for _, soft := range []time.Duration{0, time.Second, memo.Off} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var f *memo.Func[int, int]
			first := true
			inner := make(chan error, 1)
			f = wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int, error) {
				if first {
					first = false
					return 1, nil
				}
				v, err := f.Get(ctx, k)
				inner <- err
				return v + 1, err
			}, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: soft}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			_, err := f.Get(t.Context(), 7)
			var cycle *memo.CycleError
			if got := <-inner; soft == 0 && got != nil || soft != 0 && !errors.As(got, &cycle) {
				t.Errorf("SoftTimeout %v: the inner call got %v", soft, got)
			}
			if soft == 0 && err != nil || soft != 0 && !errors.As(err, &cycle) {
				t.Errorf("SoftTimeout %v: the outer call got %v", soft, err)
			}
			synctest.Wait()
		})
	}
}
