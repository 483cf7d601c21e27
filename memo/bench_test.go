package memo_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

type account struct {
	Tenant int64
	Name   string
}

type balance struct {
	Amount   int64
	Currency string
	History  []int64
}

func fetchBalance(_ context.Context, a account) (*balance, error) {
	return &balance{a.Tenant, "EUR", []int64{1, 2, 3}}, nil
}

func newMemory(tb testing.TB) store.Store {
	s, err := memory.New(&memory.Options{MaxEntries: 1 << 16})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func newBalances(tb testing.TB, shared bool) *memo.Func[account, *balance] {
	m, err := memo.New(newMemory(tb), &memo.Options{Namespace: "app"})
	if err != nil {
		tb.Fatal(err)
	}
	return memo.Must(memo.Wrap(m, "balance", fetchBalance, &memo.FuncOptions[account, *balance]{
		Policy: memo.Policy{TTL: time.Hour}, Shared: shared,
	}))
}

var accounts = func() (list [1 << 12]account) {
	for i := range list {
		list[i] = account{int64(i), "account-" + strconv.Itoa(i)}
	}
	return list
}()

// BenchmarkHit compares a hit with what one would write by hand over otter:
// the ratio of memo to otter is the cost of memo.
func BenchmarkHit(b *testing.B) {
	cache := otter.Must(&otter.Options[account, *balance]{
		MaximumSize:      1 << 16,
		ExpiryCalculator: otter.ExpiryWriting[account, *balance](time.Hour),
	})
	loader := otter.LoaderFunc[account, *balance](fetchBalance)
	handWritten := func(ctx context.Context, a account) (*balance, error) { return cache.Get(ctx, a, loader) }
	for _, bench := range []struct {
		name string
		get  func(context.Context, account) (*balance, error)
	}{
		{"otter", handWritten},
		{"memo shared", newBalances(b, true).Get},
		{"memo own copy", newBalances(b, false).Get},
	} {
		for _, a := range accounts {
			if _, err := bench.get(b.Context(), a); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(bench.name, func(b *testing.B) {
			ctx := context.Background()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := bench.get(ctx, accounts[i%len(accounts)]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+" parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := context.Background()
				for i := 0; pb.Next(); i++ {
					if _, err := bench.get(ctx, accounts[i%len(accounts)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkMiss is a miss and its load, of a function that does nothing.
func BenchmarkMiss(b *testing.B) {
	balances := newBalances(b, true)
	ctx := context.Background()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := balances.Get(ctx, account{int64(i), "new"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode is what a hit costs that is not shared, but for the look-up.
func BenchmarkDecode(b *testing.B) {
	text := []byte(`{"Amount":7,"Currency":"EUR","History":[1,2,3]}`)
	b.ReportAllocs()
	for b.Loop() {
		var v *balance
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	shared := newBalances(t, true)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := shared.Get(ctx, accounts[7]); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("a shared hit makes %v allocations, want at most 1, the key", n)
	}
}
