package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// Bench measures the store by sub-benchmarks such as Get/hit, Get/hit/parallel
// and GetMany/miss, with allocations. Values have 100 bytes, batches 16 keys;
// abilities are called by the functions of package store, as programs do, and
// those without a meaning on this store are left out.
//
// open makes a store for each sub-benchmark; Bench closes it.
func Bench(b *testing.B, open func(b *testing.B) store.Store) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			run := bench.start(b, open)
			for i := 0; b.Loop(); i++ {
				if err := run(i); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+"/parallel", func(b *testing.B) {
			run := bench.start(b, open)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if err := run(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// start opens the store and prepares it, or skips the benchmark.
func (bench benchmark) start(b *testing.B, open func(b *testing.B) store.Store) (run func(i int) error) {
	b.Helper()
	s := open(b)
	b.Cleanup(func() { _ = store.Close(s) })
	run, err := bench.prepare(b.Context(), s)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		b.Skip(err)
	case err != nil:
		b.Fatal(err)
	}
	b.ReportAllocs()
	return run
}

// A benchmark prepares a store and returns what is to be measured, which may
// run concurrently; i counts the calls of one goroutine.
type benchmark struct {
	name    string
	prepare func(ctx context.Context, s store.Store) (run func(i int) error, err error)
}

const (
	benchKeys  = 1024
	benchBatch = 16
	benchTTL   = time.Hour
)

var (
	benchValue  = []byte(strings.Repeat("v", 100))
	presentKeys = numbered("present:%d")
	absentKeys  = numbered("absent:%d")
)

func numbered(format string) []string {
	keys := make([]string, benchKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf(format, i)
	}
	return keys
}

// batch is the i-th batch of the keys.
func batch(keys []string, i int) []string {
	from := i * benchBatch % benchKeys
	return keys[from : from+benchBatch]
}

// filled stores the present keys first.
func filled(run func(ctx context.Context, s store.Store, i int) error) func(context.Context, store.Store) (func(int) error, error) {
	return func(ctx context.Context, s store.Store) (func(int) error, error) {
		for _, key := range presentKeys {
			if err := s.Set(ctx, key, benchValue, benchTTL); err != nil {
				return nil, err
			}
		}
		if err := run(ctx, s, 0); err != nil { // also finds out what is unsupported
			return nil, err
		}
		return func(i int) error { return run(ctx, s, i) }, nil
	}
}

func missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		return errors.New("an absent key was found")
	}
	return err
}

var benchmarks = []benchmark{
	{"Get/hit", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := s.Get(ctx, presentKeys[i%benchKeys])
		return err
	})},
	{"Get/miss", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := s.Get(ctx, absentKeys[i%benchKeys])
		return missing(err)
	})},
	{"Set", filled(func(ctx context.Context, s store.Store, i int) error {
		return s.Set(ctx, presentKeys[i%benchKeys], benchValue, benchTTL)
	})},
	{"Delete/miss", filled(func(ctx context.Context, s store.Store, i int) error {
		return s.Delete(ctx, absentKeys[i%benchKeys])
	})},
	{"TTL/hit", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := s.TTL(ctx, presentKeys[i%benchKeys])
		return err
	})},
	{"GetMany/hit", filled(func(ctx context.Context, s store.Store, i int) error {
		values, err := store.GetMany(ctx, s, batch(presentKeys, i))
		if err == nil && len(values) != benchBatch {
			err = fmt.Errorf("%d values of %d", len(values), benchBatch)
		}
		return err
	})},
	{"GetMany/miss", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := store.GetMany(ctx, s, batch(absentKeys, i))
		return err
	})},
	{"SetMany", filled(func(ctx context.Context, s store.Store, i int) error {
		items := make([]store.Item, 0, benchBatch)
		for _, key := range batch(presentKeys, i) {
			items = append(items, store.Item{Key: key, Value: benchValue, TTL: benchTTL})
		}
		return store.SetMany(ctx, s, items)
	})},
	{"DeleteMany/miss", filled(func(ctx context.Context, s store.Store, i int) error {
		return store.DeleteMany(ctx, s, batch(absentKeys, i))
	})},
	{"GetWithTTL/hit", filled(func(ctx context.Context, s store.Store, i int) error {
		_, _, err := store.GetWithTTL(ctx, s, presentKeys[i%benchKeys])
		return err
	})},
	{"Add/taken", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := store.Add(ctx, s, presentKeys[i%benchKeys], benchValue, benchTTL)
		return err
	})},
	{"CompareAndSwap", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := store.CompareAndSwap(ctx, s, presentKeys[i%benchKeys], benchValue, benchValue, benchTTL)
		return err
	})},
	{"Touch/hit", filled(func(ctx context.Context, s store.Store, i int) error {
		return store.Touch(ctx, s, presentKeys[i%benchKeys], benchTTL)
	})},
	{"GetLive/hit", filled(func(ctx context.Context, s store.Store, i int) error {
		_, err := store.GetLive(ctx, s, presentKeys[i%benchKeys])
		return err
	})},
	{"SetLive", filled(func(ctx context.Context, s store.Store, i int) error {
		return store.SetLive(ctx, s, presentKeys[i%benchKeys], store.LiveBytes(benchValue), benchTTL)
	})},
}
