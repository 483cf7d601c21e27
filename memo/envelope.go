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
//	    29         the sections that the flags announce, in the order of their bits
//	               payload
//
//	flag  section
//	  01  none: the payload is the text of the error that said there is no such thing
//	  02  none: the payload is the text of an error that is remembered
//	  04  generation: 8 bytes
//	  08  stale until, Unix nanoseconds: 8 bytes; without it the reader's policy counts
//	  10  etag: its length as uvarint, its bytes
//	  20  tags: their number as uvarint; of each the length of its name as uvarint, the name, and 8 bytes of version
//	  40  compression: 1 byte that names it, and the size of the decompressed payload as uvarint
//
// An entry with a flag that a reader does not know is not for it, as it may say
// that the payload is no value.
const (
	envelopeMagic   = 0xCA17
	envelopeVersion = 1
	headerLen       = 29 // of what every entry has

	flagAbsent     = 0x01
	flagFailure    = 0x02
	flagGeneration = 0x04
	flagStale      = 0x08
	flagETag       = 0x10
	flagTags       = 0x20
	flagCompressed = 0x40
	knownFlags     = 0x7f
)

// header is what is known about a value.
type header struct {
	flags      byte
	codec      byte
	shape      uint32
	fresh      int64 // Unix nanoseconds, or 0
	generation version
	created    int64         // Unix nanoseconds
	load       time.Duration // to the microsecond
	stale      int64         // Unix nanoseconds
	etag       string
	tags       []tag
	compressor byte
	size       uint64 // of the payload when decompressed
}

// tag is a name that an entry carries, with its version when it was loaded.
type tag struct {
	name    string
	version version
}

func (h *header) has(flag byte) bool { return h.flags&flag != 0 }

// negative reports whether the payload is the text of an error.
func (h *header) negative() bool { return h.has(flagAbsent | flagFailure) }

// simplyFresh reports whether the payload is a value that is fresh at now,
// without a tag that would have to be asked about.
func (h *header) simplyFresh(generation version, now int64) bool {
	return h.generation == generation && (h.fresh == 0 || now < h.fresh) && !h.has(flagAbsent|flagFailure|flagTags)
}

// after returns the time d after from as an envelope has it: 0 if that is
// never, or not known.
func after(from int64, d time.Duration) int64 {
	if 0 < d && int64(d) < math.MaxInt64-from {
		return from + int64(d)
	}
	return 0
}

// append appends the envelope without its payload to b.
func (h *header) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, envelopeMagic)
	b = append(b, envelopeVersion, h.flags, h.codec)
	b = binary.BigEndian.AppendUint32(b, h.shape)
	b = binary.BigEndian.AppendUint64(b, uint64(h.created))
	b = binary.BigEndian.AppendUint64(b, uint64(h.fresh))
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(h.load.Microseconds(), 0), math.MaxUint32)))
	if h.has(flagGeneration) {
		b = binary.BigEndian.AppendUint64(b, uint64(h.generation))
	}
	if h.has(flagStale) {
		b = binary.BigEndian.AppendUint64(b, uint64(h.stale))
	}
	if h.has(flagETag) {
		b = appendText(b, h.etag)
	}
	if h.has(flagTags) {
		b = binary.AppendUvarint(b, uint64(len(h.tags)))
		for _, t := range h.tags {
			b = appendText(b, t.name)
			b = binary.BigEndian.AppendUint64(b, uint64(t.version))
		}
	}
	if h.has(flagCompressed) {
		b = append(b, h.compressor)
		b = binary.AppendUvarint(b, h.size)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// parseEnvelope returns the header and the payload, which is a part of b.
func parseEnvelope(b []byte) (h header, payload []byte, err error) {
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
	h = header{
		flags:   b[3],
		codec:   b[4],
		shape:   binary.BigEndian.Uint32(b[5:]),
		created: int64(binary.BigEndian.Uint64(b[9:])),
		fresh:   int64(binary.BigEndian.Uint64(b[17:])),
		load:    time.Duration(binary.BigEndian.Uint32(b[25:])) * time.Microsecond,
	}
	r := reader{rest: b[headerLen:]}
	h.parseSections(&r)
	if r.failed {
		return header{}, nil, errors.New("the envelope is damaged")
	}
	return h, r.rest, nil
}

func (h *header) parseSections(r *reader) {
	if h.has(flagGeneration) {
		h.generation = version(r.uint64())
	}
	if h.has(flagStale) {
		h.stale = int64(r.uint64())
	}
	if h.has(flagETag) {
		h.etag = r.text()
	}
	if h.has(flagTags) {
		n := r.uvarint()
		for range n {
			t := tag{r.text(), version(r.uint64())}
			if r.failed {
				return
			}
			h.tags = append(h.tags, t)
		}
	}
	if h.has(flagCompressed) {
		if name := r.next(1); name != nil {
			h.compressor = name[0]
		}
		h.size = r.uvarint()
	}
}

// reader takes an envelope apart. After a failure it returns zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) next(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint64() uint64 {
	b := r.next(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// uvarint accepts the shortest form of a number alone, so that an envelope is
// written as it was read.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.failed = true
		return 0
	}
	r.next(uint64(n))
	return v
}

func (r *reader) text() string { return string(r.next(r.uvarint())) }
