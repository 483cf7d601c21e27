package memcache

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// Each work is done by gomemcache itself (raw) and by a Store whose context
// cannot end (background) or can (cancellable), with 1, 16 and 128 goroutines.
// All have 128 idle connections.

const benchKeys = 1000

type worker struct {
	name string
	do   func(i int) error
}

func benchmark(b *testing.B, goroutines []int, workers ...worker) {
	for _, n := range goroutines {
		for _, w := range workers {
			b.Run(fmt.Sprintf("goroutines=%d/%s", n, w.name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(max(1, n/runtime.GOMAXPROCS(0)))
				if n == 1 {
					for i := 0; b.Loop(); i++ {
						if err := w.do(i); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						if err := w.do(i); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

func benchSetup(b *testing.B) (raw *memcache.Client, s *Store, cancellable context.Context, keys []string, value []byte) {
	b.Helper()
	raw = newClient(b, testservers.Memcached(b).Addr)
	raw.MaxIdleConns = 128
	s = newStoreOver(b, raw, &Options{Prefix: newPrefix()})
	cancellable, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	value = make([]byte, 100)
	for i := range benchKeys {
		key := s.prefix + "raw:" + strconv.Itoa(i)
		if err := raw.Set(&memcache.Item{Key: key, Value: value}); err != nil {
			b.Fatal(err)
		}
		keys = append(keys, "key:"+strconv.Itoa(i))
		if err := s.Set(context.Background(), keys[i], value, store.Forever); err != nil {
			b.Fatal(err)
		}
	}
	return raw, s, cancellable, keys, value
}

func BenchmarkGet(b *testing.B) {
	raw, s, cancellable, keys, _ := benchSetup(b)
	get := func(ctx context.Context) func(int) error {
		return func(i int) error { _, err := s.Get(ctx, keys[i%benchKeys]); return err }
	}
	benchmark(
		b, []int{1, 16, 128},
		worker{"raw", func(i int) error { _, err := raw.Get(s.prefix + keys[i%benchKeys]); return err }},
		worker{"background", get(context.Background())},
		worker{"cancellable", get(cancellable)},
	)
}

func BenchmarkSet(b *testing.B) {
	raw, s, cancellable, keys, value := benchSetup(b)
	set := func(ctx context.Context) func(int) error {
		return func(i int) error { return s.Set(ctx, keys[i%benchKeys], value, store.Forever) }
	}
	benchmark(
		b, []int{1, 16, 128},
		worker{"raw", func(i int) error {
			return raw.Set(&memcache.Item{Key: s.prefix + "raw:" + keys[i%benchKeys], Value: value})
		}},
		worker{"background", set(context.Background())},
		worker{"cancellable", set(cancellable)},
	)
}

func BenchmarkGetMany(b *testing.B) {
	raw, s, cancellable, keys, _ := benchSetup(b)
	const n = 100
	getMany := func(ctx context.Context) func(int) error {
		return func(i int) error {
			first := i * n % benchKeys
			_, err := s.GetMany(ctx, keys[first:first+n])
			return err
		}
	}
	benchmark(
		b, []int{1, 16},
		worker{"raw", func(i int) error {
			natives := make([]string, n)
			for j := range natives {
				natives[j] = s.prefix + keys[(i*n+j)%benchKeys]
			}
			_, err := raw.GetMulti(natives)
			return err
		}},
		worker{"background", getMany(context.Background())},
		worker{"cancellable", getMany(cancellable)},
	)
}
