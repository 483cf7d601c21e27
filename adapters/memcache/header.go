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
//
// Version 2 has a lease besides. An item without an entry has a deadline that
// has passed long ago.
//
//	kind          1 byte
//	deadline      8 bytes, likewise
//	token length  1 byte, 0 for a Hold
//	token
type header struct {
	generation uint64
	deadline   int64
	key        string
	lease      lease
}

// A lease is part of the item of its key, or all of it: so whoever writes the
// item without knowing of a lease ends it.
type lease struct {
	kind     byte
	deadline int64
	token    string
}

const (
	noLease byte = iota
	toFill       // the one who has the token may fill
	onHold       // nobody may
)

const (
	headerMagic  = 0xca17
	plainVersion = 1
	leaseVersion = 2
	headerLen    = 21 // without the key and the lease
	leaseLen     = 10 // without the token

	longAgo = 1 // a deadline
)

// encode returns the header followed by the value, in a slice of its own.
func (h header) encode(value []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(h.key)+leaseLen+len(h.lease.token)+len(value))
	binary.BigEndian.PutUint16(b, headerMagic)
	b[2] = plainVersion
	stamp(b, h.generation, h.deadline)
	binary.BigEndian.PutUint16(b[19:], uint16(len(h.key)))
	b = append(b, h.key...)
	if h.lease.kind != noLease {
		b[2] = leaseVersion
		b = append(b, h.lease.kind)
		b = binary.BigEndian.AppendUint64(b, uint64(h.lease.deadline))
		b = append(b, byte(len(h.lease.token)))
		b = append(b, h.lease.token...)
	}
	return append(b, value...)
}

// stamp changes the generation and the deadline in an encoded header.
func stamp(b []byte, generation uint64, deadline int64) {
	binary.BigEndian.PutUint64(b[3:], generation)
	binary.BigEndian.PutUint64(b[11:], uint64(deadline))
}

// parse takes apart what encode made. The value is part of b.
func parse(b []byte) (h header, value []byte, ok bool) {
	if len(b) < headerLen || binary.BigEndian.Uint16(b) != headerMagic {
		return header{}, nil, false
	}
	version := b[2]
	h.generation = binary.BigEndian.Uint64(b[3:])
	h.deadline = int64(binary.BigEndian.Uint64(b[11:]))
	keyLen := int(binary.BigEndian.Uint16(b[19:]))
	b = b[headerLen:]
	if h.generation == 0 || h.deadline < 0 || keyLen > len(b) || keyLen > store.MaxKeyLen {
		return header{}, nil, false
	}
	h.key = string(b[:keyLen])
	b = b[keyLen:]
	switch version {
	case plainVersion:
		return h, b, true
	case leaseVersion:
		if h.lease, b, ok = parseLease(b); ok {
			return h, b, true
		}
	}
	return header{}, nil, false
}

// parseLease takes apart what begins with a lease.
func parseLease(b []byte) (l lease, rest []byte, ok bool) {
	if len(b) < leaseLen {
		return lease{}, nil, false
	}
	l.kind = b[0]
	l.deadline = int64(binary.BigEndian.Uint64(b[1:]))
	tokenLen := int(b[9])
	b = b[leaseLen:]
	if l.kind != toFill && l.kind != onHold || l.deadline < 0 || (tokenLen == 0) != (l.kind == onHold) || tokenLen > len(b) {
		return lease{}, nil, false
	}
	l.token = string(b[:tokenLen])
	return l, b[tokenLen:], true
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
