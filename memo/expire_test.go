package memo_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

func TestExpire(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, Stale: 10 * time.Minute}))
		wantGone(t, f)
		get(t, f, 7)
		time.Sleep(time.Minute)
		must(t, f.Expire(t.Context(), 7))
		meta, err := f.Meta(t.Context(), 7)
		if err != nil || !meta.FreshUntil.Equal(time.Now()) || meta.StaleUntil.Sub(meta.FreshUntil) != 10*time.Minute || time.Since(meta.Created) != time.Minute {
			t.Errorf("Meta: %+v, %v", meta, err)
		}
		wantTTL(t, f, 10*time.Minute)
		o.takes(time.Second)
		for range 100 {
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, nil})
		}
		o.want(t, 2)
		time.Sleep(time.Second)
		synctest.Wait()
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Hour, nil})

		o.takes(0)
		o.fails(errOrigin)
		must(t, f.Expire(t.Context(), 7))
		wantLookup(t, f, seen{2, memo.SourceStale, 0, 0, nil})
		time.Sleep(time.Minute)
		must(t, f.Expire(t.Context(), 7)) // again, which prolongs nothing
		wantTTL(t, f, 9*time.Minute)
		time.Sleep(9*time.Minute - 1)
		if r, err := f.Lookup(t.Context(), 7); r.Value != 2 || r.Source != memo.SourceStale || err != nil {
			t.Errorf("got %+v, %v", r, err)
		}
		time.Sleep(time.Nanosecond)
		wantLookup(t, f, seen{err: errOrigin})
		wantGone(t, f)
	})
}

func TestExpireWithoutStale(t *testing.T) {
	for _, p := range []memo.Policy{{}, {TTL: time.Hour}, {TTL: memo.Off}} {
		onRewritable(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(p))
			get(t, f, 7)
			must(t, f.Expire(t.Context(), 7))
			wantGone(t, f)
			if _, err := s.Get(t.Context(), theKeyOf(t, f, 7)); err != store.ErrNotFound {
				t.Errorf("the entry is still there: %v", err)
			}
			get(t, f, 7)
			o.want(t, 2)
		})
	}
}

func TestExpireWithoutEnd(t *testing.T) {
	for _, stale := range []time.Duration{time.Minute, store.Forever} {
		onRewritable(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: memo.Off, Stale: stale, Retry: memo.Off}))
			get(t, f, 7)
			o.fails(errOrigin)
			time.Sleep(1000 * time.Hour)
			must(t, f.Expire(t.Context(), 7))
			wantTTL(t, f, stale)
			time.Sleep(time.Minute - 1)
			wantLookup(t, f, seen{1, memo.SourceStale, 1000*time.Hour + time.Minute - 1, 0, nil})
			time.Sleep(time.Nanosecond)
			if stale == store.Forever {
				time.Sleep(1000 * time.Hour)
				get(t, f, 7)
				return
			}
			wantLookup(t, f, seen{err: errOrigin})
		})
	}
}

// A function that says itself how long a value is stale is believed, before
// Expire and after.
func TestExpireAfterSetStale(t *testing.T) {
	for _, stale := range []time.Duration{0, time.Minute, store.Forever} {
		for _, policyStale := range []time.Duration{0, 3 * time.Minute} {
			onRewritable(t, func(t *testing.T, s store.Store) {
				var o origin
				f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int, error) {
					memo.SetStale(ctx, stale)
					return o.load(ctx, k)
				}, policy(memo.Policy{TTL: time.Hour, Stale: policyStale, Retry: memo.Off}))
				get(t, f, 7)
				o.fails(errOrigin)
				time.Sleep(time.Second)
				must(t, f.Expire(t.Context(), 7))
				if stale == 0 {
					wantLookup(t, f, seen{err: errOrigin})
					return
				}
				wantTTL(t, f, stale)
				time.Sleep(time.Minute - 1)
				if v := get(t, f, 7); v != 1 {
					t.Errorf("got %d", v)
				}
				time.Sleep(time.Nanosecond)
				if stale == time.Minute {
					wantLookup(t, f, seen{err: errOrigin})
					return
				}
				time.Sleep(1000 * time.Hour)
				if v := get(t, f, 7); v != 1 {
					t.Errorf("got %d", v)
				}
			})
		}
	}
}

// A load that was under way may have seen what was before.
func TestExpireDuringLoad(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, Stale: time.Hour}))
		get(t, f, 7)
		o.takes(10 * time.Second)
		first := ask2(t, f, memo.Call{Refresh: true})
		must(t, f.Expire(t.Context(), 7))
		wantLookup(t, f, seen{1, memo.SourceStale, 0, 0, nil})
		o.want(t, 3)
		wantAnswer(t, "first", first, 2, 10*time.Second)
		synctest.Wait()
		wantLookup(t, f, seen{3, sourceOf(s), 0, time.Hour, nil})
	})
}
