package compress_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
)

// The IDs stand in entries and never change.
var algorithms = []struct {
	name string
	memo.Compressor
	id byte
}{
	{"zstd", compress.Zstd(), 1},
	{"s2", compress.S2(), 2},
}

// jsonOf returns about n bytes of JSON such as a list of users has.
func jsonOf(tb testing.TB, n int) []byte {
	tb.Helper()
	type user struct {
		ID            int
		Name, Address string
		Score         float64
		Tags          []string
	}
	random := rand.New(rand.NewPCG(1, 2))
	b := []byte("[")
	for len(b) < n {
		id := random.IntN(1e6)
		u, err := json.Marshal(user{id, fmt.Sprintf("User %d", id), fmt.Sprintf("%d Main Street", random.IntN(200)), random.Float64(), []string{"new", "paid"}[:random.IntN(3)]})
		if err != nil {
			tb.Fatal(err)
		}
		b = append(append(b, u...), ',')
	}
	b[len(b)-1] = ']'
	return b
}

func TestRoundTrip(t *testing.T) {
	noise := make([]byte, 300_000)
	for i, random := 0, rand.New(rand.NewPCG(3, 4)); i < len(noise); i++ {
		noise[i] = byte(random.Uint32())
	}
	for name, payload := range map[string][]byte{
		"nil":     nil,
		"a byte":  {7},
		"255":     jsonOf(t, 200),
		"1 KB":    jsonOf(t, 1000),
		"100 KB":  jsonOf(t, 100_000),
		"3 MB":    jsonOf(t, 3_000_000),
		"zeros":   make([]byte, 1<<20),
		"noise":   noise,
		"a block": noise[:128<<10],
	} {
		for _, a := range algorithms {
			before := bytes.Clone(payload)
			compressed, err := a.Append([]byte("head"), payload)
			if err != nil {
				t.Fatal(err)
			}
			src, ok := bytes.CutPrefix(compressed, []byte("head"))
			if !ok || !bytes.Equal(payload, before) {
				t.Fatalf("%s, %s: Append changed the slice that it appends to, or the payload", a.name, name)
			}
			before = bytes.Clone(src)
			got, err := a.Decode(src, len(payload))
			if err != nil || !bytes.Equal(got, payload) || !bytes.Equal(src, before) {
				t.Errorf("%s, %s: %d bytes came back as %d, %v", a.name, name, len(payload), len(got), err)
			}
			if strings.HasSuffix(name, "B") && len(src) > len(payload)*3/4 {
				t.Errorf("%s, %s: %d bytes became %d", a.name, name, len(payload), len(src))
			}
		}
	}
}

func TestIDs(t *testing.T) {
	for _, a := range algorithms {
		if a.ID() != a.id {
			t.Errorf("%s has ID %d, want %d", a.name, a.ID(), a.id)
		}
	}
}

// What is stored takes no more memory than it needs.
func TestResultIsNotMuchLargerThanItsContents(t *testing.T) {
	payload := jsonOf(t, 1_000_000)
	for _, a := range algorithms {
		for range 2 {
			b, err := a.Append(make([]byte, 29), payload)
			if err != nil || cap(b) > len(b)*3/2 {
				t.Errorf("%s: %d bytes have a capacity of %d, %v", a.name, len(b), cap(b), err)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	payload := jsonOf(t, 5000)
	for _, a := range algorithms {
		src, err := a.Append(nil, payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{-1, 0, 1, len(payload) - 1, len(payload) + 1, len(payload) + 16, len(payload) + 1000} {
			if got, err := a.Decode(src, size); err == nil || got != nil {
				t.Errorf("%s: Decode gave %d bytes for a size of %d, %v; there are %d", a.name, len(got), size, err, len(payload))
			}
		}
		for n := range src {
			if got, err := a.Decode(src[:n], len(payload)); err == nil {
				t.Fatalf("%s: Decode gave %d bytes for %d of %d", a.name, len(got), n, len(src))
			}
		}
	}
}

// The checksum of zstd finds every damaged byte. Only what says nothing about
// the payload, such as the size of a window that is larger than it, may change.
func TestZstdFindsDamage(t *testing.T) {
	payload := jsonOf(t, 3000)
	src, err := compress.Zstd().Append(nil, payload)
	if err != nil {
		t.Fatal(err)
	}
	for i := range src {
		for bit := range 8 {
			src[i] ^= 1 << bit
			if got, err := compress.Zstd().Decode(src, len(payload)); err == nil && !bytes.Equal(got, payload) {
				t.Errorf("with bit %d of byte %d changed another payload comes out", bit, i)
			}
			src[i] ^= 1 << bit
		}
	}
}

// What is in a store may say of itself whatever it likes.
func TestDecodeAllocatesNoMoreThanSize(t *testing.T) {
	const huge, size, most = 100 << 20, 5000, 1 << 20
	bombs := map[string][]byte{
		"s2, 100 MB of zeros":            s2.Encode(nil, make([]byte, huge)),
		"s2, a length of 4 GB":           append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, "abcdefgh"...),
		"zstd, a length of 2⁶²":          append([]byte("\x28\xb5\x2f\xfd\xe0"), 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0),
		"zstd, a window of 1 TB":         append([]byte("\x28\xb5\x2f\xfd\x00\xf0"), 0x03, 0xff, 0x0f, 7),
		"zstd, a skipped frame of 4 GB":  []byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"),
		"zstd, 10,000 frames of nothing": bytes.Repeat([]byte("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"), 10_000),
	}
	for _, single := range []bool{false, true} {
		e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(single))
		if err != nil {
			t.Fatal(err)
		}
		bombs[fmt.Sprintf("zstd, 100 MB of zeros, single %v", single)] = e.EncodeAll(make([]byte, huge), nil)
	}
	for _, a := range algorithms { // once, so that what they keep is there
		if src, err := a.Append(nil, make([]byte, size)); err != nil {
			t.Fatal(err)
		} else if _, err := a.Decode(src, size); err != nil {
			t.Fatal(err)
		}
	}
	for name, src := range bombs {
		for _, a := range algorithms {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := a.Decode(src, size)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("%s: %s: got %d bytes", a.name, name, len(got))
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > most {
				t.Errorf("%s: %s: %d bytes were allocated for a size of %d", a.name, name, n, size)
			}
		}
	}
}

func TestConcurrentUseLeavesNoGoroutine(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 10 {
				a := algorithms[(i+j)%len(algorithms)]
				payload := bytes.Repeat(fmt.Appendf(nil, "%d %d ", i, j), 1000*j)
				src, err := a.Append(nil, payload)
				if err != nil {
					t.Error(err)
				}
				if got, err := a.Decode(src, len(payload)); err != nil || !bytes.Equal(got, payload) {
					t.Errorf("%s: %d bytes came back as %d, %v", a.name, len(payload), len(got), err)
				}
			}
		})
	}
	wg.Wait()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if strings.Contains(string(stacks), "klauspost/compress") {
		t.Errorf("a goroutine is left:\n%s", stacks)
	}
}

var writeSamples = flag.Bool("write-samples", false, "write the samples that are missing in testdata")

// Entries outlive deployments: what was once compressed can be decompressed. A
// sample is never changed, only added.
func TestFrozenSamples(t *testing.T) {
	payload, err := os.ReadFile(filepath.Join("testdata", "payload.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range algorithms {
		path := filepath.Join("testdata", a.name+".hex")
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) && *writeSamples {
			src, _ := a.Append(nil, payload)
			text = []byte(hex.EncodeToString(src) + "\n")
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		src, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Decode(src, len(payload)); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%s: the sample is now read as %q, %v", a.name, got, err)
		}
	}
}

// Whatever bytes there are in a store, they are an error or a payload of the
// size that was asked for.
func FuzzDecode(f *testing.F) {
	for _, payload := range [][]byte{nil, []byte("a"), jsonOf(f, 2000), make([]byte, 10_000)} {
		for _, a := range algorithms {
			src, err := a.Append(nil, payload)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src, uint16(len(payload)))
			f.Add(src[:len(src)/2], uint16(len(payload)))
			f.Add(append(src, src...), uint16(2*len(payload)))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, size uint16) {
		for _, a := range algorithms {
			got, err := a.Decode(src, int(size))
			if err == nil && len(got) != int(size) || err != nil && got != nil {
				t.Errorf("%s: got %d bytes, %v, want %d", a.name, len(got), err, size)
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("head"), []byte(nil))
	f.Add([]byte(nil), jsonOf(f, 2000))
	f.Fuzz(func(t *testing.T, b, payload []byte) {
		for _, a := range algorithms {
			out, err := a.Append(bytes.Clone(b), payload)
			if err != nil || !bytes.HasPrefix(out, b) {
				t.Fatalf("%s: Append gave %x, %v", a.name, out, err)
			}
			if got, err := a.Decode(out[len(b):], len(payload)); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%s: %x came back as %x, %v", a.name, payload, got, err)
			}
		}
	})
}

// raw is the library by itself, for comparison.
func BenchmarkCompress(b *testing.B) {
	raw, err := zstd.NewWriter(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1_000, 100_000} {
		payload := jsonOf(b, size)
		run := func(name string, encode func() []byte) {
			b.Run(fmt.Sprintf("%dKB/%s", size/1000, name), func(b *testing.B) {
				b.SetBytes(int64(len(payload)))
				b.ReportAllocs()
				var n int
				for b.Loop() {
					n = len(encode())
				}
				b.ReportMetric(float64(n)/float64(len(payload)), "ratio")
			})
		}
		for _, a := range algorithms {
			run(a.name, func() []byte { out, _ := a.Append(nil, payload); return out })
		}
		run("zstd-raw", func() []byte { return raw.EncodeAll(payload, nil) })
		run("s2-raw", func() []byte { return s2.Encode(nil, payload) })
	}
}

func BenchmarkDecompress(b *testing.B) {
	raw, err := zstd.NewReader(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1_000, 100_000} {
		payload := jsonOf(b, size)
		run := func(name string, decode func() ([]byte, error)) {
			b.Run(fmt.Sprintf("%dKB/%s", size/1000, name), func(b *testing.B) {
				b.SetBytes(int64(len(payload)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := decode(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		for _, a := range algorithms {
			src, err := a.Append(nil, payload)
			if err != nil {
				b.Fatal(err)
			}
			run(a.name, func() ([]byte, error) { return a.Decode(src, len(payload)) })
			if a.name == "zstd" {
				run("zstd-raw", func() ([]byte, error) { return raw.DecodeAll(src, nil) })
			} else {
				run("s2-raw", func() ([]byte, error) { return s2.Decode(nil, src) })
			}
		}
	}
}

// Time in the tests of a program that compresses may be virtual: what one
// bubble has made is of no use in another.
func TestZstdInBubbles(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			c := compress.Zstd()
			b, err := c.Append(nil, []byte("text text text text"))
			if err != nil {
				t.Fatal(err)
			}
			if text, err := c.Decode(b, 19); string(text) != "text text text text" || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}
