package memo_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
)

// BenchmarkColdKey lets 1,000 goroutines ask for a key at a time that nobody
// has loaded yet. It reports how many loads there are for each, and when the
// last of the goroutines has its value, counted from the end of the load. By
// hand, they wait for a channel, and decode: no cache can be faster than that.
func BenchmarkColdKey(b *testing.B) {
	b.Run("by hand/shared", func(b *testing.B) { benchmarkColdByHand(b, true) })
	b.Run("by hand/own copy", func(b *testing.B) { benchmarkColdByHand(b, false) })
	for _, shared := range []bool{true, false} {
		name := "own copy"
		if shared {
			name = "shared"
		}
		b.Run("memo/"+name, func(b *testing.B) { benchmarkColdKey(b, shared) })
	}
}

const (
	coldCallers  = 1000
	coldLoadTime = 50 * time.Millisecond
)

func benchmarkColdByHand(b *testing.B, shared bool) {
	v, _ := fetchBalance(b.Context(), accounts[0])
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	var late time.Duration
	for b.Loop() {
		loaded := make(chan struct{})
		var wg sync.WaitGroup
		for range coldCallers {
			wg.Go(func() {
				select {
				case <-loaded:
				case <-b.Context().Done():
				}
				if own := new(balance); !shared && json.Unmarshal(text, own) != nil {
					b.Error("cannot decode")
				}
			})
		}
		time.Sleep(coldLoadTime)
		start := time.Now()
		close(loaded)
		wg.Wait()
		late += time.Since(start)
	}
	b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-after-load/op")
	b.ReportMetric(0, "ns/op")
}

func benchmarkColdKey(b *testing.B, shared bool) {
	m, err := memo.New(newMemory(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	var loads, loaded atomic.Int64
	f := memo.Must(memo.Wrap(m, "cold", func(ctx context.Context, k int) (*balance, error) {
		time.Sleep(coldLoadTime)
		v, err := fetchBalance(ctx, account{Tenant: int64(k)})
		loads.Add(1)
		loaded.Store(time.Now().UnixNano())
		return v, err
	}, &memo.FuncOptions[int, *balance]{Shared: shared}))
	var late time.Duration
	for k := 0; b.Loop(); k++ {
		var wg sync.WaitGroup
		for range coldCallers {
			wg.Go(func() {
				if _, err := f.Get(context.Background(), k); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		late += time.Duration(time.Now().UnixNano() - loaded.Load())
	}
	b.ReportMetric(float64(loads.Load())/float64(b.N), "loads/op")
	b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-after-load/op")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkGetMany reads 100 entries that are in Redis. The raw client gets
// their bytes by MGET; decoding them is a part of the work that one would do
// by hand.
func BenchmarkGetMany(b *testing.B) {
	const n = 100
	client := goredis.NewClient(&goredis.Options{Addr: testservers.Redis(b).Addr})
	b.Cleanup(func() { _ = client.Close() })
	ctx := b.Context()
	keys, ks := make([]string, n), make([]int64, n)
	for i := range n {
		v, _ := fetchBalance(ctx, account{Tenant: int64(i)})
		text, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		ks[i] = int64(i)
		keys[i] = "raw:bench:many:" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if err := client.Set(ctx, keys[i], text, time.Hour).Err(); err != nil {
			b.Fatal(err)
		}
	}
	raw := func(b *testing.B, decode bool) {
		b.ReportAllocs()
		for b.Loop() {
			values, err := client.MGet(ctx, keys...).Result()
			if err != nil {
				b.Fatal(err)
			}
			list := make([]*balance, len(values))
			for i, text := range values {
				if !decode {
					continue
				}
				if err := json.Unmarshal([]byte(text.(string)), &list[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("go-redis MGET", func(b *testing.B) { raw(b, false) })
	b.Run("go-redis MGET and JSON", func(b *testing.B) { raw(b, true) })

	s, err := redis.New(client, &redis.Options{Prefix: "bench:many:"})
	if err != nil {
		b.Fatal(err)
	}
	m, err := memo.New(s, nil)
	if err != nil {
		b.Fatal(err)
	}
	many := memo.Must(memo.Wrap(m, "balance", func(ctx context.Context, k int64) (*balance, error) {
		return fetchBalance(ctx, account{Tenant: k})
	}, &memo.FuncOptions[int64, *balance]{
		Policy: memo.Policy{TTL: time.Hour},
		FillMany: func(ctx context.Context, ks []int64, put func(int64, *balance)) error {
			for _, k := range ks {
				v, _ := fetchBalance(ctx, account{Tenant: k})
				put(k, v)
			}
			return nil
		},
	}))
	if _, err := many.GetMany(ctx, ks); err != nil {
		b.Fatal(err)
	}
	b.Run("memo", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := many.GetMany(ctx, ks); err != nil {
				b.Fatal(err)
			}
		}
	})
}
