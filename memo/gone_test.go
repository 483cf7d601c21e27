package memo_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

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
