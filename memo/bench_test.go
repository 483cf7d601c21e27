package memo_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

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

// BenchmarkHit is a hit by keys of several kinds. comparisons/memo has it beside
// what one would write by hand.
func BenchmarkHit(b *testing.B) {
	ctx := context.Background()
	m, err := memo.New(newMemory(b), &memo.Options{Namespace: "app", Policy: memo.Policy{TTL: time.Hour}})
	if err != nil {
		b.Fatal(err)
	}
	fetchOne := func(ctx context.Context, tenant int64) (*balance, error) {
		return fetchBalance(ctx, account{Tenant: tenant})
	}
	one := memo.Must(memo.Wrap(m, "one", fetchOne, &memo.FuncOptions[int64, *balance]{Shared: true}))
	benchmarkHit(b, "1 argument", func(a *account) (*balance, error) { return one.Get(ctx, a.Tenant) })

	fetchTwo := func(ctx context.Context, tenant int64, name string) (*balance, error) {
		return fetchBalance(ctx, account{tenant, name})
	}
	two := memo.Must(memo.Wrap2(m, "two", fetchTwo, &memo.FuncOptions[memo.Args2[int64, string], *balance]{Shared: true}))
	benchmarkHit(b, "2 arguments", func(a *account) (*balance, error) { return two.Get(ctx, a.Tenant, a.Name) })

	ofStructs := newBalances(b, true)
	benchmarkHit(b, "struct", func(a *account) (*balance, error) { return ofStructs.Get(ctx, *a) })
	ownCopy := memo.Must(memo.Wrap2(m, "copy", fetchTwo, nil))
	benchmarkHit(b, "2 arguments, own copy by JSON", func(a *account) (*balance, error) { return ownCopy.Get(ctx, a.Tenant, a.Name) })
}

func benchmarkHit(b *testing.B, name string, get func(*account) (*balance, error)) {
	for i := range accounts {
		if _, err := get(&accounts[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.Run(name+"/serial", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := get(&accounts[i%len(accounts)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := get(&accounts[i%len(accounts)]); err != nil {
					b.Error(err)
				}
			}
		})
	})
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
