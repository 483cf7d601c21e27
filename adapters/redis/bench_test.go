package redis

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// Benchmark compares a Store with the client that it uses. The names end in
// what is compared: by=client or by=store.
func Benchmark(b *testing.B) {
	client := newClient(b, testservers.Redis(b).Addr)
	s := newStore(b, client, &Options{Prefix: "bench:", Timeout: patience})
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	value := make([]byte, 64)
	keys := make([]string, 100)
	full := make([]string, 100)
	items := make([]store.Item, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key:", i)
		full[i] = "bench:" + keys[i]
		items[i] = store.Item{Key: keys[i], Value: value, TTL: time.Hour}
	}
	if err := s.SetMany(context.Background(), items); err != nil {
		b.Fatal(err)
	}
	for _, op := range []struct {
		name      string
		by        map[string]func(ctx context.Context, i int) error
		parallels []int
	}{
		{"Get", map[string]func(context.Context, int) error{
			"client": func(ctx context.Context, i int) error { return client.Get(ctx, full[i]).Err() },
			"store":  func(ctx context.Context, i int) error { _, err := s.Get(ctx, keys[i]); return err },
		}, []int{1, 16, 128}},
		{"Set", map[string]func(context.Context, int) error{
			"client": func(ctx context.Context, i int) error { return client.Set(ctx, full[i], value, time.Hour).Err() },
			"store":  func(ctx context.Context, i int) error { return s.Set(ctx, keys[i], value, time.Hour) },
		}, []int{1, 16, 128}},
		{"GetMany100", map[string]func(context.Context, int) error{
			"client": func(ctx context.Context, _ int) error {
				values := make(map[string][]byte, len(full))
				answers, err := client.MGet(ctx, full...).Result()
				for i, answer := range answers {
					values[full[i]] = []byte(answer.(string))
				}
				return err
			},
			"store": func(ctx context.Context, _ int) error { _, err := s.GetMany(ctx, keys); return err },
		}, []int{1}},
		{"SetMany100", map[string]func(context.Context, int) error{
			"client": func(ctx context.Context, _ int) error {
				_, err := client.Pipelined(ctx, func(p goredis.Pipeliner) error {
					for _, key := range full {
						p.Set(ctx, key, value, time.Hour)
					}
					return nil
				})
				return err
			},
			"store": func(ctx context.Context, _ int) error { return s.SetMany(ctx, items) },
		}, []int{1}},
		{"Delete", map[string]func(context.Context, int) error{
			"client": func(ctx context.Context, i int) error { return client.Unlink(ctx, full[i]).Err() },
			"store":  func(ctx context.Context, i int) error { return s.Delete(ctx, keys[i]) },
		}, []int{1, 16, 128}},
		{"DeleteMany100", map[string]func(context.Context, int) error{
			"client": func(ctx context.Context, _ int) error { return client.Unlink(ctx, full...).Err() },
			"store":  func(ctx context.Context, _ int) error { return s.DeleteMany(ctx, keys) },
		}, []int{1}},
	} {
		for _, n := range op.parallels {
			for ctxName, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
				for _, by := range []string{"client", "store"} {
					b.Run(fmt.Sprintf("%s/goroutines=%d/ctx=%s/by=%s", op.name, n, ctxName, by), func(b *testing.B) {
						b.ReportAllocs()
						parallel(b, n, func(i int) error { return op.by[by](ctx, i%len(keys)) })
					})
				}
			}
		}
	}
}

// parallel makes b.N calls in n goroutines.
func parallel(b *testing.B, n int, call func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := call(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
