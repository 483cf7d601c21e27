package memo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// ways are those in which a value gets its tag.
var ways = []string{"FuncOptions", "Call", "Tag", "Tag again", "ErrNotModified", "absent", "absent, not remembered", "NoStore", "Call.NoStore"}

// tagged returns a function that reads data, and what its calls want.
func tagged(t *testing.T, m *memo.Memo, way string, st *stage, data *atomic.Int64) (*memo.Func[int, int64], memo.Call) {
	o := &memo.FuncOptions[int, int64]{Policy: memo.Policy{TTL: time.Hour, Stale: time.Hour}}
	var call memo.Call
	switch way {
	case "FuncOptions", "absent", "absent, not remembered":
		o.Tags = func(int) []string { return []string{"t", "other"} }
		if way == "absent" {
			o.Policy.Absent = time.Hour
		}
	case "Call":
		call.Tags = []string{"t"}
	case "Call.NoStore":
		call.Tags, call.NoStore = []string{"t"}, true
	case "ErrNotModified", "NoStore":
		call.Refresh = true
	}
	f := wrap(t, m, "f", func(ctx context.Context, _ int) (int64, error) {
		st.step(ctx)
		switch way {
		case "Tag", "Tag again", "NoStore":
			memo.Tag(ctx, "other", "t")
		case "ErrNotModified":
			if v, _, ok := memo.Previous[int64](ctx); ok && v == data.Load() {
				st.step(ctx)
				return 0, memo.ErrNotModified
			}
			memo.Tag(ctx, "t")
		}
		v := data.Load()
		st.step(ctx)
		if way == "NoStore" {
			memo.NoStore(ctx)
		}
		if v == 1 && strings.HasPrefix(way, "absent") {
			return 0, store.ErrNotFound
		}
		return v, nil
	}, o)
	return f, call
}

// A load and an invalidation, in the same process or in two, in each order of
// their steps: what was read before is not answered afterwards.
func TestInvalidateTagsDuringLoad(t *testing.T) {
	for _, way := range ways {
		for _, by := range []string{"itself", "another"} {
			t.Run(way+" by "+by, func(t *testing.T) {
				eachStoreAnew(t, func(t *testing.T, open func() store.Store) {
					valid, old := 0, 0
					interleave(t, func(st *stage) scene { return tagScene(t, st, open(), way, by == "another", &valid, &old) })
					if valid == 0 || old == 0 {
						t.Errorf("%d entries were valid in the end, and %d loads read what was before; the test tests nothing", valid, old)
					}
				})
			})
		}
	}
}

func tagScene(t *testing.T, st *stage, s store.Store, way string, another bool, valid, old *int) scene {
	gated := st.gate(s)
	a, b := openMemo(t, gated, nil), openMemo(t, gated, nil)
	var data atomic.Int64
	data.Store(1)
	fa, call := tagged(t, a, way, st, &data)
	fb, _ := tagged(t, b, way, st, &data)
	switch way {
	case "Tag again":
		get(t, fa, 1)
	case "ErrNotModified":
		get(t, fa, 7)
	}
	m := a
	if another {
		m = b
	}
	joined := make(chan int64, 1)
	return scene{
		actors: []func(context.Context){
			func(ctx context.Context) {
				r, err := fa.Lookup(ctx, 7, call)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
				if r.Value != 2 {
					*old++
				}
			},
			func(ctx context.Context) {
				data.Store(2)
				if err := m.InvalidateTags(ctx, "t"); err != nil {
					t.Error(err)
				}
				go func() { joined <- get(t, fa, 7) }()
			},
		},
		after: func([]int) {
			if v := <-joined; v != 2 {
				t.Errorf("who came afterwards got %d", v)
			}
			before := a.Stats().Loads() + b.Stats().Loads()
			for _, f := range []*memo.Func[int, int64]{fa, fb} {
				if v := get(t, f, 7); v != 2 {
					t.Errorf("%d is stored", v)
				}
			}
			if a.Stats().Loads()+b.Stats().Loads() == before || strings.HasSuffix(way, "NoStore") {
				*valid++
			}
			closeMemos(t, a, b)
		},
	}
}

// Who comes after InvalidateTags is not answered with a load that began before,
// wherever that was called, and all who come share the next.
func TestJoinAfterInvalidateTags(t *testing.T) {
	for _, another := range []bool{false, true} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			a, b := newMemo(t, s, nil), newMemo(t, s, nil)
			var db source
			db.set(1)
			f := wrap(t, a, "f", db.read, &memo.FuncOptions[int, int64]{Tags: func(int) []string { return []string{"t"} }})
			first, joined := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
			time.Sleep(time.Second / 2)
			db.set(2)
			if another {
				mustInvalidate(t, b, "t")
			} else {
				mustInvalidate(t, a, "t")
			}
			var after []<-chan answer[int64]
			for range 20 {
				after = append(after, ask(t.Context(), f, 7))
			}
			wantAnswer(t, "first", first, 1, time.Second)
			<-joined // it cannot know whether another process was faster, and waits for the next load
			for _, c := range after {
				wantAnswer(t, "after", c, 2, 3*time.Second/2)
			}
			if n := a.Stats().Loads(); n != 2 {
				t.Errorf("%d loads, want 2", n)
			}
		})
	}
}

// When the store is away, those who join do not all load for themselves,
// because they cannot see whether a tag was invalidated.
func TestJoinTaggedLoadWithoutStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var down atomic.Bool
		faulty := storetest.Faulty(s, func(storetest.Call) error {
			if down.Load() {
				return errors.New("down")
			}
			return nil
		}, nil)
		m := newMemo(t, faulty, nil)
		var db source
		f := wrap(t, m, "f", db.read, &memo.FuncOptions[int, int64]{Tags: func(int) []string { return []string{"t"} }})
		var asked []<-chan answer[int64]
		asked = append(asked, ask(t.Context(), f, 7))
		down.Store(true)
		for range 20 {
			asked = append(asked, ask(t.Context(), f, 7))
		}
		for _, c := range asked {
			wantAnswer(t, "all", c, 0, time.Second)
		}
	})
}

// Nothing is stored of a load that names its tags itself if any tag was
// invalidated meanwhile, and all is stored if none was: the first in an empty
// store, too.
func TestTagIsStoredUnlessATagWasInvalidated(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		f := wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
			memo.Tag(ctx, "t")
			time.Sleep(time.Second)
			return k, nil
		}, nil)
		for k := range 3 {
			get(t, f, k)
			if has, err := f.Has(t.Context(), k); !has || err != nil {
				t.Errorf("%d is not stored: %v", k, err)
			}
		}
		loading := ask(t.Context(), f, 7)
		mustInvalidate(t, m, "another")
		wantAnswer(t, "during InvalidateTags", loading, 7, time.Second)
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("it is stored: %v, %v", has, err)
		}
		get(t, f, 7)
		if has, err := f.Has(t.Context(), 7); !has || err != nil {
			t.Errorf("it is not stored: %v, %v", has, err)
		}
	})
}

// Random readers, and writers that invalidate, in two processes, with delays
// everywhere: no answer is older than the last invalidation that had returned.
func TestInvalidateTagsStress(t *testing.T) {
	for seed := range uint64(10) {
		for _, way := range []string{"FuncOptions", "Tag"} {
			t.Run(fmt.Sprint(way, seed), func(t *testing.T) {
				onEachStore(t, func(t *testing.T, s store.Store) {
					tagStress(t, s, way, newChance(seed).pause)
				})
			})
		}
	}
}

func tagStress(t *testing.T, s store.Store, way string, pause func()) {
	slow := storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
		pause()
		err := next(ctx)
		pause()
		return err
	})
	var data, floor atomic.Int64
	memos := []*memo.Memo{newMemo(t, slow, nil), newMemo(t, slow, nil)}
	done := make(chan struct{}, 10)
	for _, m := range memos {
		o := new(memo.FuncOptions[int, int64])
		if way == "FuncOptions" {
			o.Tags = func(int) []string { return []string{"t"} }
		}
		f := wrap(t, m, "f", func(ctx context.Context, _ int) (int64, error) {
			if way == "Tag" {
				memo.Tag(ctx, "t")
			}
			pause()
			v := data.Load()
			pause()
			return v, nil
		}, o)
		for range 3 {
			go func() {
				for range 60 {
					least := floor.Load()
					if v := get(t, f, 7); v < least {
						t.Errorf("got %d after InvalidateTags of all before %d had returned", v, least)
					}
					pause()
				}
				done <- struct{}{}
			}()
		}
		go func() {
			for range 20 {
				v := data.Add(1)
				mustInvalidate(t, m, "t")
				for old := floor.Load(); old < v && !floor.CompareAndSwap(old, v); old = floor.Load() {
				}
				pause()
				pause()
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	synctest.Wait()
}

// A load that could not read the version of its tag has none that fits, also
// where the store has lost what InvalidateTags has stored meanwhile.
func TestJoinLoadOfUnknownTags(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var fo failsOn
		a, b := newMemo(t, fo.over(s), nil), newMemo(t, s, nil)
		var db source
		db.set(1)
		f := wrap(t, a, "f", db.read, &memo.FuncOptions[int, int64]{Tags: func(int) []string { return []string{"t"} }})
		fo.set(about("#tag:t"))
		first := ask(t.Context(), f, 7)
		fo.set(nil)
		db.set(2)
		mustInvalidate(t, b, "t")
		mustForget(t, s, "::#tag:t")
		after := ask(t.Context(), f, 7)
		wantAnswer(t, "first", first, 1, time.Second)
		if a := <-after; a.value != 2 || a.err != nil {
			t.Errorf("who came after InvalidateTags got %+v", a)
		}
	})
}
