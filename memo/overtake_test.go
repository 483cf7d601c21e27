package memo_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// Whatever invalidates a value does so for each kind of load that is under way:
// nothing that was read before is answered to those who come later, nor from
// the store at any time.
func TestEachInvalidationBeatsEachFill(t *testing.T) {
	type fn = memo.Func[int, int64]
	const old, before, after, set = 10, 1, 2, 50
	stale := memo.Policy{TTL: time.Minute, Stale: time.Hour}
	with := func(change func(*memo.Policy)) memo.Policy {
		p := stale
		change(&p)
		return p
	}
	fills := map[string]struct {
		policy memo.Policy
		wait   time.Duration // since the value was stored that is to be replaced; 0 if there is none
		begin  func(context.Context, *fn)
	}{
		"foreground":   {stale, 0, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"background":   {stale, time.Minute, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"ahead":        {with(func(p *memo.Policy) { p.RefreshAhead = 0.5 }), 40 * time.Second, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"soft timeout": {with(func(p *memo.Policy) { p.SoftTimeout = time.Millisecond }), time.Minute, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"wait timeout": {with(func(p *memo.Policy) { p.WaitTimeout = time.Millisecond }), 0, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"late":         {with(func(p *memo.Policy) { p.LoadTimeout = time.Millisecond }), 0, func(ctx context.Context, f *fn) { f.Get(ctx, 7) }},
		"StaleOK":      {stale, time.Second, func(ctx context.Context, f *fn) { f.Lookup(ctx, 7, memo.Call{StaleOK: true, MaxAge: 1}) }},
		"Refresh":      {stale, time.Second, func(ctx context.Context, f *fn) { f.Refresh(ctx, 7) }},
		"batch":        {stale, 0, func(ctx context.Context, f *fn) { f.GetMany(ctx, []int{6, 7}) }},
		"batch, stale": {stale, time.Minute, func(ctx context.Context, f *fn) { f.GetMany(ctx, []int{6, 7}) }},
	}
	invalidations := map[string]func(context.Context, *memo.Memo, *fn) error{
		"Delete":         func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Delete(ctx, 7) },
		"DeleteMany":     func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.DeleteMany(ctx, []int{7, 8}) },
		"Set":            func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Set(ctx, 7, set) },
		"Expire":         func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Expire(ctx, 7) },
		"Clear":          func(ctx context.Context, _ *memo.Memo, f *fn) error { return f.Clear(ctx) },
		"Memo.Clear":     func(ctx context.Context, m *memo.Memo, _ *fn) error { return m.Clear(ctx) },
		"InvalidateTags": func(ctx context.Context, m *memo.Memo, _ *fn) error { return m.InvalidateTags(ctx, "t") },
	}
	for fill, c := range fills {
		for what, invalidate := range invalidations {
			for i := range 4 {
				many, atOnce := i&1 == 0, i&2 == 0
				if many && !strings.HasPrefix(fill, "batch") {
					continue // FillMany is not called
				}
				onEachStore(t, func(t *testing.T, s store.Store) {
					var data atomic.Int64
					read := func(context.Context, int) (int64, error) {
						v := data.Load()
						time.Sleep(time.Second)
						return v, nil
					}
					o := &memo.FuncOptions[int, int64]{Policy: c.policy, Tags: func(int) []string { return []string{"t"} }}
					if many {
						o.FillMany = func(ctx context.Context, ks []int, put func(int, int64)) error {
							v, err := read(ctx, 0)
							for _, k := range ks {
								put(k, v)
							}
							return err
						}
					}
					m := newMemo(t, s, nil)
					f := wrap(t, m, "f", read, o)
					get(t, wrap(t, m, "other", echo, nil), 1) // the first load of all needs the store more often
					if c.wait > 0 {
						must(t, f.Set(t.Context(), 7, old))
						time.Sleep(c.wait)
					}
					data.Store(before)
					go c.begin(t.Context(), f)
					time.Sleep(time.Second / 2)
					data.Store(after)
					must(t, invalidate(t.Context(), m, f))
					if !atOnce {
						time.Sleep(time.Second) // until the load has ended, and no other has begun
					}
					for range 3 {
						r, err := f.Lookup(t.Context(), 7, memo.Call{StaleOK: true})
						if err != nil && !errors.Is(err, memo.ErrTimeout) || r.Value == before {
							t.Errorf("%s during %s (%v): %+v, %v", what, fill, many, r, err)
						}
						if r.Value == old && what != "Expire" {
							t.Errorf("%s during %s (%v): the value of before is still there", what, fill, many)
						}
						time.Sleep(2 * time.Second)
					}
				})
			}
		}
	}
}

// A store that takes long to store one value holds up no other key.
func TestSlowFillBlocksNoOtherKey(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		slow := storetest.Slow(s, func(c storetest.Call) time.Duration {
			if strings.HasPrefix(c.Op, "set") && strings.HasSuffix(c.Key(), ":0") {
				return time.Hour
			}
			return 0
		})
		f := wrap(t, newMemo(t, slow, nil), "f", echo, nil)
		filling := ask(t.Context(), f, 0)
		start := time.Now()
		for k := range 500 {
			get(t, f, k+1)
			mustDelete(t, f, k+1)
		}
		if since := time.Since(start); since != 0 {
			t.Errorf("other keys took %v", since)
		}
		wantAnswer(t, "slow", filling, 0, time.Hour)
	})
}

// A function may change what is stored for the key that it is loading. That
// does not wait for itself, and the load is void.
func TestLoadChangesItsOwnKey(t *testing.T) {
	for what, change := range map[string]func(context.Context, *memo.Memo, *memo.Func[int, int]) error{
		"Delete": func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Delete(ctx, 7) },
		"DeleteMany": func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error {
			return f.DeleteMany(ctx, []int{7})
		},
		"Set":    func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Set(ctx, 7, 50) },
		"Expire": func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Expire(ctx, 7) },
		"Clear":  func(ctx context.Context, _ *memo.Memo, f *memo.Func[int, int]) error { return f.Clear(ctx) },
		"InvalidateTags": func(ctx context.Context, m *memo.Memo, _ *memo.Func[int, int]) error {
			return m.InvalidateTags(ctx, "t")
		},
	} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			m := newMemo(t, s, nil)
			var f *memo.Func[int, int]
			calls := 0
			f = wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
				if calls++; calls > 1 {
					return calls, nil
				}
				return calls, change(ctx, m, f)
			}, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"t"} }})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if v, err := f.Get(ctx, 7); v != 1 || err != nil {
				t.Errorf("%s: %d, %v", what, v, err)
			}
			want := 2
			if what == "Set" {
				want = 50
			}
			if v := get(t, f, 7); v != want {
				t.Errorf("%s: then %d, want %d", what, v, want)
			}
		})
	}
}

// Who comes after InvalidateTags in the same process does not take what is
// being loaded since before, also if the store does not tell any more which
// versions the tags have.
func TestJoinAfterInvalidateTagsWithoutStore(t *testing.T) {
	for _, many := range []bool{false, true} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var fo failsOn
			var data source
			m := newMemo(t, fo.over(s), nil)
			f := wrap(t, m, "f", data.read, &memo.FuncOptions[int, int64]{Tags: func(int) []string { return []string{"t"} }})
			data.set(1)
			get(t, f, 8)
			first := ask(t.Context(), f, 7)
			time.Sleep(900 * time.Millisecond)
			mustInvalidate(t, m, "t")
			data.set(2)
			fo.set(about("#tag:t"))
			if many {
				results, err := f.GetMany(t.Context(), []int{7})
				if err != nil || results[0].Value != 2 {
					t.Errorf("GetMany: %+v, %v, want 2", results, err)
				}
			} else if v := get(t, f, 7); v != 2 {
				t.Errorf("got %d, which was read before InvalidateTags was called", v)
			}
			wantAnswer(t, "who came before", first, 1, time.Second)
		})
	}
}

// Over a store that cannot compare and swap, Touch and Expire read an entry and
// write it back. What is changed by others of the process waits meanwhile, so
// that it is not lost.
func TestChangesDuringRewrite(t *testing.T) {
	rewrites := map[string]func(context.Context, *memo.Func[int, int]) error{
		"Touch": func(ctx context.Context, f *memo.Func[int, int]) error { return f.Touch(ctx, 7) },
		"TouchAt": func(ctx context.Context, f *memo.Func[int, int]) error {
			return f.TouchAt(ctx, 7, time.Now().Add(time.Hour))
		},
		"Expire": func(ctx context.Context, f *memo.Func[int, int]) error { return f.Expire(ctx, 7) },
	}
	changes := map[string]func(context.Context, *memo.Func[int, int]) error{
		"Set":        func(ctx context.Context, f *memo.Func[int, int]) error { return f.Set(ctx, 7, 50) },
		"Delete":     func(ctx context.Context, f *memo.Func[int, int]) error { return f.Delete(ctx, 7) },
		"DeleteMany": func(ctx context.Context, f *memo.Func[int, int]) error { return f.DeleteMany(ctx, []int{7}) },
	}
	for rewrite, begin := range rewrites {
		for what, change := range changes {
			onEachStore(t, func(t *testing.T, s store.Store) {
				slow := takes(storetest.Bare(s), -time.Second, "get")
				f := wrap(t, newMemo(t, slow, nil), "f", echo, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
				must(t, f.Set(t.Context(), 7, 10))
				ended := make(chan error)
				go func() { ended <- begin(t.Context(), f) }()
				if rewrite != "Expire" { // they first try to compare and swap
					time.Sleep(time.Second)
				}
				time.Sleep(time.Second / 2) // it has read the entry and not written it
				must(t, change(t.Context(), f))
				must(t, <-ended)
				r, err := f.Lookup(t.Context(), 7)
				if want := map[bool]int{true: 50, false: 7}[what == "Set"]; r.Value != want || err != nil {
					t.Errorf("%s during %s: %+v, %v, want %d", what, rewrite, r, err, want)
				}
			})
		}
	}
}
