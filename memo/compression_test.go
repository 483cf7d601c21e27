package memo

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// fakeCompressor is DEFLATE, or whatever its fields say.
type fakeCompressor struct {
	id     byte
	append func(b, src []byte) ([]byte, error)
	decode func(src []byte, size int) ([]byte, error)
}

func (c fakeCompressor) ID() byte { return c.id }

func (c fakeCompressor) Append(b, src []byte) ([]byte, error) {
	if c.append != nil {
		return c.append(b, src)
	}
	out := bytes.NewBuffer(b)
	w, err := flate.NewWriter(out, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func (c fakeCompressor) Decode(src []byte, size int) ([]byte, error) {
	if c.decode != nil {
		return c.decode(src, size)
	}
	return io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(src)), int64(size)))
}

func TestCompressionCheck(t *testing.T) {
	for _, good := range []*Compression{
		nil,
		{},
		{Above: 1, MaxSize: 1},
		{With: fakeCompressor{id: 1}},
		{With: fakeCompressor{id: 2}},
		{With: fakeCompressor{id: 128}},
		{With: fakeCompressor{id: 255}, Above: math.MaxInt, MaxSize: math.MaxInt},
	} {
		if err := good.check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for field, bad := range map[string]*Compression{
		"Above":             {Above: -1},
		"MaxSize":           {With: fakeCompressor{id: 128}, MaxSize: -1},
		"With: its ID is 0": {With: fakeCompressor{}},
		"With: its ID is 3": {With: fakeCompressor{id: 3}},
		"With: its ID is 1": {With: fakeCompressor{id: 127}},
	} {
		if err := bad.check(); !errors.Is(err, store.ErrInvalid) || !strings.HasPrefix(err.Error(), "Compression."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestCompress(t *testing.T) {
	text := bytes.Repeat([]byte("some text "), 1000)
	noise := make([]byte, 10_000)
	for i, random := 0, rand.New(rand.NewPCG(1, 1)); i < len(noise); i++ {
		noise[i] = byte(random.Uint32())
	}
	with := fakeCompressor{id: 128}
	same := fakeCompressor{id: 128, append: func(b, src []byte) ([]byte, error) { return append(b, src...), nil }}
	fails := fakeCompressor{id: 128, append: func(b, _ []byte) ([]byte, error) { return b, errors.New("broken") }}
	panics := fakeCompressor{id: 128, append: func([]byte, []byte) ([]byte, error) { panic("no") }}
	for _, test := range []struct {
		name    string
		c       *Compression
		payload []byte
		want    bool
	}{
		{"nil", nil, text, false},
		{"none", &Compression{}, text, false},
		{"text", &Compression{With: with}, text, true},
		{"noise does not become smaller", &Compression{With: with}, noise, false},
		{"as large as before", &Compression{With: same}, text, false},
		{"at the default of Above", &Compression{With: with}, text[:1<<10], false},
		{"above the default of Above", &Compression{With: with}, text[:1<<10+1], true},
		{"at Above", &Compression{With: with, Above: 100}, text[:100], false},
		{"above Above", &Compression{With: with, Above: 100}, text[:101], true},
		{"at MaxSize", &Compression{With: with, MaxSize: 2000}, text[:2000], true},
		{"above MaxSize", &Compression{With: with, MaxSize: 2000}, text[:2001], false},
		{"above the default of MaxSize", &Compression{With: with}, make([]byte, 64<<20+1), false},
		{"nothing", &Compression{With: with, Above: 1}, nil, false},
		{"an error", &Compression{With: fails}, text, false},
		{"a panic", &Compression{With: panics}, text, false},
	} {
		small, ok := test.c.compress(test.payload)
		if ok != test.want || ok && len(small) >= len(test.payload) || !ok && small != nil {
			t.Errorf("%s: %d bytes became %d, %v", test.name, len(test.payload), len(small), ok)
			continue
		}
		if !ok {
			continue
		}
		if got, err := test.c.decompress(128, small, uint64(len(test.payload))); err != nil || !bytes.Equal(got, test.payload) {
			t.Errorf("%s: came back as %d bytes, %v", test.name, len(got), err)
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	with := fakeCompressor{id: 129}
	src, err := with.Append(nil, make([]byte, 1000))
	if err != nil {
		t.Fatal(err)
	}
	giving := func(n int, err error) Compressor {
		return fakeCompressor{id: 129, decode: func([]byte, int) ([]byte, error) { return make([]byte, n), err }}
	}
	never := fakeCompressor{id: 129, decode: func([]byte, int) ([]byte, error) {
		t.Error("Decode was called for an entry that is too large")
		return nil, nil
	}}
	panics := fakeCompressor{id: 129, decode: func([]byte, int) ([]byte, error) { panic("no") }}
	for _, test := range []struct {
		c    *Compression
		id   byte
		size uint64
		want string
	}{
		{nil, 2, 1000, "the entry is compressed with 2, and the function has no compressor"},
		{&Compression{}, 2, 1000, "the entry is compressed with 2, and the function has no compressor"},
		{&Compression{With: with}, 2, 1000, "the entry is compressed with 2, and the function has 129"},
		{&Compression{With: with}, 0, 1000, "the entry is compressed with 0, and the function has 129"},
		{&Compression{With: never, MaxSize: 999}, 129, 1000, "the entry says that it has 1000 bytes when decompressed, more than the 999 of Compression.MaxSize"},
		{&Compression{With: never}, 129, 64<<20 + 1, "the entry says that it has 67108865 bytes when decompressed, more than the 67108864 of Compression.MaxSize"},
		{&Compression{With: never, MaxSize: math.MaxInt}, 129, math.MaxUint64, fmt.Sprintf("the entry says that it has 18446744073709551615 bytes when decompressed, more than the %d of Compression.MaxSize", math.MaxInt)},
		{&Compression{With: with}, 129, 1001, "the entry has 1000 bytes when decompressed, and says that it has 1001"},
		{&Compression{With: giving(1001, nil)}, 129, 1000, "the entry has 1001 bytes when decompressed, and says that it has 1000"},
		{&Compression{With: giving(1000, errors.New("broken"))}, 129, 1000, "broken"},
		{&Compression{With: panics}, 129, 1000, "the compressor panicked: panic: no"},
	} {
		got, err := test.c.decompress(test.id, src, test.size)
		if got != nil || err == nil || err.Error() != test.want {
			t.Errorf("%+v: got %d bytes, %v, want %s", test.c, len(got), err, test.want)
		}
	}
	if got, err := (&Compression{With: with, MaxSize: 1000}).decompress(129, src, 1000); err != nil || len(got) != 1000 {
		t.Errorf("at MaxSize: got %d bytes, %v", len(got), err)
	}
}
