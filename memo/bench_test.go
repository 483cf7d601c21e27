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

// BenchmarkHit compares a hit with what one would write by hand over otter
// with the same key: the ratio of memo to otter is the cost of memo.
func BenchmarkHit(b *testing.B) {
	ctx := context.Background()
	newOtter := func() *otter.Cache[string, *balance] {
		return otter.Must(&otter.Options[string, *balance]{
			MaximumSize:      1 << 16,
			ExpiryCalculator: otter.ExpiryWriting[string, *balance](time.Hour),
		})
	}
	m, err := memo.New(newMemory(b), &memo.Options{Namespace: "app"})
	if err != nil {
		b.Fatal(err)
	}
	policy := memo.Policy{TTL: time.Hour}

	one := newOtter()
	benchmarkHit(b, "1 argument/otter", func(a *account) (*balance, error) {
		key := "app:one:" + strconv.FormatInt(a.Tenant, 10)
		if v, ok := one.GetIfPresent(key); ok {
			return v, nil
		}
		v, err := fetchBalance(ctx, *a)
		if err == nil {
			one.Set(key, v)
		}
		return v, err
	})
	fetchOne := func(ctx context.Context, tenant int64) (*balance, error) {
		return fetchBalance(ctx, account{Tenant: tenant})
	}
	memoOne := memo.Must(memo.Wrap(m, "one", fetchOne, &memo.FuncOptions[int64, *balance]{Policy: policy, Shared: true}))
	benchmarkHit(b, "1 argument/memo", func(a *account) (*balance, error) { return memoOne.Get(ctx, a.Tenant) })

	two := newOtter()
	benchmarkHit(b, "2 arguments/otter", func(a *account) (*balance, error) {
		key := "app:two:" + strconv.FormatInt(a.Tenant, 10) + ",\"" + a.Name + "\""
		if v, ok := two.GetIfPresent(key); ok {
			return v, nil
		}
		v, err := fetchBalance(ctx, *a)
		if err == nil {
			two.Set(key, v)
		}
		return v, err
	})
	fetchTwo := func(ctx context.Context, tenant int64, name string) (*balance, error) {
		return fetchBalance(ctx, account{tenant, name})
	}
	memoTwo := memo.Must(memo.Wrap2(m, "two", fetchTwo, &memo.FuncOptions[memo.Args2[int64, string], *balance]{Policy: policy, Shared: true}))
	benchmarkHit(b, "2 arguments/memo", func(a *account) (*balance, error) { return memoTwo.Get(ctx, a.Tenant, a.Name) })

	ofStructs := newBalances(b, true)
	benchmarkHit(b, "struct/memo", func(a *account) (*balance, error) { return ofStructs.Get(ctx, *a) })
	memoCopy := memo.Must(memo.Wrap2(m, "copy", fetchTwo, &memo.FuncOptions[memo.Args2[int64, string], *balance]{Policy: policy}))
	benchmarkHit(b, "2 arguments/memo own copy by JSON", func(a *account) (*balance, error) { return memoCopy.Get(ctx, a.Tenant, a.Name) })
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
