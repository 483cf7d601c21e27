package memcache

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

// headerFlags are the flags of an item whose value begins with a header.
const headerFlags uint32 = 0x6361_6972

// A header is laid out as follows, numbers with the highest byte first. An
// item that has the flags and another magic, or another layout, is a miss.
//
//	magic       2 bytes
//	version     1 byte
//	generation  8 bytes
//	deadline    8 bytes, microseconds since 1970, 0 for none
//	key length  2 bytes
//	key         the whole key if the item's is a hash, else nothing
type header struct {
	generation uint64
	deadline   int64
	key        string
}

const (
	headerMagic   = 0xca17
	headerVersion = 1
	headerLen     = 21 // without the key
)

// encode returns the header followed by the value, in a slice of its own.
func (h header) encode(value []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(h.key)+len(value))
	binary.BigEndian.PutUint16(b, headerMagic)
	b[2] = headerVersion
	stamp(b, h.generation, h.deadline)
	binary.BigEndian.PutUint16(b[19:], uint16(len(h.key)))
	return append(append(b, h.key...), value...)
}

// stamp changes the generation and the deadline in an encoded header.
func stamp(b []byte, generation uint64, deadline int64) {
	binary.BigEndian.PutUint64(b[3:], generation)
	binary.BigEndian.PutUint64(b[11:], uint64(deadline))
}

// parse takes apart what encode made. The value is part of b.
func parse(b []byte) (h header, value []byte, ok bool) {
	if len(b) < headerLen || binary.BigEndian.Uint16(b) != headerMagic || b[2] != headerVersion {
		return header{}, nil, false
	}
	h.generation = binary.BigEndian.Uint64(b[3:])
	h.deadline = int64(binary.BigEndian.Uint64(b[11:]))
	keyLen := int(binary.BigEndian.Uint16(b[19:]))
	b = b[headerLen:]
	if h.generation == 0 || h.deadline < 0 || keyLen > len(b) || keyLen > store.MaxKeyLen {
		return header{}, nil, false
	}
	h.key = string(b[:keyLen])
	return h, b[keyLen:], true
}

// deadline is the instant at which ttl from now has passed, rounded up.
func deadline(now time.Time, ttl time.Duration) int64 {
	if ttl == store.Forever {
		return 0
	}
	return now.UnixMicro() + int64(ttl/time.Microsecond) + 2
}

// left is the time from now to a deadline: Forever if there is none, and not
// above 0 if it is over.
func left(now time.Time, deadline int64) time.Duration {
	if deadline == 0 {
		return store.Forever
	}
	const most = (math.MaxInt64 - 1) / int64(time.Microsecond)
	micros := min(deadline-now.UnixMicro(), most)
	return time.Duration(micros)*time.Microsecond - time.Duration(now.Nanosecond()%1000)
}

// expiration is ttl as Memcached has it: seconds, or the time of day past 30
// days, or 0 for ever. One of n seconds passes after n-1 to n, and this one
// must not pass before ttl has.
func expiration(now time.Time, ttl time.Duration) int32 {
	const longestRelative = 30 * 24 * 3600
	seconds := int64(ttl/time.Second) + 2
	if seconds > longestRelative {
		seconds += now.Unix()
	}
	if ttl == store.Forever || seconds > math.MaxInt32 {
		return 0
	}
	return int32(seconds)
}
