//go:build !race

package cairn_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
)

// These tests are not in package memo, as that would be compiled a second time
// for them, without the race detector, which allocates.

func newAllocationsMemo(t *testing.T) *memo.Memo {
	t.Helper()
	s, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := memo.New(s, &memo.Options{Namespace: "app"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close(context.Background())
		s.Close()
	})
	return m
}

func TestHitAllocations(t *testing.T) {
	load := func(_ context.Context, tenant int64, name string) (*string, error) { return &name, nil }
	f := memo.Must(memo.Wrap2(newAllocationsMemo(t), "hit", load, &memo.FuncOptions[memo.Args2[int64, string], *string]{
		Policy: memo.Policy{TTL: time.Hour}, Shared: true,
	}))
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := f.Get(ctx, 7, "account-7"); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("a shared hit makes %v allocations, want at most 1, the key", n)
	}
}

func TestKeyAllocations(t *testing.T) {
	type name string
	type order struct {
		Customer int64
		Currency string
		Paid     bool
		Since    time.Time
		Limit    int
	}
	type query struct {
		Text   string
		Page   int
		filter *query
	}
	m := newAllocationsMemo(t)
	atMostOne(t, m, "string", "alice@example.com")
	atMostOne(t, m, "escaped-string", "alice smith")
	atMostOne(t, m, "int64", int64(math.MinInt64))
	atMostOne(t, m, "named-int", time.Hour)
	atMostOne(t, m, "float", 1.5)
	atMostOne(t, m, "two-arguments", memo.Args2[int64, string]{A: 42, B: "EUR"})
	atMostOne(t, m, "three-arguments", memo.Args3[name, bool, []string]{A: "x", B: true, C: []string{"a"}})
	atMostOne(t, m, "struct", order{42, "EUR", true, time.Now(), 100})
	atMostOne(t, m, "unexported-fields", query{Text: "x", filter: &query{}})
	atMostOne(t, m, "map", map[string]int{"a": 1, "b": 2})
	atMostOne[any](t, m, "any", "alice")
}

func atMostOne[K any](t *testing.T, m *memo.Memo, what string, k K) {
	t.Helper()
	f := memo.Must(memo.Wrap(m, what, func(context.Context, K) (int, error) { return 0, nil }, nil))
	if n := testing.AllocsPerRun(200, func() {
		if _, err := f.Key(k); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%s: %v allocations", what, n)
	}
}
