// Package compress has the algorithms for memo.Compression. They are those of
// [github.com/klauspost/compress].
//
//	users, err := memo.Wrap(m, "user", fetchUser, &memo.FuncOptions[int64, User]{
//		Compression: &memo.Compression{With: compress.Zstd()},
//	})
//
// [Zstd] makes values smaller, [S2] is faster. What one of them has compressed
// the other cannot read: a function that changes from one to the other loads
// its values anew.
package compress

import (
	"errors"
	"fmt"
	"sync"
)

// The algorithms, as entries name them.
const (
	idZstd = 1
	idS2   = 2
)

// scratch has the buffers that are compressed into, as *[]byte. What is stored
// is copied from them, so that it takes no more memory than it needs.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is the size of the largest buffer that is kept.
const maxScratch = 1 << 20

// appendWith appends to b what encode makes, which is given an empty slice with
// some capacity.
func appendWith(b []byte, encode func(scratch []byte) []byte) []byte {
	p := scratch.Get().(*[]byte)
	encoded := encode((*p)[:0])
	b = append(b, encoded...)
	if cap(encoded) <= maxScratch {
		*p = encoded
		scratch.Put(p)
	}
	return b
}

var errNegative = errors.New("the size is negative")

// sizeError is of a payload that has not the size that its entry says.
func sizeError(has, says int) error {
	return fmt.Errorf("the entry has %d bytes when decompressed, and says that it has %d", has, says)
}
