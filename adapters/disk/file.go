package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

// The file of an entry, in little endian:
//
//	 0  8  magic, of which the last byte is the version
//	 8  8  deadline in ns since 1970, without a sign as that reaches further, or never
//	16  8  when it was written, likewise
//	24  4  length of the key
//	28  4  CRC-32C of the value
//	32  8  length of the value
//	40  4  CRC-32C of the 40 bytes above and of the key
//	44     the key
//	       the value, up to the end of the file
const (
	magic      = "\x89cairn\r\x01"
	headerSize = 44
	never      = math.MaxUint64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A header is what a file says of its entry.
type header struct {
	deadline uint64
	key      string
	valueLen int64
	valueSum uint32
}

var errDamaged = errors.New("the file is damaged")

func (h *header) size() int64 { return headerSize + int64(len(h.key)) + h.valueLen }

// encode is the file of an entry.
func encode(key string, value []byte, deadline uint64) []byte {
	b := make([]byte, headerSize, headerSize+len(key)+len(value))
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[8:], deadline)
	binary.LittleEndian.PutUint64(b[16:], now())
	binary.LittleEndian.PutUint32(b[24:], uint32(len(key)))
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(value, castagnoli))
	binary.LittleEndian.PutUint64(b[32:], uint64(len(value)))
	binary.LittleEndian.PutUint32(b[40:], headerSum(b[:40], []byte(key)))
	return append(append(b, key...), value...)
}

func headerSum(fixed, key []byte) uint32 {
	return crc32.Update(crc32.Checksum(fixed, castagnoli), castagnoli, key)
}

// decodeHeader reads the header and the key at the beginning of b.
func decodeHeader(b []byte) (*header, error) {
	if len(b) < headerSize || string(b[:8]) != magic {
		return nil, errDamaged
	}
	keyLen := binary.LittleEndian.Uint32(b[24:])
	if keyLen > store.MaxKeyLen || len(b) < headerSize+int(keyLen) {
		return nil, errDamaged
	}
	key := b[headerSize : headerSize+keyLen]
	h := &header{
		deadline: binary.LittleEndian.Uint64(b[8:]),
		key:      string(key),
		valueLen: int64(binary.LittleEndian.Uint64(b[32:])),
		valueSum: binary.LittleEndian.Uint32(b[28:]),
	}
	if headerSum(b[:40], key) != binary.LittleEndian.Uint32(b[40:]) || h.valueLen < 0 {
		return nil, errDamaged
	}
	return h, nil
}

// decode reads a whole file.
func decode(b []byte) (*header, []byte, error) {
	h, err := decodeHeader(b)
	if err != nil {
		return nil, nil, err
	}
	value := b[headerSize+len(h.key):]
	if int64(len(value)) != h.valueLen || crc32.Checksum(value, castagnoli) != h.valueSum {
		return nil, nil, errDamaged
	}
	return h, value, nil
}

// An entry is a file that was read whole.
type entry struct {
	header
	value []byte
	used  time.Time // when it was last written, or marked as used
}

func (h *header) expired() bool { return h.left() <= 0 }

// left is how long it will still live, Forever if it does not expire.
func (h *header) left() time.Duration {
	if h.deadline == never {
		return store.Forever
	}
	now := now()
	if h.deadline <= now {
		return 0
	}
	return time.Duration(min(h.deadline-now, uint64(store.Forever)-1))
}

// deadlineAfter is ttl from now.
func deadlineAfter(ttl time.Duration) uint64 {
	if ttl == store.Forever {
		return never
	}
	return now() + uint64(ttl)
}

// now is the time in ns since 1970, which is over in the year 2262.
func now() uint64 { return uint64(time.Now().UnixNano()) }
