package memo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// The format of entries
//
// Entries outlive deployments, and programs of several versions share them. The
// format of a version never changes; testdata holds samples of each.
//
// Version 1, numbers in big-endian order:
//
//	offset  bytes
//	     0      2  magic, CA 17
//	     2      1  version of the envelope
//	     3      1  flags
//	     4      1  codec of the payload
//	     5      4  shape of the value's type
//	     9      8  created: the end of the load, Unix nanoseconds
//	    17      8  fresh until, Unix nanoseconds; 0 if only the store's expiry counts
//	    25      4  load time in microseconds, at most 2³²-1
//	    29         payload
//
// A flag announces a section between load time and payload, or another meaning
// of the payload. There is none yet. An entry with a flag that a reader does
// not know is not for it, as it may say that the payload is no value.
const (
	envelopeMagic   = 0xCA17
	envelopeVersion = 1
	knownFlags      = 0
	headerLen       = 29
)

// header is what is known about a value.
type header struct {
	codec   byte
	shape   uint32
	created int64         // Unix nanoseconds
	fresh   int64         // Unix nanoseconds, or 0
	load    time.Duration // to the microsecond
}

// newHeader describes a value that was loaded just now. ttl is that of the
// entry, as a Store takes it.
func newHeader(codec byte, shape uint32, load, ttl time.Duration) header {
	h := header{codec: codec, shape: shape, created: time.Now().UnixNano(), load: load}
	if 0 < ttl && int64(ttl) < math.MaxInt64-h.created {
		h.fresh = h.created + int64(ttl)
	}
	return h
}

// append appends the envelope of a payload to b.
func (h *header) append(b, payload []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, envelopeMagic)
	b = append(b, envelopeVersion, 0, h.codec)
	b = binary.BigEndian.AppendUint32(b, h.shape)
	b = binary.BigEndian.AppendUint64(b, uint64(h.created))
	b = binary.BigEndian.AppendUint64(b, uint64(h.fresh))
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(h.load.Microseconds(), 0), math.MaxUint32)))
	return append(b, payload...)
}

// parseEnvelope returns the header and the payload, which is a part of b.
func parseEnvelope(b []byte) (header, []byte, error) {
	if len(b) < 3 || binary.BigEndian.Uint16(b) != envelopeMagic {
		return header{}, nil, errors.New("the entry was not written by package memo")
	}
	if b[2] != envelopeVersion {
		return header{}, nil, fmt.Errorf("the envelope has version %d, and this program knows version %d", b[2], envelopeVersion)
	}
	if len(b) < headerLen {
		return header{}, nil, fmt.Errorf("the entry has %d bytes, fewer than its envelope; it was cut", len(b))
	}
	if unknown := b[3] &^ knownFlags; unknown != 0 {
		return header{}, nil, fmt.Errorf("the envelope has flags %#02x, which this program does not know", unknown)
	}
	h := header{
		codec:   b[4],
		shape:   binary.BigEndian.Uint32(b[5:]),
		created: int64(binary.BigEndian.Uint64(b[9:])),
		fresh:   int64(binary.BigEndian.Uint64(b[17:])),
		load:    time.Duration(binary.BigEndian.Uint32(b[25:])) * time.Microsecond,
	}
	return h, b[headerLen:], nil
}
