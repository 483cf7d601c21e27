package compress

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/cairncache/cairn/memo"
)

// Zstd returns the algorithm of RFC 8878 at its default level, with a checksum
// of 4 bytes in each entry, so that damage is found. It may be used
// concurrently and has no goroutines; as many values are compressed and
// decompressed at once as GOMAXPROCS was at its first use. It keeps the memory
// that this takes, so one is best shared by all functions of a program. In
// testing/synctest each bubble needs one of its own.
func Zstd() memo.Compressor {
	return &zstdCompressor{
		encoder: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true))
		}),
		decoder: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
		}),
	}
}

type zstdCompressor struct {
	encoder func() (*zstd.Encoder, error)
	decoder func() (*zstd.Decoder, error)
}

func (*zstdCompressor) ID() byte { return idZstd }

func (c *zstdCompressor) Append(b, src []byte) ([]byte, error) {
	e, err := c.encoder()
	if err != nil {
		return nil, err
	}
	return appendWith(b, func(scratch []byte) []byte { return e.EncodeAll(src, scratch) }), nil
}

func (c *zstdCompressor) Decode(src []byte, size int) ([]byte, error) {
	if size < 0 {
		return nil, errNegative
	}
	d, err := c.decoder()
	if err != nil {
		return nil, err
	}
	// The decoder fills no more than the capacity, whatever src says.
	decoded, err := d.DecodeAll(src, make([]byte, 0, size+decoderSlack))
	switch {
	case err != nil:
		return nil, fmt.Errorf("zstd: %w", err)
	case len(decoded) != size:
		return nil, sizeError(len(decoded), size)
	}
	return decoded, nil
}

// decoderSlack is what the decoder wants to have behind a value, without which
// it copies byte by byte.
const decoderSlack = 16
