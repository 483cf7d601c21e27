package disk

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/cairncache/cairn/store"
)

func Benchmark(b *testing.B) {
	for _, size := range []int{100, 10_000, 1_000_000} {
		for name, o := range map[string]*Options{"plain": nil, "max_bytes": {MaxBytes: 64 << 20}} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				s := newStore(b, newPath(b), o)
				value := make([]byte, size)
				const keys = 1000
				i := 0
				set := func() {
					if err := s.Set(b.Context(), strconv.Itoa(i%keys), value, store.Forever); err != nil {
						b.Fatal(err)
					}
					i++
				}
				for range min(keys, 32<<20/size) {
					set()
				}
				b.Run("Set", func(b *testing.B) {
					b.SetBytes(int64(size))
					for b.Loop() {
						set()
					}
				})
				b.Run("Get", func(b *testing.B) {
					b.SetBytes(int64(size))
					for b.Loop() {
						if _, err := s.Get(b.Context(), strconv.Itoa(max(i-1, 0)%keys)); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.Run("Miss", func(b *testing.B) {
					for b.Loop() {
						if _, err := s.Get(b.Context(), "absent"); err != store.ErrNotFound {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}

// The folder is below TMPDIR, on whatever file system that is.
func BenchmarkSweep(b *testing.B) {
	const entries = 100_000
	s := newStore(b, newPath(b), &Options{MaxBytes: 1 << 30})
	for i := range entries {
		mustSet(b, s, strconv.Itoa(i), "value")
	}
	for b.Loop() {
		if err := s.sweepIfFree(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}
