package memory

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"time"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

// A snapshot is a header, blocks of entries, and an end:
//
//	header: "cairn memory snapshot\n", version uint8, saved int64, checksum
//	block:  length uint64, that many bytes of whole entries, checksum
//	end:    0 uint64, entries uint64, checksum
//	entry:  key, value, left uvarint, uses uvarint
//	key:    length uvarint, that many bytes: 1 to store.MaxKeyLen
//	value:  length uvarint, that many bytes
//
// The version is 1. saved is the time in nanoseconds since 1970 UTC, and left
// how many nanoseconds the entry had to live then, at most 1<<63 - 2, or 0 if
// it does not expire. uses is how often it was used, as far as the policy
// counts that. The entries come from the oldest to the newest; where uses
// count, from the least to the most valuable. No two have the same key. entries
// is how many there are. Nothing follows the end.
//
// Integers of fixed size are little-endian, a uvarint is that of
// encoding/binary. A checksum is a uint32: the CRC-32C of all bytes before it
// but for the checksums among them, so that blocks cannot change places.
const (
	snapshotMagic   = "cairn memory snapshot\n"
	snapshotVersion = 1
	snapshotBlock   = 64 << 10 // bytes after which a block ends; one large entry may make it longer
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes all entries to w, for [Store.Restore], and returns how many. Each
// is written with the bytes of its value, its place in the order of the Policy,
// its number of uses for LFU and TinyLFU, and its ttl, which goes on by the
// clock of the system while the snapshot is kept. It counts neither as a use
// nor as a hit.
//
// The Store may be used meanwhile: an entry that is there all the time is
// written, with a value that it has had during Save. Live values are encoded
// outside all locks. Those that cannot be are left out; the snapshot is whole
// without them, and the error is an ErrInvalid that names the first such key.
//
// If w fails or ctx ends, the error says so, n is 0, and Restore refuses what
// was written. ctx is asked between entries: it does not end a Write.
func (s *Store) Save(ctx context.Context, w io.Writer) (n int, err error) {
	const op = "save"
	if err := s.check(ctx, op); err != nil {
		return 0, err
	}
	now := time.Now()
	out := newSnapshotWriter(w, now)
	var leftOut error
	for _, ranked := range s.cache.Ranking() {
		if err := cmp.Or(s.check(ctx, op), out.err); err != nil {
			return 0, err
		}
		e, ok := s.peek(ranked.Key)
		if !ok {
			continue
		}
		value, err := e.Value.Bytes()
		if err != nil {
			leftOut = cmp.Or(leftOut, encodeError(op, ranked.Key, err))
			continue
		}
		left := int64(0)
		if e.Deadline != cache.Never {
			left = e.Deadline - s.cache.At(now)
		}
		out.entry(ranked.Key, value, left, ranked.Uses)
		n++
	}
	if err := cmp.Or(s.check(ctx, op), out.end(n)); err != nil {
		return 0, err
	}
	return n, leftOut
}

// Restore stores the entries of a snapshot that [Store.Save] has written, in
// this process or another one, and returns how many. They come with the ttl
// that they have left by the clock of the system, and never with more than they
// had when they were saved; those that have expired do not come. Entries
// without expiry stay so, whatever Options.TTL is.
//
// What the Store holds is taken to be newer than the snapshot, and stays:
// Restore replaces nothing, evicts nothing unless others write meanwhile, and
// stores nothing under a key that is held, see Hold. If there is not enough
// room, those entries come that the Policy would evict last. They are written
// as Add does it, in the order of the snapshot: hooks and watchers are told,
// leases end. With the same Policy they would be evicted in the same order as
// before; TinyLFU and Random promise none.
//
// Restore reads r to its end before it stores anything. If that is not exactly
// one whole snapshot, undamaged and of a version that is known, the error is an
// ErrInvalid that says where it is wrong; any other is that of r or of ctx.
// Nothing is stored then. The checksums find damage, not forgery. ctx is asked
// before each Read, and not again. Lengths in r take no memory by themselves.
func (s *Store) Restore(ctx context.Context, r io.Reader) (n int, err error) {
	const op = "restore"
	checked := readerFunc(func(p []byte) (int, error) {
		if err := s.check(ctx, op); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
	entries, err := readSnapshot(checked, s.cache.After)
	if err := cmp.Or(s.check(ctx, op), err); err != nil {
		return 0, err
	}
	for _, e := range s.fitting(entries) {
		added, err := s.restore(op, e)
		if err != nil {
			return n, err
		}
		if added {
			n++
		}
	}
	return n, nil
}

// A savedEntry is an entry of a snapshot, its deadline by the clock of a Store.
type savedEntry struct {
	key string
	entry
	uses uint32
}

func (e *savedEntry) fits(o *Options) bool {
	return o.MaxBytes == 0 || size(e.key, e.Value) <= o.MaxBytes
}

// fitting are the entries that there is room for.
func (s *Store) fitting(entries []savedEntry) []savedEntry {
	o, now := s.options.Load(), s.Stats()
	entries = slices.DeleteFunc(entries, func(e savedEntry) bool {
		_, there := s.peek(e.key)
		return there || s.expired(e.entry) || !e.fits(o)
	})
	newestGoFirst := o.Policy == MRU || o.Policy == LIFO
	room, free := min(len(entries), o.MaxEntries-now.Entries), o.MaxBytes-now.Bytes
	n := 0
	for ; n < room; n++ {
		e := &entries[len(entries)-1-n]
		if newestGoFirst {
			e = &entries[n]
		}
		if free -= size(e.key, e.Value); o.MaxBytes > 0 && free < 0 {
			break
		}
	}
	if newestGoFirst {
		return entries[:n]
	}
	return entries[len(entries)-n:]
}

// restore adds one entry, if it may still be added.
func (s *Store) restore(op string, e savedEntry) (added bool, err error) {
	err = s.change(op, e.key, func(_ entry, live bool) (entry, Cause) {
		held := s.leases.has(e.key, "", s.now())
		if added = !live && !held && !s.expired(e.entry) && e.fits(s.options.Load()); added {
			return e.entry, Replaced
		}
		return entry{}, kept
	})
	if added && e.uses > 0 {
		s.cache.Used(e.key, e.Value, e.uses)
	}
	return added && err == nil, err
}

// A snapshotWriter writes a block at a time, and nothing after the first error.
type snapshotWriter struct {
	w   io.Writer
	buf []byte // what has not been written; a block begins with room for its length
	sum uint32
	err error
}

func newSnapshotWriter(w io.Writer, saved time.Time) *snapshotWriter {
	out := &snapshotWriter{w: w, buf: append([]byte(snapshotMagic), snapshotVersion)}
	out.buf = binary.LittleEndian.AppendUint64(out.buf, uint64(saved.UnixNano()))
	out.write()
	return out
}

// write writes buf and the checksum, and begins a block.
func (out *snapshotWriter) write() {
	if out.err == nil {
		out.sum = crc32.Update(out.sum, castagnoli, out.buf)
		out.buf = binary.LittleEndian.AppendUint32(out.buf, out.sum)
		n, err := out.w.Write(out.buf)
		if err == nil && n < len(out.buf) {
			err = io.ErrShortWrite
		}
		if err != nil {
			out.err = &store.Error{Op: "save", Err: fmt.Errorf("write: %w", err)}
		}
	}
	out.buf = append(out.buf[:0], make([]byte, 8)...)
}

func (out *snapshotWriter) entry(key string, value []byte, left int64, uses uint32) {
	b := out.buf
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	b = binary.AppendUvarint(b, uint64(left))
	out.buf = binary.AppendUvarint(b, uint64(uses))
	if len(out.buf) >= snapshotBlock {
		out.block()
	}
}

func (out *snapshotWriter) block() {
	if n := len(out.buf) - 8; n > 0 {
		binary.LittleEndian.PutUint64(out.buf, uint64(n))
		out.write()
	}
}

func (out *snapshotWriter) end(entries int) error {
	out.block()
	out.buf = binary.LittleEndian.AppendUint64(out.buf, uint64(entries))
	out.write()
	return out.err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A snapshotReader reads what a snapshotWriter writes.
type snapshotReader struct {
	r       *bufio.Reader
	after   func(time.Duration) int64 // the deadline that is so far away
	buf     bytes.Buffer              // what was taken last
	at      int64                     // how many bytes were read
	sum     uint32
	saved   time.Time
	entries []savedEntry
}

func readSnapshot(from io.Reader, after func(time.Duration) int64) ([]savedEntry, error) {
	r := &snapshotReader{r: bufio.NewReaderSize(from, snapshotBlock), after: after}
	if err := r.header(); err != nil {
		return nil, err
	}
	for {
		at := r.at
		b, err := r.take(8)
		if err != nil {
			return nil, err
		}
		length := binary.LittleEndian.Uint64(b)
		if length == 0 {
			return r.entries, r.end(at)
		}
		block, err := r.checked(at, length)
		if err != nil {
			return nil, err
		}
		if err := r.parse(at, block); err != nil {
			return nil, err
		}
	}
}

func (r *snapshotReader) header() error {
	b, err := r.take(uint64(len(snapshotMagic) + 1))
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, []byte(snapshotMagic)) {
		return r.invalid(0, "this is no snapshot; one begins with %q", snapshotMagic)
	}
	if version := b[len(snapshotMagic)]; version != snapshotVersion {
		return r.invalid(r.at-1, "the version is %d; only %d is known", version, snapshotVersion)
	}
	if b, err = r.checked(0, 8); err == nil {
		r.saved = time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
	}
	return err
}

// parse takes the entries from a block, which begins at the byte at.
func (r *snapshotReader) parse(at int64, block []byte) error {
	age := max(0, time.Since(r.saved)) // a clock that is behind gives nothing a longer life
	b := fields{rest: block}
	for len(b.rest) > 0 {
		key, value, left, uses := b.bytes(), b.bytes(), b.number(), b.number()
		if b.bad || len(key) == 0 || len(key) > store.MaxKeyLen || left >= math.MaxInt64 {
			return r.invalid(at, "entry %d, in the block that begins here, makes no sense", len(r.entries)+1)
		}
		e := entry{Value: liveCopy(value), Deadline: cache.Never}
		if left > 0 {
			e.Deadline = r.after(time.Duration(left) - age)
		}
		r.entries = append(r.entries, savedEntry{string(key), e, uint32(min(uses, math.MaxUint32))})
	}
	return nil
}

// end reads what follows the length 0, which is at the byte at.
func (r *snapshotReader) end(at int64) error {
	b, err := r.checked(at, 8)
	if err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint64(b); n != uint64(len(r.entries)) {
		return r.invalid(at, "there are %d entries, and not %d", len(r.entries), n)
	}
	switch _, err = r.r.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return r.invalid(r.at, "something follows the end")
	}
	return r.failed(err)
}

// checked takes n bytes, and the checksum of all up to there; at is where the
// part begins that has it.
func (r *snapshotReader) checked(at int64, n uint64) ([]byte, error) {
	b, err := r.take(n)
	if err != nil {
		return nil, err
	}
	var sum [4]byte
	read, err := io.ReadFull(r.r, sum[:])
	r.at += int64(read)
	if err != nil {
		return nil, r.failed(err)
	}
	if binary.LittleEndian.Uint32(sum[:]) != r.sum {
		return nil, r.invalid(at, "the checksum of what begins here is wrong")
	}
	return b, nil
}

// take reads n bytes, which are good until the next call. The buffer grows with
// what comes, and not with n.
func (r *snapshotReader) take(n uint64) ([]byte, error) {
	r.buf.Reset()
	read, err := io.CopyN(&r.buf, r.r, int64(min(n, math.MaxInt64)))
	r.at += read
	if err != nil {
		return nil, r.failed(err)
	}
	r.sum = crc32.Update(r.sum, castagnoli, r.buf.Bytes())
	return r.buf.Bytes(), nil
}

func (r *snapshotReader) failed(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return r.invalid(r.at, "the snapshot is cut off: %w", io.ErrUnexpectedEOF)
	}
	return &store.Error{Op: "restore", Err: fmt.Errorf("read: %w", err)}
}

func (r *snapshotReader) invalid(at int64, format string, args ...any) error {
	return store.Errorf("restore", "", store.ErrInvalid, "byte %d: %w", at, fmt.Errorf(format, args...))
}

// fields takes a block apart. What does not fit makes it bad.
type fields struct {
	rest []byte
	bad  bool
}

func (b *fields) number() uint64 {
	x, n := binary.Uvarint(b.rest)
	b.bad = b.bad || n <= 0
	b.rest = b.rest[max(0, n):]
	return x
}

func (b *fields) bytes() (field []byte) {
	n := b.number()
	b.bad = b.bad || n > uint64(len(b.rest))
	n = min(n, uint64(len(b.rest)))
	field, b.rest = b.rest[:n], b.rest[n:]
	return field
}
