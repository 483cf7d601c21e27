package memo_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// A stricter reader loads anew what a laxer one accepts, and for all.
func TestMaxAge(t *testing.T) {
	onExactAndLongStores(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour}))
		get(t, f, 7)
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{1, sourceOf(s), time.Minute, 59 * time.Minute, nil}, memo.Call{MaxAge: time.Minute})
		time.Sleep(time.Nanosecond)
		wantLookup(t, f, seen{1, sourceOf(s), time.Minute + 1, 59*time.Minute - 1, nil})
		wantLookup(t, f, seen{1, sourceOf(s), time.Minute + 1, 59*time.Minute - 1, nil}, memo.Call{MaxAge: time.Hour})
		wantLookup(t, f, seen{2, memo.SourceLoaded, 0, time.Hour, nil}, memo.Call{MaxAge: time.Minute})
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Hour, nil})
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Hour, nil}, memo.Call{MaxAge: 1})
	})
}

// What is too old is no substitute, whatever Stale says. To others it is what
// it was.
func TestMaxAgeAndError(t *testing.T) {
	for _, soft := range []time.Duration{0, time.Second, memo.Off} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: soft, Retry: time.Hour}))
			get(t, f, 7)
			o.fails(errOrigin)
			time.Sleep(30 * time.Second)
			wantLookup(t, f, seen{err: errOrigin}, memo.Call{MaxAge: time.Second})
			wantLookup(t, f, seen{1, sourceOf(s), 30 * time.Second, 30 * time.Second, nil})
			time.Sleep(30 * time.Second)
			wantLookup(t, f, seen{err: errOrigin}, memo.Call{MaxAge: time.Second})
			wantLookup(t, f, seen{err: errOrigin}, memo.Call{MaxAge: time.Second}) // tries each time
			o.want(t, 4)
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin}, memo.Call{MaxAge: time.Hour})
			wantLookup(t, f, seen{1, memo.SourceStale, time.Minute, 0, errOrigin})
			o.want(t, 4)
		})
	}
}

// Who joins a load wants its value, though that may be stored for longer than
// the caller allows; who comes when it is too old does not.
func TestMaxAgeAndSlowFill(t *testing.T) {
	for _, p := range []memo.Policy{{}, {TTL: 2 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			slow := storetest.Slow(newLiveStore(), func(c storetest.Call) time.Duration {
				if c.Op == "setlive" {
					return time.Minute
				}
				return 0
			})
			var o origin
			f := wrap(t, newMemo(t, slow, nil), "f", o.load, policy(p))
			o.takes(10 * time.Second)
			call := memo.Call{MaxAge: time.Second}
			if p.TTL > 0 {
				call = memo.Call{}
			}
			first, joined := ask2(t, f, call), ask2(t, f, call)
			time.Sleep(15 * time.Second)
			late := ask2(t, f, call)
			wantAnswer(t, "first", first, 1, 70*time.Second)
			wantAnswer(t, "joined", joined, 1, 70*time.Second)
			wantAnswer(t, "late", late, 2, 125*time.Second)
			o.want(t, 2)
		})
	}
}

func TestMaxAgeOfAbsence(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{Absent: time.Hour}))
		o.fails(store.ErrNotFound)
		wantLookup(t, f, seen{err: store.ErrNotFound})
		time.Sleep(time.Minute)
		wantLookup(t, f, seen{0, memo.SourceNegative, time.Minute, 59 * time.Minute, store.ErrNotFound}, memo.Call{MaxAge: time.Minute})
		o.fails(nil)
		wantLookup(t, f, seen{2, memo.SourceLoaded, 0, store.UnknownTTL, nil}, memo.Call{MaxAge: time.Second})
	})
}

func TestStaleOK(t *testing.T) {
	stale := memo.Call{StaleOK: true}
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Minute, SoftTimeout: memo.Off}))
		wantLookup(t, f, seen{1, memo.SourceLoaded, 0, time.Minute, nil}, stale)
		wantLookup(t, f, seen{1, sourceOf(s), 0, time.Minute, nil}, stale)
		time.Sleep(time.Second)
		wantLookup(t, f, seen{1, memo.SourceStale, time.Second, 0, nil}, memo.Call{StaleOK: true, MaxAge: 1})
		o.want(t, 2)
		wantLookup(t, f, seen{2, sourceOf(s), 0, time.Minute, nil})
		time.Sleep(time.Minute)
		o.takes(time.Minute)
		wantLookup(t, f, seen{2, memo.SourceStale, time.Minute, 0, nil}, stale) // others wait
		o.want(t, 3)
		wantLookupIn(t, time.Minute, f, seen{3, memo.SourceShared, 0, time.Minute, nil})
		o.takes(0)
		e := "e"
		wantLookup(t, f, seen{3, memo.SourceStale, 0, 0, nil}, memo.Call{StaleOK: true, ETag: &e})
		wantLookup(t, f, seen{4, sourceOf(s), 0, time.Minute, nil}, memo.Call{StaleOK: true, ETag: &e})
		o.fails(errOrigin)
		time.Sleep(2 * time.Minute)
		wantLookup(t, f, seen{err: errOrigin}, stale) // there is nothing left
	})
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []store.Store{longStore{newLiveStore()}, storetest.Bare(longStore{newLiveStore()})} {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute}))
			get(t, f, 7)
			o.fails(errOrigin)
			time.Sleep(time.Hour)
			wantLookup(t, f, seen{err: errOrigin})
			wantLookup(t, f, seen{1, memo.SourceStale, time.Hour, 0, nil}, stale)
			o.want(t, 3)
			// Where nobody else may be answered it, there is no pause.
			wantLookup(t, f, seen{1, memo.SourceStale, time.Hour, 0, nil}, stale)
			o.want(t, 4)
			o.fails(nil)
			wantLookup(t, f, seen{1, memo.SourceStale, time.Hour, 0, nil}, stale)
			wantLookup(t, f, seen{5, sourceOf(s), 0, time.Minute, nil}, stale)
		}
	})
}

// An etag that changes while loads fail makes no load per call.
func TestPauseWithOtherETag(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, Stale: time.Hour}))
		a, b := "a", "b"
		wantLookup(t, f, seen{1, memo.SourceLoaded, 0, time.Hour, nil}, memo.Call{ETag: &a})
		o.fails(errOrigin)
		for range 3 {
			wantLookup(t, f, seen{1, memo.SourceStale, 0, 0, errOrigin}, memo.Call{ETag: &b})
		}
		o.want(t, 2)
		wantLookup(t, f, seen{1, sourceOf(s), 0, time.Hour, nil}, memo.Call{ETag: &a})
		o.fails(nil)
		time.Sleep(time.Second)
		wantLookup(t, f, seen{3, memo.SourceLoaded, 0, time.Hour, nil}, memo.Call{ETag: &b})
	})
}

func TestCallPolicy(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, Stale: time.Hour, Absent: time.Minute, WaitTimeout: time.Minute}))
		with := func(p memo.Policy) memo.Call { return memo.Call{Policy: p} }
		wantLookup(t, f, seen{1, memo.SourceLoaded, 0, time.Second, nil}, with(memo.Policy{TTL: time.Second}))
		if ttl, err := f.TTL(t.Context(), 7); ttl != time.Hour+time.Second || err != nil {
			t.Errorf("TTL: %v, %v; want the function's Stale after the call's TTL", ttl, err)
		}
		if err := f.Set(t.Context(), 7, -1, with(memo.Policy{TTL: memo.Off})); err != nil {
			t.Fatal(err)
		}
		wantLookup(t, f, seen{-1, sourceOf(s), 0, store.UnknownTTL, nil})
		wantLookup(t, f, seen{-1, sourceOf(s), 0, store.Forever, nil}, with(memo.Policy{TTL: memo.Off}))
		mustDelete(t, f, 7)
		wantLookup(t, f, seen{2, memo.SourceLoaded, 0, time.Second, nil}, with(memo.Policy{TTL: time.Second, Stale: memo.Off}))
		time.Sleep(time.Second)

		o.fails(store.ErrNotFound)
		wantLookup(t, f, seen{err: store.ErrNotFound}, with(memo.Policy{Absent: memo.Off}))
		wantLookup(t, f, seen{err: store.ErrNotFound}, with(memo.Policy{Absent: time.Hour}))
		wantLookup(t, f, seen{0, memo.SourceNegative, 0, time.Hour, store.ErrNotFound})
		o.want(t, 4)

		mustDelete(t, f, 7)
		o.fails(nil)
		o.takes(10 * time.Second)
		wantLookupIn(t, time.Second, f, seen{err: memo.ErrTimeout}, with(memo.Policy{WaitTimeout: time.Second}))
		wantLookupIn(t, 9*time.Second, f, seen{5, memo.SourceShared, 0, time.Hour, nil}, with(memo.Policy{LoadTimeout: time.Second}))
		time.Sleep(time.Hour)
		wantLookupIn(t, 10*time.Second, f, seen{6, memo.SourceLoaded, 0, time.Hour, nil}, with(memo.Policy{SoftTimeout: memo.Off}))
		time.Sleep(time.Hour)
		wantLookupIn(t, 3*time.Second, f, seen{6, memo.SourceStale, time.Hour + 3*time.Second, 0, memo.ErrTimeout}, with(memo.Policy{SoftTimeout: memo.Off, LoadTimeout: 3 * time.Second}))
		time.Sleep(2*time.Hour - 10*time.Second) // the late value has been stored
		o.fails(errOrigin)
		wantLookupIn(t, 10*time.Second, f, seen{err: errOrigin}, with(memo.Policy{Stale: memo.Off}))
	})
}

func TestBadCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o origin
		recorder := storetest.NewRecorder(newLiveStore())
		f := wrap(t, newMemo(t, recorder, nil), "f", o.load, nil)
		for _, test := range []struct {
			call []memo.Call
			want string
		}{
			{[]memo.Call{{}, {}}, `memo: lookup "f": more than one Call; put all into one`},
			{[]memo.Call{{MaxAge: -time.Second}}, `memo: lookup "f": Call.MaxAge: -1s is negative; leave it zero`},
			{[]memo.Call{{Tags: []string{"a", ""}}}, `memo: lookup "f": Call.Tags: a tag is empty`},
			{[]memo.Call{{Policy: memo.Policy{TTL: -1}}}, `memo: lookup "f": Call.Policy.TTL: -1ns is negative`},
			{[]memo.Call{{Policy: memo.Policy{Stale: time.Hour}}}, `memo: lookup "f": Call.Policy.Stale: 1h0m0s without a TTL`},
		} {
			r, err := f.Lookup(t.Context(), 7, test.call...)
			if !errors.Is(err, store.ErrInvalid) || r.Err != err || r.Source != memo.SourceNone || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if err := f.Set(t.Context(), 7, 1, test.call...); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("Set: %v", err)
			}
		}
		o.want(t, 0)
		if n := len(recorder.Calls()); n != 0 {
			t.Errorf("the store was asked: %v", recorder.Calls())
		}
	})
}
