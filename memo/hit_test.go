package memo_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// TestSharedHits is about what Get answers at once from a store in the process:
// by a shorter way than that of other answers, on which nothing may be missed.
func TestSharedHits(t *testing.T) {
	gone := errors.Join(store.ErrNotFound, errors.New("no such user"))
	for name, test := range map[string]struct {
		policy memo.Policy
		load   func(ctx context.Context, n int) (int, error) // the n-th load, from 1
		then   func(t *testing.T, m *memo.Memo, f *memo.Func[int, int])
		want   int
		err    error
		loads  int // in the end
	}{
		"fresh":   {load: count, want: 1, loads: 1},
		"expired": {policy: memo.Policy{TTL: time.Minute}, load: count, then: pass(time.Minute), want: 2, loads: 2},
		"stale": {
			policy: memo.Policy{TTL: time.Minute, Stale: time.Hour},
			load:   count, then: pass(time.Minute), want: 1, loads: 2,
		},
		"absent": {
			policy: memo.Policy{TTL: time.Minute, Absent: time.Minute},
			load:   func(context.Context, int) (int, error) { return 0, gone }, err: store.ErrNotFound, loads: 1,
		},
		"cleared": {load: count, then: func(t *testing.T, m *memo.Memo, f *memo.Func[int, int]) {
			if err := m.Clear(t.Context()); err != nil {
				t.Error(err)
			}
		}, want: 2, loads: 2},
		"a tag": {load: func(ctx context.Context, n int) (int, error) {
			memo.Tag(ctx, "t")
			return n, nil
		}, then: func(t *testing.T, m *memo.Memo, f *memo.Func[int, int]) {
			if err := m.InvalidateTags(t.Context(), "t"); err != nil {
				t.Error(err)
			}
		}, want: 2, loads: 2},
		"refreshed ahead": {
			policy: memo.Policy{TTL: time.Minute, RefreshAhead: 0.5},
			load:   count, then: pass(31 * time.Second), want: 1, loads: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, err := memo.New(newMemory(t), &memo.Options{Policy: test.policy})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = m.Close(context.Background()) }()
				loads := 0
				f := memo.Must(memo.Wrap(m, "f", func(ctx context.Context, k int) (int, error) {
					if k != 7 {
						return k, nil
					}
					loads++
					return test.load(ctx, loads)
				}, &memo.FuncOptions[int, int]{Shared: true}))
				if _, err := f.Get(t.Context(), 7); !errors.Is(err, test.err) {
					t.Fatal(err)
				}
				if test.then != nil {
					test.then(t, m, f)
				}
				// The short way is for those who know the generation already.
				if _, err := f.Get(t.Context(), 8); err != nil {
					t.Fatal(err)
				}
				if got, err := f.Get(t.Context(), 7); got != test.want || !errors.Is(err, test.err) {
					t.Errorf("Get = %d, %v; want %d, %v", got, err, test.want, test.err)
				}
				synctest.Wait()
				if loads != test.loads {
					t.Errorf("%d loads, want %d", loads, test.loads)
				}
			})
		})
	}
}

func count(_ context.Context, n int) (int, error) { return n, nil }

func pass(d time.Duration) func(*testing.T, *memo.Memo, *memo.Func[int, int]) {
	return func(*testing.T, *memo.Memo, *memo.Func[int, int]) { time.Sleep(d) }
}
