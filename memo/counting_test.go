package memo_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func failsBelowZero(k int) error {
	if k < 0 {
		return errOrigin
	}
	return nil
}

// To ask whether there is a value, and what is known about it, counts as
// nothing: neither a hit nor a miss nor a load.
func TestAskingIsNotCounted(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", echo, nil)
		get(t, f, 7)
		before := f.Stats()
		for _, k := range []int{7, 8} {
			_, _ = f.Has(t.Context(), k)
			_, _ = f.TTL(t.Context(), k)
			_, _ = f.Meta(t.Context(), k)
			_, _ = f.Key(k)
		}
		if after := f.Stats(); after != before {
			t.Errorf("%+v, before %+v", after, before)
		}
	})
}

// Each thing that can happen is counted where it belongs, by function and in
// all; counting can be paused, also for functions to come, and begun anew.
func TestStatsOfAMemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var absent, panics bool
		m := newMemo(t, storetest.Bare(newLiveStore()), &memo.Options{Trace: &memo.Trace{LoadStart: func(context.Context, memo.LoadStartInfo) {
			if panics {
				panic("hook")
			}
		}}})
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			if absent {
				return 0, store.ErrNotFound
			}
			return k, failsBelowZero(k)
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, Absent: time.Minute}})
		first := f.Stats()
		var want memo.Stats
		check := func(what string) {
			t.Helper()
			synctest.Wait()
			got := f.Stats()
			got.BytesRead, got.BytesWritten, got.LoadTime = 0, 0, 0
			if got != want {
				t.Errorf("after %s: %+v, want %+v", what, got, want)
			}
			if m.FuncStats()["f"] != f.Stats() {
				t.Errorf("after %s: by name %+v", what, m.FuncStats())
			}
		}
		a, b := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
		<-a
		<-b
		want.Misses, want.Shared, want.Loaded = 1, 1, 1
		check("a load that is shared")
		get(t, f, 7)
		want.StoreHits++
		check("a hit")
		time.Sleep(time.Minute)
		get(t, f, 7)
		want.StaleHits++
		want.Refreshes++
		check("a stale hit")
		time.Sleep(2 * time.Second)
		want.Loaded++
		check("the refresh")
		_, _ = f.Get(t.Context(), -1)
		want.Misses++
		want.LoadErrors++
		check("an error")
		absent = true
		_, _ = f.Get(t.Context(), 9)
		_, _ = f.Get(t.Context(), 9)
		absent = false
		want.Misses++
		want.Absent++
		want.NegativeHits++
		check("an absence")
		voided := ask(t.Context(), f, 10)
		mustDelete(t, f, 10)
		<-voided
		want.Misses++
		want.Loaded++
		want.Voided++
		check("a Delete during a load")
		panics = true
		get(t, f, 11)
		panics = false
		want.Misses++
		want.Loaded++
		check("a hook that panicked")
		if all := m.Stats(); all.HookPanics != 1 || all.LoadTime != f.Stats().LoadTime || all.LoadTime != 6*time.Second || all.BytesWritten == 0 || all.BytesRead == 0 {
			t.Errorf("all: %+v", all)
		}

		before := m.Stats()
		m.PauseStats()
		later := wrap(t, m, "later", echo, nil)
		count := func(context.Context) (int, error) { return 1, nil }
		for range 2 {
			get(t, f, 7)
			get(t, later, 7)
			if _, err := memo.Get(t.Context(), m, "k", count, nil); err != nil {
				t.Error(err)
			}
		}
		if got := m.Stats(); got != before {
			t.Errorf("paused: %+v, before %+v", got, before)
		}
		m.ResumeStats()
		get(t, later, 7)
		if _, err := memo.Get(t.Context(), m, "k", count, nil); err != nil {
			t.Error(err)
		}
		if got := m.Stats(); got.StoreHits != before.StoreHits+2 || m.FuncStats()["later"].StoreHits != 1 || len(m.FuncStats()) != 2 {
			t.Errorf("resumed: %+v, %+v", got, m.FuncStats())
		}
		m.ResetStats()
		if m.Stats() != (memo.Stats{}) || f.Stats() != first || later.Stats() != first {
			t.Errorf("reset: %+v", m.Stats())
		}
		get(t, f, 7)
		if m.Stats().Requests() != 1 {
			t.Errorf("after the reset: %+v", m.Stats())
		}
	})
}
