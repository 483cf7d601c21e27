package compress

import (
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/cairncache/cairn/memo"
)

// S2 returns the block format of S2, an extension of Snappy, at its default
// level. It has no checksum: most damage is found, but some may come out as
// another value. It may be used concurrently and has no goroutines.
func S2() memo.Compressor { return s2Compressor{} }

type s2Compressor struct{}

func (s2Compressor) ID() byte { return idS2 }

func (s2Compressor) Append(b, src []byte) ([]byte, error) {
	n := s2.MaxEncodedLen(len(src))
	if n < 0 {
		return nil, fmt.Errorf("s2: %w", s2.ErrTooLarge)
	}
	return appendWith(b, func(scratch []byte) []byte { return s2.Encode(scratch, src) }), nil
}

func (s2Compressor) Decode(src []byte, size int) ([]byte, error) {
	if size < 0 {
		return nil, errNegative
	}
	n, err := s2.DecodedLen(src) // what Decode allocates
	if err != nil {
		return nil, fmt.Errorf("s2: %w", err)
	}
	if n != size {
		return nil, sizeError(n, size)
	}
	decoded, err := s2.Decode(nil, src)
	if err != nil {
		return nil, fmt.Errorf("s2: %w", err)
	}
	return decoded, nil
}
