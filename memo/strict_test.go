package memo_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// failsOn makes those calls of a store fail for which it is on.
type failsOn struct {
	on   atomic.Pointer[func(storetest.Call) bool]
	down error
}

func (fo *failsOn) set(on func(storetest.Call) bool) { fo.on.Store(&on) }

func (fo *failsOn) over(s store.Store) store.Store {
	fo.down = errors.New("down")
	return storetest.Faulty(s, func(c storetest.Call) error {
		if on := fo.on.Load(); on != nil && *on != nil && (*on)(c) {
			return fo.down
		}
		return nil
	}, nil)
}

func about(part string) func(storetest.Call) bool {
	return func(c storetest.Call) bool { return strings.Contains(strings.Join(c.Keys, " "), part) }
}

// A failure of the store that concerns a call fails it, and nothing else does.
func TestStrict(t *testing.T) {
	isSet := func(c storetest.Call) bool { return strings.HasPrefix(c.Op, "set") && !ofVersions(c) }
	for what, c := range map[string]struct {
		on     func(storetest.Call) bool
		named  bool // by Tag
		stored bool // the value was stored before
		wait   time.Duration
	}{
		"the generation":      {on: about("f:#")},
		"the entry":           {on: func(c storetest.Call) bool { return c.Op == "get" || (c.Op == "getlive" || c.Op == "getliveat") }},
		"the fill":            {on: isSet},
		"the tags of a hit":   {on: about("#tag:t"), stored: true},
		"the declared tags":   {on: about("#tag:t")},
		"the named tags":      {on: about("#tag:n"), named: true},
		"the tags' moment":    {on: about("#tag:#"), named: true},
		"the hit":             {on: func(c storetest.Call) bool { return (c.Op == "getlive" || c.Op == "getliveat") && !ofVersions(c) }, stored: true},
		"a generation, later": {on: about("f:#"), stored: true, wait: time.Minute},
	} {
		t.Run(what, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) {
				for _, strict := range []bool{true, false} {
					var fo failsOn
					m := newMemo(t, fo.over(s), &memo.Options{Strict: strict, Namespace: map[bool]string{true: "strict"}[strict]})
					f := wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
						if c.named {
							memo.Tag(ctx, "n")
						}
						return k, nil
					}, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"t"} }})
					if c.stored {
						get(t, f, 7)
					} else if what != "the generation" {
						get(t, f, 8)
					}
					time.Sleep(c.wait)
					fo.set(c.on)
					v, err := f.Get(t.Context(), 7)
					if strict != (err != nil) || strict && (!errors.Is(err, store.ErrUnavailable) || !errors.Is(err, fo.down)) || !strict && v != 7 {
						t.Errorf("strict %v: %d, %v", strict, v, err)
					}
					var e *memo.Error
					if strict && (!errors.As(err, &e) || e.Op != "get" || e.Func != "f") {
						t.Errorf("the error is %#v", err)
					}
					if m.Stats().StoreErrors == 0 {
						t.Error("no failure was counted")
					}
					fo.set(nil)
					if v := get(t, f, 7); v != 7 {
						t.Errorf("afterwards: %d", v)
					}
				}
			})
		})
	}
}

// A miss, an error of the function, and what cannot be decoded are no failures
// of the store.
func TestStrictFailsForTheStoreAlone(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Strict: true})
		fl := &failing{err: errQuota}
		f := wrap(t, m, "f", fl.read, nil)
		if _, err := f.Get(t.Context(), 7); !errors.Is(err, errQuota) {
			t.Errorf("%v", err)
		}
		fl.err = nil
		get(t, f, 7)
		if err := s.Set(t.Context(), theKeyOf(t, f, 7), []byte("junk"), store.Forever); err != nil {
			t.Fatal(err)
		}
		get(t, f, 7)
	})
}

// When the store is down it is seen: counted as failures and not as misses of
// an answer, told to Trace and said in the log. Callers at the same time still
// share a load.
func TestStoreDownIsVisible(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		var fo failsOn
		log := new(bytes.Buffer)
		m := newMemo(t, fo.over(s), &memo.Options{Trace: seen.trace(), Logger: slog.New(slog.NewTextHandler(log, nil))})
		f := wrap(t, m, "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			return k, nil
		}, nil)
		get(t, f, 7)
		fo.set(func(storetest.Call) bool { return true })
		time.Sleep(time.Second)
		const callers = 50
		var answers []<-chan answer[int]
		for range callers {
			answers = append(answers, ask(t.Context(), f, 7))
		}
		for _, c := range answers {
			wantAnswer(t, "while it is down", c, 7, time.Second)
		}
		st := m.Stats()
		if st.Loads() != 2 || st.StoreErrors != callers || st.Misses != 2 || st.Shared != callers-1 {
			t.Errorf("%+v", st)
		}
		seen.want(t, 2, callers, 0, 0)
		if n := strings.Count(log.String(), "the store has failed"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
	})
}

// Every method goes by the options of its function: the namespace, region,
// store, version, key and policy.
func TestEveryMethodGoesByTheFunctionsOptions(t *testing.T) {
	onEachStore(t, func(t *testing.T, far store.Store) {
		near := storetest.NewRecorder(newLiveStore())
		m := newMemo(t, near, &memo.Options{
			Namespace: "app", Policy: memo.Policy{TTL: time.Hour},
			Regions: map[string]memo.Region{"r": {Store: far, Namespace: "region", Policy: memo.Policy{TTL: time.Minute}}},
		})
		plain := wrap(t, m, "plain", echo, nil)
		f := wrap(t, m, "f", echo, &memo.FuncOptions[int, int]{
			Region: "r", Version: "v3", KeyFunc: func(k int) (string, error) { return strings.Repeat("x", k), nil },
			Policy: memo.Policy{Stale: time.Second},
		})
		const key = "region:f@v3:xxxxxxx"
		near.Reset()
		stored := func() bool {
			_, err := far.Get(t.Context(), key)
			return err == nil
		}
		has := func(want bool) {
			t.Helper()
			if has, err := f.Has(t.Context(), 7); has != want || stored() != want || err != nil {
				t.Errorf("Has: %v, %v; stored: %v; want %v", has, err, stored(), want)
			}
		}
		ttl := func(want time.Duration) {
			t.Helper()
			if ttl, err := f.TTL(t.Context(), 7); ttl != want || err != nil {
				t.Errorf("TTL: %v, %v, want %v", ttl, err, want)
			}
		}
		if got := theKeyOf(t, f, 7); got != key {
			t.Errorf("Key: %s", got)
		}
		has(false)
		get(t, f, 7)
		has(true)
		ttl(time.Minute + time.Second)
		time.Sleep(30 * time.Second)
		ttl(31 * time.Second)
		if err := f.Touch(t.Context(), 7); err != nil {
			t.Error(err)
		}
		ttl(time.Minute + time.Second)
		if err := f.TouchAt(t.Context(), 7, time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		ttl(time.Hour + time.Second)
		if err := f.Expire(t.Context(), 7); err != nil {
			t.Error(err)
		}
		has(true)
		mustDelete(t, f, 7)
		has(false)
		if err := f.Set(t.Context(), 7, 7); err != nil {
			t.Error(err)
		}
		has(true)
		ttl(time.Minute + time.Second)
		if meta, err := f.Meta(t.Context(), 7); meta.FreshUntil.Sub(meta.Created) != time.Minute || err != nil {
			t.Errorf("Meta: %+v, %v", meta, err)
		}
		if err := f.DeleteMany(t.Context(), []int{7}); err != nil {
			t.Error(err)
		}
		has(false)
		if _, err := f.GetMany(t.Context(), []int{7}); err != nil {
			t.Error(err)
		}
		has(true)
		if _, err := f.Refresh(t.Context(), 7); err != nil {
			t.Error(err)
		}
		mustClear(t, f)
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("after Clear: %v, %v", has, err)
		}
		if n := len(near.Calls()); n != 0 {
			t.Errorf("the Memo's store was asked: %v", near.Calls())
		}
		get(t, plain, 7)
		if ttl, err := plain.TTL(t.Context(), 7); ttl != time.Hour || err != nil {
			t.Errorf("TTL: %v, %v", ttl, err)
		}
	})
}
