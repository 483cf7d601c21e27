// Package memo_test compares package memo with what one would write by hand over
// a cache, with the same keys.
package memo_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
)

// The names end in who does the work, for
//
//	benchstat -col /by -ignore /round
//
// With -cpu 1 the hits come one after another.
var rounds = flag.Int("rounds", 3, "how often each has its turn")

type balance struct {
	Amount   int64
	Currency string
	History  []int64
}

func fetchOne(ctx context.Context, tenant int64) (*balance, error) { return fetchTwo(ctx, tenant, "") }

func fetchTwo(_ context.Context, tenant int64, _ string) (*balance, error) {
	return &balance{tenant, "EUR", []int64{1, 2, 3}}, nil
}

type account struct {
	tenant int64
	name   string
}

var accounts = func() (list [1 << 12]account) {
	for i := range list {
		list[i] = account{int64(i), "account-" + strconv.Itoa(i)}
	}
	return list
}()

const room = 1 << 16

// A way is one of getting the balance of an account.
type way struct {
	name string
	get  func(*account) (*balance, error)
}

// BenchmarkHit is a hit of a function of one argument, and of two: the ratio of
// memo to otter is the cost of memo.
func BenchmarkHit(b *testing.B) {
	for i, ways := range [][]way{ofOne(b), ofTwo(b)} {
		for round := range *rounds {
			for _, w := range ways {
				b.Run(fmt.Sprintf("arguments=%d/round=%d/by=%s", i+1, round, w.name), func(b *testing.B) { hits(b, w.get) })
			}
		}
	}
}

func ofOne(b *testing.B) []way {
	ctx := context.Background()
	c := newOtter()
	f := memo.Must(memo.Wrap(newMemo(b), "one", fetchOne, &memo.FuncOptions[int64, *balance]{Shared: true}))
	return []way{
		{"otter", func(a *account) (*balance, error) {
			key := "app:one:" + strconv.FormatInt(a.tenant, 10)
			if v, ok := c.GetIfPresent(key); ok {
				return v, nil
			}
			v, err := fetchOne(ctx, a.tenant)
			if err == nil {
				c.Set(key, v)
			}
			return v, err
		}},
		{"memo", func(a *account) (*balance, error) { return f.Get(ctx, a.tenant) }},
	}
}

func ofTwo(b *testing.B) []way {
	ctx := context.Background()
	c := newOtter()
	f := memo.Must(memo.Wrap2(newMemo(b), "two", fetchTwo, &memo.FuncOptions[memo.Args2[int64, string], *balance]{Shared: true}))
	return []way{
		{"otter", func(a *account) (*balance, error) {
			key := "app:two:" + strconv.FormatInt(a.tenant, 10) + ",\"" + a.name + "\""
			if v, ok := c.GetIfPresent(key); ok {
				return v, nil
			}
			v, err := fetchTwo(ctx, a.tenant, a.name)
			if err == nil {
				c.Set(key, v)
			}
			return v, err
		}},
		{"memo", func(a *account) (*balance, error) { return f.Get(ctx, a.tenant, a.name) }},
	}
}

func newOtter() *otter.Cache[string, *balance] {
	return otter.Must(&otter.Options[string, *balance]{
		MaximumSize:      room,
		ExpiryCalculator: otter.ExpiryWriting[string, *balance](time.Hour),
	})
}

func newMemo(b *testing.B) *memo.Memo {
	s, err := memory.New(&memory.Options{MaxEntries: room})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	m, err := memo.New(s, &memo.Options{Namespace: "app", Policy: memo.Policy{TTL: time.Hour}})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func hits(b *testing.B, get func(*account) (*balance, error)) {
	for i := range accounts {
		if _, err := get(&accounts[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	runtime.GC()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := get(&accounts[i%len(accounts)]); err != nil {
				b.Error(err)
			}
		}
	})
}
