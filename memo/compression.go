package memo

import (
	"cmp"
	"fmt"
	"strconv"
)

// Compressor is an algorithm for Compression. Package memo/compress has two.
// The methods may be called concurrently. An error or a panic of theirs fails
// nobody: what cannot be compressed is stored as it is, and an entry that
// cannot be decompressed is loaded anew.
type Compressor interface {
	// ID names the algorithm in entries and is always the same: 1 is zstd, 2
	// is S2, and 128 to 255 are for algorithms of one's own.
	ID() byte

	// Append appends the compressed src to b and returns the extended slice,
	// as the built-in append does. It neither keeps nor changes src.
	Append(b, src []byte) ([]byte, error)

	// Decode returns what src was before it was compressed, in a slice of its
	// own. If that does not have exactly size bytes it is an error. Whatever
	// is in src, Decode allocates not much more than size. It neither keeps
	// nor changes src.
	Decode(src []byte, size int) ([]byte, error)
}

// Compression says when encoded values are compressed.
type Compression struct {
	// With is the algorithm. An entry of another one is a miss. Nil is none,
	// whatever would be inherited, and makes a miss of every compressed entry.
	With Compressor

	// Above is the number of bytes that an encoded value may have without
	// being compressed. Larger ones are, and stay so if it makes them smaller.
	// Zero is 1 KiB.
	Above int

	// MaxSize is the largest number of bytes that an encoded value may have to
	// be compressed. An entry that says of itself that it was larger is a miss
	// and not decompressed, so that no entry can use up the memory. Zero is
	// 64 MiB.
	MaxSize int
}

const (
	defaultAbove   = 1 << 10
	defaultMaxSize = 64 << 20
	firstOwnID     = 128
)

// check returns an error that begins with the name of a field. A nil c is good.
func (c *Compression) check() error {
	switch {
	case c == nil:
		return nil
	case c.Above < 0:
		return invalid("Compression.Above: " + strconv.Itoa(c.Above) + " is negative; leave it zero for 1 KiB")
	case c.MaxSize < 0:
		return invalid("Compression.MaxSize: " + strconv.Itoa(c.MaxSize) + " is negative; leave it zero for 64 MiB")
	case c.With == nil:
		return nil
	}
	if id := c.With.ID(); id == 0 || 2 < id && id < firstOwnID {
		return invalid("Compression.With: its ID is " + strconv.Itoa(int(id)) + "; 128 to 255 are for algorithms of your own")
	}
	return nil
}

// compress returns the compressed payload, if it is to be compressed and is
// smaller then.
func (c *Compression) compress(payload []byte) (small []byte, ok bool) {
	size := len(payload)
	if c == nil || c.With == nil || size <= cmp.Or(c.Above, defaultAbove) || size > cmp.Or(c.MaxSize, defaultMaxSize) {
		return nil, false
	}
	small, err := compressWith(c.With, payload)
	if err != nil || len(small) >= size {
		return nil, false
	}
	return small, true
}

func compressWith(c Compressor, payload []byte) (small []byte, err error) {
	defer panicked("compressor", &err)
	return c.Append(nil, payload)
}

// decompress returns the payload of size bytes that src was made of by the
// Compressor with this id.
func (c *Compression) decompress(id byte, src []byte, size uint64) (payload []byte, err error) {
	defer panicked("compressor", &err)
	if c == nil || c.With == nil {
		return nil, fmt.Errorf("the entry is compressed with %d, and the function has no compressor", id)
	}
	if own := c.With.ID(); id != own {
		return nil, fmt.Errorf("the entry is compressed with %d, and the function has %d", id, own)
	}
	if limit := cmp.Or(c.MaxSize, defaultMaxSize); size > uint64(limit) {
		return nil, fmt.Errorf("the entry says that it has %d bytes when decompressed, more than the %d of Compression.MaxSize", size, limit)
	}
	decoded, err := c.With.Decode(src, int(size))
	switch {
	case err != nil:
		return nil, err
	case uint64(len(decoded)) != size:
		return nil, fmt.Errorf("the entry has %d bytes when decompressed, and says that it has %d", len(decoded), size)
	}
	return decoded, nil
}
