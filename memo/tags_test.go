package memo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func mustInvalidate(t *testing.T, m *memo.Memo, names ...string) {
	t.Helper()
	if err := m.InvalidateTags(t.Context(), names...); err != nil {
		t.Errorf("InvalidateTags(%q): %v", names, err)
	}
}

func TestTagsOfAnEntry(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Namespace: "one"})
		other := newMemo(t, s, &memo.Options{Namespace: "two"})
		calls := map[int]int{}
		fn := func(ctx context.Context, k int) (int, error) {
			calls[k]++
			memo.Tag(ctx, "named", fmt.Sprint("k", k))
			return calls[k], nil
		}
		shared := make([]string, 1, 9) // with room for another's tags
		shared[0] = "declared"
		f := wrap(t, m, "f", fn, &memo.FuncOptions[int, int]{Tags: func(int) []string { return shared }})
		call := memo.Call{Tags: []string{"call", "declared", "call"}}
		load := func(k int) int {
			t.Helper()
			r, err := f.Lookup(t.Context(), k, call)
			if err != nil {
				t.Error(err)
			}
			return r.Value
		}
		for k := range 3 {
			load(k)
		}
		for k := range 3 {
			if v := load(k); v != 1 {
				t.Fatalf("%d was loaded %d times", k, v)
			}
		}
		meta, err := f.Meta(t.Context(), 1)
		slices.Sort(meta.Tags)
		if want := []string{"call", "declared", "k1", "named"}; !slices.Equal(meta.Tags, want) || err != nil {
			t.Errorf("tags %q, %v; want %q", meta.Tags, err, want)
		}
		if shared[:2][1] != "" {
			t.Error("the slice of the function was written to")
		}
		mustInvalidate(t, other, "named", "call", "declared", "k1")
		mustInvalidate(t, m)
		mustInvalidate(t, m, "kk", "k", "K1")
		for k := range 3 {
			if v := load(k); v != 1 {
				t.Errorf("tags of others invalidated %d", k)
			}
		}
		mustInvalidate(t, m, "k1", "k1")
		for k, want := range []int{1, 2, 1} {
			if v := load(k); v != want {
				t.Errorf("after k1: %d was loaded %d times", k, v)
			}
		}
		for i, tag := range []string{"named", "call", "declared"} {
			mustInvalidate(t, m, tag)
			if has, err := f.Has(t.Context(), 2); has || err != nil {
				t.Errorf("after %s: Has: %v, %v", tag, has, err)
			}
			if _, err := f.TTL(t.Context(), 2); err != store.ErrNotFound {
				t.Errorf("after %s: TTL: %v", tag, err)
			}
			if v := load(2); v != i+2 {
				t.Errorf("after %s: %d loads", tag, v)
			}
		}
	})
}

// A tag is invalidated with the same writes however many entries have it.
func TestInvalidateTagsTakesAWriteForEach(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		r := storetest.NewRecorder(s)
		m := newMemo(t, r, nil)
		f := wrap(t, m, "f", echo, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"a", "b"} }})
		for k := range 500 {
			get(t, f, k)
		}
		time.Sleep(time.Second)
		r.Reset()
		mustInvalidate(t, m, "a", "b", "a")
		if calls := r.Calls(); len(calls) != 3 || r.Count("set") != 3 || !strings.HasSuffix(calls[0].Key(), "#tag:#") {
			t.Errorf("%v, want one write of the moment, then one of each tag", calls)
		}
		for k := range 500 {
			if has, _ := f.Has(t.Context(), k); has {
				t.Fatalf("%d is still there", k)
			}
		}
	})
}

// The store loses the versions of tags, or other entries, at any moment: what
// carries them is gone, and does not come back.
func TestTagVersionsLost(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		keys := storetest.NewRecorder(s)
		a, b := newMemo(t, keys, nil), newMemo(t, keys, nil)
		var data atomic.Int64
		read := func(context.Context, int) (int64, error) { return data.Load(), nil }
		o := &memo.FuncOptions[int, int64]{Tags: func(int) []string { return []string{"t"} }}
		fa, fb := wrap(t, a, "f", read, o), wrap(t, b, "f", read, o)
		lose := func() {
			for _, c := range keys.Calls() {
				for _, key := range c.Keys {
					if strings.Contains(key, "#tag:") {
						if err := s.Delete(t.Context(), key); err != nil {
							t.Error(err)
						}
					}
				}
			}
		}
		for _, f := range []*memo.Func[int, int64]{fa, fb} {
			data.Add(1)
			get(t, f, 7)
			lose()
			now := data.Add(1)
			if v := get(t, fa, 7); v != now {
				t.Errorf("got %d, want %d: the version of its tag is lost", v, now)
			}
			now = data.Add(1)
			mustInvalidate(t, b, "t")
			lose()
			for _, f := range []*memo.Func[int, int64]{fa, fb} {
				if v := get(t, f, 7); v != now {
					t.Errorf("got %d, want %d: it came back", v, now)
				}
			}
		}
	})
}

// Each store of a Memo has versions of its own, and InvalidateTags reaches all.
func TestInvalidateTagsInAllStores(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		refused := errors.New("refused")
		var fails atomic.Bool
		far := storetest.NewRecorder(storetest.Faulty(newLiveStore(), func(c storetest.Call) error {
			if fails.Load() && strings.HasPrefix(c.Op, "set") {
				return refused
			}
			return nil
		}, nil))
		m := newMemo(t, s, &memo.Options{Trace: seen.trace(), Regions: map[string]memo.Region{
			"far": {Store: far}, "same": {Namespace: "else", Store: far}, "plain": {},
		}})
		var data atomic.Int64
		read := func(context.Context, int) (int64, error) { return data.Load(), nil }
		var fs []*memo.Func[int, int64]
		for _, region := range []string{"", "far", "same", "plain"} {
			o := &memo.FuncOptions[int, int64]{Region: region, Tags: func(int) []string { return []string{"t"} }}
			fs = append(fs, wrap(t, m, "f"+region, read, o))
		}
		o := &memo.FuncOptions[int, int64]{Store: far, Tags: func(int) []string { return []string{"t"} }}
		fs = append(fs, wrap(t, m, "own", read, o))
		far.Reset()
		for i := range int64(3) {
			data.Store(i)
			mustInvalidate(t, m, "t")
			for _, f := range fs {
				if v := get(t, f, 7); v != i {
					t.Errorf("got %d, want %d", v, i)
				}
			}
		}
		far.Reset()
		mustInvalidate(t, m, "t")
		if n := len(far.Calls()); n != 2 {
			t.Errorf("%d writes to the store that several have, want 2: %v", n, far.Calls())
		}
		fails.Store(true)
		seen = events{}
		err := m.InvalidateTags(t.Context(), "t")
		if !errors.Is(err, refused) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a store fails: %v", err)
		}
		seen.want(t, 0, 1, 0, 0)
	})
}

func TestInvalidateTagsRefuses(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var none context.Context
		for what, c := range map[string]struct{ got, want error }{
			"no name":     {m.InvalidateTags(t.Context(), "a", ""), store.ErrInvalid},
			"nil context": {m.InvalidateTags(none, "a"), store.ErrInvalid},
			"ended":       {m.InvalidateTags(ended, "a"), context.Canceled},
			"unbound":     {newMemo(t, memo.Later, nil).InvalidateTags(t.Context(), "a"), store.ErrInvalid},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v, want %v", what, c.got, c.want)
			}
		}
		closed := openMemo(t, s, nil)
		closeMemos(t, closed)
		if err := closed.InvalidateTags(t.Context(), "a"); !errors.Is(err, memo.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		f := wrap(t, m, "f", echo, nil)
		if _, err := f.Lookup(t.Context(), 1, memo.Call{Tags: []string{""}}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Lookup: %v", err)
		}
	})
}

// A value of which it cannot be known which version of its tags it belongs to
// is returned and not stored.
func TestTagsThatCannotBeRead(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		var down atomic.Bool
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if down.Load() && strings.Contains(strings.Join(c.Keys, " "), "#tag:") && !strings.Contains(strings.Join(c.Keys, " "), "f:#") {
				return errors.New("down")
			}
			return nil
		}, nil)
		m := newMemo(t, faulty, &memo.Options{Trace: seen.trace()})
		declared := wrap(t, m, "declared-f", echo, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"t"} }})
		named := wrap(t, m, "named-f", func(ctx context.Context, k int) (int, error) {
			memo.Tag(ctx, "t")
			return k, nil
		}, nil)
		for _, f := range []*memo.Func[int, int]{declared, named} {
			get(t, f, 1)
			seen = events{}
			down.Store(true)
			get(t, f, 1)
			get(t, f, 2)
			if len(seen.storeErrors) < 2 {
				t.Errorf("reported %v", seen.storeErrors)
			}
			down.Store(false)
			if has, err := f.Has(t.Context(), 2); has || err != nil {
				t.Errorf("it is stored: %v, %v", has, err)
			}
		}
	})
}
