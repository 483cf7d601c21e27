package memo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// A result that is not stored still replaces what is: it is newer.
func TestResultThatIsNotStoredSupersedes(t *testing.T) {
	for name, say := range map[string]func(context.Context){
		"SetTTL":  func(ctx context.Context) { memo.SetTTL(ctx, 0) },
		"NoStore": memo.NoStore,
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) {
				calls := 0
				f := wrap(t, newMemo(t, s, nil), "token", func(ctx context.Context, _ int) (int, error) {
					calls++
					if calls == 1 {
						memo.SetTTL(ctx, time.Second)
					} else {
						say(ctx)
					}
					return calls, nil
				}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour, Stale: time.Hour}})
				get(t, f, 7)
				time.Sleep(2 * time.Second)
				if r, err := f.Lookup(t.Context(), 7); r.Value != 1 || r.Source != memo.SourceStale || err != nil {
					t.Errorf("%+v, %v; want the stale value while it is being replaced", r, err)
				}
				time.Sleep(time.Second)
				if r, err := f.Lookup(t.Context(), 7); r.Value != 3 || r.Source != memo.SourceLoaded || err != nil {
					t.Errorf("%+v, %v; want a new value, as there is a newer one than what was stored", r, err)
				}
			})
		})
	}
}

// What a caller itself does not want to store leaves the others theirs.
func TestCallNoStoreLeavesWhatIsStored(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		calls := 0
		f := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (int, error) {
			calls++
			return calls, nil
		}, nil)
		get(t, f, 7)
		if r, err := f.Lookup(t.Context(), 7, memo.Call{Refresh: true, NoStore: true}); r.Value != 2 || err != nil {
			t.Errorf("%+v, %v", r, err)
		}
		if v := get(t, f, 7); v != 1 {
			t.Errorf("got %d, want what was stored", v)
		}
	})
}

// A pause is over for those who have another etag: what is to be loaded now may
// be all right again.
func TestPauseIsOfAnETag(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		etag, broken := "1", false
		f := wrap(t, newMemo(t, s, nil), "config", func(context.Context, int) (string, error) {
			if broken {
				return "", errors.New("bad syntax")
			}
			return "content of " + etag, nil
		}, &memo.FuncOptions[int, string]{
			Policy: memo.Policy{TTL: memo.Off, Stale: time.Hour, Retry: time.Minute},
			ETag:   func(context.Context, int) (string, error) { return etag, nil },
		})
		want := func(value string, source memo.Source) {
			t.Helper()
			if r, err := f.Lookup(t.Context(), 7); r.Value != value || r.Source != source || err != nil {
				t.Errorf("%+v, %v; want %q from %v", r, err, value, source)
			}
		}
		want("content of 1", memo.SourceLoaded)
		etag, broken = "2", true
		want("content of 1", memo.SourceStale)
		broken = false
		want("content of 1", memo.SourceStale) // it is not tried for a minute
		etag = "3"
		want("content of 3", memo.SourceLoaded)
	})
}

// That nobody waits for a load any more says nothing about the next one.
func TestCancelledLoadBeginsNoPause(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		version := 1
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, _ int) (int, error) {
			select {
			case <-time.After(time.Second):
				return version, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, &memo.FuncOptions[int, int]{
			Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: memo.Off, Retry: time.Hour},
		})
		get(t, f, 7)
		time.Sleep(2 * time.Minute)
		version = 2
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := f.Get(ctx, 7); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		if r, err := f.Lookup(t.Context(), 7); r.Value != 2 || r.Source != memo.SourceLoaded || err != nil {
			t.Errorf("%+v, %v; want the new value", r, err)
		}
	})
}

// A store that does not answer costs its time-out once for a call: what it
// could not be asked for is not stored.
func TestHangingStoreCostsOneTimeout(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		hangs := false
		hanging := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if !hangs {
				return next(ctx)
			}
			time.Sleep(time.Second)
			return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "no answer")
		})
		f := wrap(t, newMemo(t, hanging, nil), "f", echo, nil)
		get(t, f, 1)
		hangs = true
		for k := range 3 {
			start := time.Now()
			get(t, f, k+10)
			if d := time.Since(start); d != time.Second {
				t.Errorf("call %d took %v, want the time-out", k, d)
			}
		}
	})
}

// A refresh of many is one load.
func TestRefreshOfManyCountsOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", echo, &memo.FuncOptions[int, int]{
			Policy: memo.Policy{TTL: time.Second, Stale: time.Hour},
			FillMany: func(_ context.Context, ks []int, put func(int, int)) error {
				for _, k := range ks {
					put(k, k)
				}
				return nil
			},
		})
		for range 2 {
			if _, err := f.GetMany(t.Context(), []int{1, 2, 3}); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
		}
		if stats := f.Stats(); stats.Refreshes != 1 || stats.Loads() != 2 {
			t.Errorf("%d refreshes and %d loads, want 1 and 2", stats.Refreshes, stats.Loads())
		}
	})
}
