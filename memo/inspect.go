package memo

import (
	"fmt"
	"strconv"
)

// Envelope is an entry as a store has it, taken apart without the function
// that it belongs to: for tools that show what is in a store.
type Envelope struct {
	// Version is that of the envelope's format.
	Version int

	// Codec is what has encoded the value: "json", "gob", "bytes" or "string";
	// "custom" is one of the program's own, whose type the entry does not name,
	// and "unknown 5" one that this version does not know.
	Codec string

	// Compression is "zstd" or "s2", or "custom 128" to "custom 255" by its ID,
	// or "unknown 5"; empty if the payload is not compressed.
	Compression string

	// Meta is as in [Func.Meta], but for two: TTL is zero, as it is not in the
	// entry, and StaleUntil is zero if it is left to the policy of the reader.
	Meta Meta

	// Payload is the encoded value as it is stored, perhaps compressed; see
	// Decompress. If Meta.Absent or Meta.Failure, it is the text of an error.
	Payload []byte

	compressor byte
	size       uint64 // of the payload when decompressed
}

// ParseEnvelope takes apart an entry that a Memo has stored. The Payload is a
// part of b. An error matches store.ErrInvalid: package memo has not written b,
// or a later version of it has, or b was cut or damaged. Whether a payload was
// damaged cannot be seen here.
func ParseEnvelope(b []byte) (Envelope, error) {
	h, payload, err := parseEnvelope(b)
	if err != nil {
		return Envelope{}, invalid("memo: parse envelope: " + err.Error())
	}
	e := Envelope{
		Version: envelopeVersion,
		Codec:   codecName(h.codec),
		Meta:    h.describe(0, len(b)),
		Payload: payload,
	}
	if h.has(flagCompressed) && !h.negative() {
		e.Compression = compressorName(h.compressor)
		e.compressor, e.size = h.compressor, h.size
	}
	return e, nil
}

// Decompress returns the encoded value: the Payload itself if it is not
// compressed, else what that one of the given compressors makes of it that has
// compressed it. No more than maxSize bytes are decompressed; zero is 64 MiB.
// An error matches store.ErrInvalid: no compressor fits, the value is larger,
// or the payload is damaged.
func (e *Envelope) Decompress(maxSize int, with ...Compressor) ([]byte, error) {
	if e.Compression == "" {
		return e.Payload, nil
	}
	c := Compression{MaxSize: maxSize}
	for _, candidate := range with {
		if candidate != nil && candidate.ID() == e.compressor {
			c.With = candidate
		}
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("memo: decompress: %w", err)
	}
	if c.With == nil {
		return nil, invalid("memo: decompress: the entry is compressed with " + e.Compression + ", which is not among the compressors")
	}
	payload, err := c.decompress(e.compressor, e.Payload, e.size)
	if err != nil {
		return nil, invalid("memo: decompress: " + err.Error())
	}
	return payload, nil
}

func codecName(id byte) string {
	names := [...]string{codecCustom: "custom", codecJSON: "json", codecGob: "gob", codecBytes: "bytes", codecString: "string"}
	if int(id) < len(names) {
		return names[id]
	}
	return "unknown " + strconv.Itoa(int(id))
}

func compressorName(id byte) string {
	switch {
	case id == 1:
		return "zstd"
	case id == 2:
		return "s2"
	case id >= firstOwnID:
		return "custom " + strconv.Itoa(int(id))
	}
	return "unknown " + strconv.Itoa(int(id))
}
