package memo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
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

var errOrigin = errors.New("origin is away")

// origin is a function that a test gives orders to. Its value is the number of
// the call.
type origin struct {
	mu     sync.Mutex
	took   time.Duration
	heeds  bool // its context
	err    error
	panics bool
	exits  bool
	calls  []time.Time // when each began
}

func (o *origin) load(ctx context.Context, _ int) (int, error) {
	o.mu.Lock()
	o.calls = append(o.calls, time.Now())
	n, took, heeds, err, panics, exits := len(o.calls), o.took, o.heeds, o.err, o.panics, o.exits
	o.mu.Unlock()
	if took > 0 {
		if !heeds {
			ctx = context.Background()
		}
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	switch {
	case panics:
		panic("origin panics")
	case exits:
		runtime.Goexit()
	case err != nil:
		return 0, err
	}
	return n, nil
}

// now gives new orders.
func (o *origin) now(order func(o *origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order(o)
}

func (o *origin) fails(err error) { o.now(func(o *origin) { o.err = err }) }

func (o *origin) takes(d time.Duration) { o.now(func(o *origin) { o.took = d }) }

// want checks how often it was called.
func (o *origin) want(t *testing.T, calls int) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.calls) != calls {
		t.Errorf("%d calls of the function, want %d", len(o.calls), calls)
	}
}

// called returns when each call began.
func (o *origin) called() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.calls)
}

// policy are options with a Policy alone.
func policy(p memo.Policy) *memo.FuncOptions[int, int] {
	return &memo.FuncOptions[int, int]{Policy: p}
}

// seen is a Result, but for its ETag, or what there is instead.
type seen struct {
	value    int
	source   memo.Source
	age, ttl time.Duration
	err      error // matched
}

// wantLookup checks what a Lookup returns, which does not take any time unless
// that is said.
func wantLookup(t *testing.T, f *memo.Func[int, int], want seen, call ...memo.Call) {
	t.Helper()
	wantLookupIn(t, 0, f, want, call...)
}

func wantLookupIn(t *testing.T, d time.Duration, f *memo.Func[int, int], want seen, call ...memo.Call) {
	t.Helper()
	start := time.Now()
	r, err := f.Lookup(t.Context(), 7, call...)
	if since := time.Since(start); since != d {
		t.Errorf("Lookup took %v, want %v", since, d)
	}
	if (err == nil) != (want.source != memo.SourceNone && want.source != memo.SourceNegative) || err != nil && r.Err != err {
		t.Errorf("Lookup returned the error %v with %+v", err, r)
	}
	if !errors.Is(r.Err, want.err) {
		t.Errorf("Lookup: Err is %v, want %v", r.Err, want.err)
	}
	if got := (seen{r.Value, r.Source, r.Age, r.TTL, want.err}); got != want {
		t.Errorf("Lookup:\ngot  %+v\nwant %+v", got, want)
	}
	synctest.Wait() // for what it has begun in the background
}

// sourceOf is the Source of what s keeps.
func sourceOf(s store.Store) memo.Source {
	if store.Supports[store.LiveStore](s) {
		return memo.SourceMemory
	}
	return memo.SourceStore
}

// longStore keeps entries for ever, whatever it is asked.
type longStore struct{ *liveStore }

func (s longStore) SetLive(ctx context.Context, key string, l *store.Live, _ time.Duration) error {
	return s.liveStore.SetLive(ctx, key, l, store.Forever)
}

func (s longStore) Set(ctx context.Context, key string, value []byte, _ time.Duration) error {
	return s.liveStore.Set(ctx, key, value, store.Forever)
}

// onExactAndLongStores is onEachStore, and the same over stores that keep
// entries for longer than they are asked to.
func onExactAndLongStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	onEachStore(t, test)
	t.Run("long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, longStore{newLiveStore()}) })
	})
	t.Run("long bytes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, storetest.Bare(longStore{newLiveStore()})) })
	})
}

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

// When the source says that there is no such thing any more, nobody is
// answered the old value, whoever asked.
func TestGoneIsNotStale(t *testing.T) {
	for _, absent := range []time.Duration{memo.Off, time.Minute} {
		for _, soft := range []time.Duration{0, time.Second, memo.Off} {
			onExactAndLongStores(t, func(t *testing.T, s store.Store) {
				var o origin
				f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{
					TTL: time.Minute, Stale: time.Hour, Absent: absent, SoftTimeout: soft,
				}))
				get(t, f, 7)
				time.Sleep(time.Minute)
				o.fails(fmt.Errorf("no row: %w", store.ErrNotFound))
				if soft == 0 {
					wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
				} else {
					wantLookup(t, f, seen{err: store.ErrNotFound})
				}
				o.want(t, 2)
				want := seen{err: store.ErrNotFound}
				if absent > 0 {
					want = seen{0, memo.SourceNegative, 0, absent, store.ErrNotFound}
				}
				wantLookup(t, f, want)
				if has, err := f.Has(t.Context(), 7); has || err != nil {
					t.Errorf("Has: %v, %v", has, err)
				}
				o.fails(errOrigin)
				time.Sleep(time.Minute)
				wantLookup(t, f, seen{err: errOrigin}) // the old value is no substitute
				o.fails(nil)
				if r, err := f.Lookup(t.Context(), 7); r.Source != memo.SourceLoaded || err != nil {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		}
	}
}

// Also to those who joined the load of one who had not seen the value, and when
// the one who loaded it wanted nothing stored.
func TestGoneForThoseWhoJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o origin
		s := newLiveStore()
		blind := false
		half := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if blind && (c.Op == "getlive" || c.Op == "getliveat") {
				return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "no answer")
			}
			return next(ctx)
		})
		f := wrap(t, newMemo(t, half, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: memo.Off}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.fails(store.ErrNotFound)
		o.takes(time.Second)
		blind = true
		first := ask(t.Context(), f, 7)
		blind = false
		joined := ask(t.Context(), f, 7)
		wantFailure(t, "first", first, store.ErrNotFound, time.Second)
		wantFailure(t, "joined", joined, store.ErrNotFound, time.Second)
	})
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, Absent: time.Minute, SoftTimeout: memo.Off}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		o.fails(store.ErrNotFound)
		wantLookup(t, f, seen{err: store.ErrNotFound}, memo.Call{NoStore: true})
		o.fails(errOrigin)
		wantLookup(t, f, seen{err: errOrigin})
	})
}

// An error that would be remembered is no reason to drop a value that may
// still be answered.
func TestCacheErrorKeepsValue(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		options := policy(memo.Policy{TTL: time.Minute, Stale: time.Minute, RefreshAhead: 0.5})
		options.CacheError = func(error) time.Duration { return time.Hour }
		f := wrap(t, newMemo(t, s, nil), "f", o.load, options)
		get(t, f, 7)
		o.fails(errOrigin)
		wantLookup(t, f, seen{err: errOrigin}, memo.Call{Refresh: true})
		wantLookup(t, f, seen{1, sourceOf(s), 0, time.Minute, nil})
		time.Sleep(time.Second)
		wantLookup(t, f, seen{err: errOrigin}, memo.Call{MaxAge: 1})
		time.Sleep(30 * time.Second)
		wantLookup(t, f, seen{1, sourceOf(s), 31 * time.Second, 29 * time.Second, nil})
		o.want(t, 4)
		wantLookup(t, f, seen{1, sourceOf(s), 31 * time.Second, 29 * time.Second, nil})
		time.Sleep(29 * time.Second)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin})
		wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin})
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{err: errOrigin})
		n := len(o.called())
		r, err := f.Lookup(t.Context(), 7)
		if r.Source != memo.SourceNegative || r.TTL != time.Hour || err == nil {
			t.Errorf("got %+v, %v; want the remembered error, now that there is nothing else", r, err)
		}
		o.want(t, n)
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
