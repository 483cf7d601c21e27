package memo_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestRefreshAhead(t *testing.T) {
	for _, soft := range []time.Duration{0, memo.Off} { // matters for stale values alone
		onExactAndLongStores(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: 10 * time.Minute, RefreshAhead: 0.8, SoftTimeout: soft}))
			get(t, f, 7)
			time.Sleep(8*time.Minute - 1)
			get(t, f, 7)
			o.want(t, 1)
			time.Sleep(time.Nanosecond)
			o.takes(time.Minute)
			wantLookup(t, f, seen{1, sourceOf(s), 8 * time.Minute, 2 * time.Minute, nil})
			o.want(t, 2)
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					start := time.Now()
					if i%2 == 0 {
						if v := get(t, f, 7); v != 1 {
							t.Errorf("got %d", v)
						}
					} else if r, err := f.Lookup(t.Context(), 7); r.Value != 1 || r.Source != sourceOf(s) || r.Err != nil || err != nil {
						t.Errorf("got %+v, %v", r, err)
					}
					if time.Since(start) != 0 {
						t.Error("a caller waited")
					}
				})
			}
			wg.Wait()
			o.want(t, 2)
			time.Sleep(time.Minute)
			synctest.Wait()
			wantLookup(t, f, seen{2, sourceOf(s), 0, 10 * time.Minute, nil})
			o.want(t, 2)
		})
	}
}

// A value that is asked for all the time is never stale, and never waited for.
func TestRefreshAheadNeverStale(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: 10 * time.Second, RefreshAhead: 0.5, Jitter: 0.1}))
		get(t, f, 7)
		o.takes(4 * time.Second)
		for range 1000 {
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			if r, err := f.Lookup(t.Context(), 7); r.Source != sourceOf(s) || err != nil || time.Since(start) != 0 {
				t.Fatalf("got %+v, %v", r, err)
			}
		}
		if n := len(o.called()); n < 100/10 || n > 100/8+1 {
			t.Errorf("%d loads in 100 seconds", n)
		}
	})
}

// When a refresh fails the value stays fresh, and there is a pause.
func TestRefreshAheadFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: 10 * time.Minute, RefreshAhead: 0.5, Retry: time.Minute}))
		get(t, f, 7)
		o.fails(errOrigin)
		time.Sleep(5 * time.Minute)
		for _, calls := range []int{2, 3, 3, 4} { // after 5, 6, 7 and 8 minutes
			for range 3 {
				if r, err := f.Lookup(t.Context(), 7); r.Source != sourceOf(s) || r.Err != nil || err != nil {
					t.Errorf("got %+v, %v", r, err)
				}
				get(t, f, 7)
				synctest.Wait()
			}
			o.want(t, calls)
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{err: errOrigin}) // there is no Stale
	})
}

// The fraction is one of the ttl, however old the value is that was touched,
// and whoever said how long that ttl is.
func TestRefreshAheadOfWhat(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		m := newMemo(t, s, nil)
		p := memo.Policy{TTL: 10 * time.Minute, RefreshAhead: 0.8}
		touched := wrap(t, m, "touched", o.load, policy(p))
		get(t, touched, 7)
		for range 20 {
			time.Sleep(7 * time.Minute)
			get(t, touched, 7)
			if err := touched.Touch(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(8*time.Minute - 1)
		get(t, touched, 7)
		o.want(t, 1)
		time.Sleep(time.Nanosecond)
		get(t, touched, 7)
		o.want(t, 2)

		short := wrap(t, m, "short", func(ctx context.Context, k int) (int, error) {
			memo.SetTTL(ctx, time.Minute)
			return o.load(ctx, k)
		}, policy(p))
		get(t, short, 7)
		time.Sleep(48*time.Second - 1)
		get(t, short, 7)
		o.want(t, 3)
		time.Sleep(time.Nanosecond)
		get(t, short, 7)
		o.want(t, 4)
	})
}

// Each reader refreshes with the probability of XFetch: exp(-left / (load time
// * beta)).
func TestEarlyRefresh(t *testing.T) {
	const readers = 500
	type function = memo.Func[int, int]
	for method, read := range map[string]func(context.Context, *function) error{
		"Get":     func(ctx context.Context, f *function) error { _, err := f.Get(ctx, 7); return err },
		"Lookup":  func(ctx context.Context, f *function) error { _, err := f.Lookup(ctx, 7); return err },
		"GetMany": func(ctx context.Context, f *function) error { _, err := f.GetMany(ctx, []int{7}); return err },
	} {
		for _, beta := range []float64{0.5, 3} {
			synctest.Test(t, func(t *testing.T) {
				var o origin
				f := wrap(t, newMemo(t, newLiveStore(), nil), "f", o.load, policy(memo.Policy{TTL: 1000 * time.Second, EarlyRefresh: beta, Retry: memo.Off}))
				o.takes(10 * time.Second)
				get(t, f, 7)
				end := time.Now().Add(1000 * time.Second)
				o.takes(0)
				o.fails(errOrigin) // so that the value stays as it is
				for _, left := range []time.Duration{800, 40, 10, 1} {
					time.Sleep(time.Until(end) - left*time.Second)
					before := len(o.called())
					for range readers {
						must(t, read(t.Context(), f))
						synctest.Wait()
					}
					got := float64(len(o.called())-before) / readers
					want := math.Exp(-float64(left) / (10 * beta))
					// Six standard deviations: it fails once in a hundred million.
					if margin := 6 * math.Sqrt(want*(1-want)/readers); math.Abs(got-want) > max(margin, 0.02) {
						t.Errorf("%s with beta %v: %d seconds before the end %.3f of the readers refreshed, want %.3f", method, beta, left, got, want)
					}
				}
			})
		}
	}
}

// One who finds a load under way begins none.
func TestEarlyRefreshOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, EarlyRefresh: 1e9}))
		o.takes(time.Second)
		get(t, f, 7)
		for range 100 {
			get(t, f, 7)
		}
		o.want(t, 2)
		time.Sleep(time.Second)
		synctest.Wait()
		if r, err := f.Lookup(t.Context(), 7); r.Value != 2 || err != nil {
			t.Errorf("got %+v, %v", r, err)
		}
		time.Sleep(time.Minute)
	})
}

func TestRefresh(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute}))
		refresh := func(want int, wantErr error) {
			t.Helper()
			v, err := f.Refresh(t.Context(), 7)
			if v != want || (err != nil) != (wantErr != nil) {
				t.Errorf("got %d, %v", v, err)
			}
		}
		refresh(1, nil)
		refresh(2, nil)
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil})
		wantLookup(t, f, seen{3, memo.SourceLoaded, 0, time.Minute, nil}, memo.Call{Refresh: true})
		o.fails(errOrigin)
		refresh(0, errOrigin)
		wantLookup(t, f, seen{3, sourceOf(s), 0, time.Minute, nil}) // what was there stays
	})
}

// Neither a stale value nor one that is too old to be refused, but what is
// loaded, or the error.
func TestRefreshIsNotAnsweredStale(t *testing.T) {
	for _, soft := range []time.Duration{0, time.Second, memo.Off} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: soft}))
			get(t, f, 7)
			time.Sleep(time.Minute)
			o.takes(time.Minute)
			o.fails(errOrigin)
			wantLookupIn(t, time.Minute, f, seen{err: errOrigin}, memo.Call{Refresh: true})
			wantLookupIn(t, time.Minute, f, seen{err: errOrigin}, memo.Call{Refresh: true, StaleOK: true})
			wantLookup(t, f, seen{1, memo.SourceStale, 3 * time.Minute, 0, errOrigin})
			o.fails(nil)
			wantLookupIn(t, time.Minute, f, seen{4, memo.SourceLoaded, 0, time.Minute, nil}, memo.Call{Refresh: true}) // whatever pause there is
		})
	}
}

// However many want a new value during a load, there is one more.
func TestConcurrentRefresh(t *testing.T) {
	for _, took := range []time.Duration{0, time.Second} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour}))
			o.takes(time.Minute)
			first := ask(t.Context(), f, 7)
			o.takes(took)
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					start := time.Now()
					var v int
					var err error
					if i%2 == 0 {
						v, err = f.Refresh(t.Context(), 7)
					} else {
						var r memo.Result[int]
						r, err = f.Lookup(t.Context(), 7, memo.Call{Refresh: true})
						v = r.Value
					}
					if v != 2 || err != nil || time.Since(start) != time.Minute+took {
						t.Errorf("got %d, %v after %v", v, err, time.Since(start))
					}
				})
			}
			synctest.Wait()
			joined := ask(t.Context(), f, 7)
			wantAnswer(t, "first", first, 1, time.Minute)
			wantAnswer(t, "joined", joined, 1, time.Minute)
			wg.Wait()
			o.want(t, 2)
			if v := get(t, f, 7); v != 2 {
				t.Errorf("%d is stored", v)
			}
		})
	}
}

// The load that a Refresh begins sees what was written before the call.
func TestRefreshSeesWhatWasWritten(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var db source
		f := wrap(t, newMemo(t, s, nil), "f", db.read, nil)
		for seed := range uint64(10) {
			c := newChance(seed)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 10 {
						c.pause()
						v := db.Add(1)
						if got, err := f.Refresh(t.Context(), 7); got < v || err != nil {
							t.Errorf("got %d, %v after %d was written", got, err, v)
						}
					}
				})
			}
			wg.Wait()
		}
	})
}

func TestCallNoStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute}))
		noStore := memo.Call{NoStore: true}
		wantLookup(t, f, seen{1, memo.SourceLoaded, 0, 0, nil}, noStore)
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
		wantLookup(t, f, seen{2, memo.SourceLoaded, 0, time.Minute, nil})
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil}, noStore)
		wantLookup(t, f, seen{3, memo.SourceLoaded, 0, 0, nil}, memo.Call{NoStore: true, Refresh: true})
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil}) // as it was

		// It is the load of who begins it.
		mustDelete(t, f, 7)
		o.takes(time.Second)
		first := ask2(t, f, noStore)
		joined := ask(t.Context(), f, 7)
		wantAnswer(t, "first", first, 4, time.Second)
		wantAnswer(t, "joined", joined, 4, time.Second)
		first = ask2(t, f, memo.Call{})
		second := ask2(t, f, noStore)
		wantAnswer(t, "first", first, 5, time.Second)
		wantAnswer(t, "joined", second, 5, time.Second)
		wantLookup(t, f, seen{5, sourceOf(s), 0, time.Minute, nil})
	})
}

// A refresh that begins when another has just stored its value takes that.
func TestRefreshAheadAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := 0
		s := storetest.Intercept(newLiveStore(), func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			err := next(ctx)
			if slow > 0 && (c.Op == "getlive" || c.Op == "getliveat") {
				slow--
				time.Sleep(time.Minute) // the old value is on its way for long
			}
			return err
		})
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, RefreshAhead: 0.5}))
		get(t, f, 7)
		time.Sleep(31 * time.Minute)
		get(t, f, 7) // and the generation is known
		synctest.Wait()
		time.Sleep(31 * time.Minute)
		slow = 1
		late := ask(t.Context(), f, 7)
		get(t, f, 7)
		o.want(t, 3)
		wantAnswer(t, "late", late, 2, time.Minute)
		o.want(t, 3)
	})
}
