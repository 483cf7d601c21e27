package memo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
)

// A load that skips is joined by nobody, and a function that asks for its own
// argument is found out all the same.
func TestSkippedCycle(t *testing.T) {
	for _, many := range []bool{false, true} {
		for _, fill := range []bool{false, true} {
			calls := 0
			var f *memo.Func[int, int]
			ask := func(ctx context.Context, k int) (int, error) {
				if calls++; calls > 50 {
					return 0, errors.New("without end")
				}
				if !many {
					return f.Get(ctx, k)
				}
				r, err := f.GetMany(ctx, []int{k})
				if err != nil {
					return 0, err
				}
				return r[0].Value, nil
			}
			o := &memo.FuncOptions[int, int]{Policy: memo.Policy{TTL: time.Hour}}
			if fill {
				o.FillMany = func(ctx context.Context, ks []int, put func(int, int)) error {
					for _, k := range ks {
						v, err := ask(ctx, k)
						if err != nil {
							return err
						}
						put(k, v)
					}
					return nil
				}
			}
			f = wrap(t, newMemo(t, newMemory(t), nil), "f", ask, o)
			_, err := ask(memo.WithSkip(t.Context()), 1)
			if cycle := (*memo.CycleError)(nil); !errors.As(err, &cycle) {
				t.Errorf("many %v, fill %v: after %d calls: %v", many, fill, calls, err)
			}
		}
	}
}

// Other arguments, and such as have no key, are no cycle.
func TestSkippedRecursion(t *testing.T) {
	noKey := func(int) (string, error) { return "", errors.New("no key") }
	for _, o := range []*memo.FuncOptions[int, int]{nil, {KeyFunc: noKey}} {
		var f *memo.Func[int, int]
		f = wrap(t, newMemo(t, newMemory(t), nil), "f", func(ctx context.Context, k int) (int, error) {
			if k == 0 {
				return 0, nil
			}
			v, err := f.Get(ctx, k-1)
			return v + 1, err
		}, o)
		for _, ctx := range []context.Context{t.Context(), memo.WithSkip(t.Context())} {
			if v, err := f.Get(ctx, 20); v != 20 || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
		}
	}
}
