package layered_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
)

// BenchmarkHit compares a hit in L1 with one in the same store without layers.
func BenchmarkHit(b *testing.B) {
	const keys = 1 << 12
	newMemory := func() *memory.Store {
		s, err := memory.New(&memory.Options{MaxEntries: 1 << 16})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		return s
	}
	plain, far := newMemory(), newMemory()
	stack, err := layered.New(newMemory(), far, &layered.Options{Coherence: layered.Watch(time.Second)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stack.Close() })

	names := make([]string, keys)
	for i := range names {
		names[i] = "key" + strconv.Itoa(i)
	}
	for name, s := range map[string]store.LiveStore{"memory": plain, "layered": stack} {
		for _, key := range names {
			if err := s.SetLive(b.Context(), key, store.LiveBytes([]byte("value")), time.Hour); err != nil {
				b.Fatal(err)
			}
			if _, err := s.GetLive(b.Context(), key); err != nil { // into L1
				b.Fatal(err)
			}
		}
		get := func(ctx context.Context, i int) {
			if _, err := s.GetLive(ctx, names[i%keys]); err != nil {
				b.Error(err)
			}
		}
		b.Run(name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			ctx := context.Background()
			for i := 0; b.Loop(); i++ {
				get(ctx, i)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := context.Background()
				for i := 0; pb.Next(); i++ {
					get(ctx, i)
				}
			})
		})
	}
	if hits := stack.Stats().L1Hits; hits == 0 {
		b.Error("nothing was answered by L1")
	}
}
