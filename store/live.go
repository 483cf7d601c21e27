package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Live is the content of one entry: a Go value, its bytes, or both. The form
// that is missing is computed from the other when it is first asked for, at
// most once as long as that succeeds. Value and bytes live and die together,
// so a decoded value can never be taken for newer bytes.
//
// A Live is immutable as seen from outside, shared by all who hold it, and
// safe for concurrent use. Its value and its bytes are read-only.
type Live struct {
	value any

	// data points to the first of the bytes or, as long as there are none, to
	// the function that makes them, if there is one. A slice and a func would
	// take 24 bytes more, and memory holds millions of these.
	data unsafe.Pointer

	// state is the bits below and, above them, the number of bytes. Only who
	// has set computing may change value and data, and add their bits.
	state atomic.Uint64
}

const (
	hasValue  = 1 << iota // value is set for good
	hasBytes              // data and the number of bytes are set for good
	computing             // somebody makes the form that is missing
	awaited               // and others wait for that
	lenShift  = iota
)

// NewLive makes a Live of the value v. encode makes its bytes, and is called
// only if a backend, or a reader with another type, wants them. v must not be
// changed afterwards.
func NewLive(v any, encode func() ([]byte, error)) *Live {
	l := &struct {
		Live
		encode func() ([]byte, error)
	}{encode: encode}
	l.value = v
	if encode != nil {
		l.data = unsafe.Pointer(&l.encode)
	}
	l.state.Store(hasValue)
	return &l.Live
}

// LiveBytes makes a Live of the bytes b, which must not be changed afterwards.
func LiveBytes(b []byte) *Live {
	l := new(Live)
	l.setBytes(b)
	return l
}

// Bytes returns the encoded form, shared and read-only. The error is that of
// encoding; it is not remembered, the next call tries anew.
func (l *Live) Bytes() ([]byte, error) {
	if s := l.state.Load(); s&hasBytes != 0 {
		return l.slice(s), nil
	}
	return l.encodeOnce()
}

func (l *Live) encodeOnce() ([]byte, error) {
	if !l.claim(hasBytes) {
		return l.slice(l.state.Load()), nil
	}
	defer l.release()
	// There are no bytes, so data is nil or what NewLive has put there.
	encode := (*func() ([]byte, error))(l.data)
	if encode == nil {
		return nil, errors.New("store: this Live was made without a function that encodes its value")
	}
	b, err := (*encode)()
	if err != nil {
		return nil, err
	}
	*encode = nil // it has served, and may hold on to much
	l.setBytes(b)
	return l.slice(l.state.Load()), nil
}

// setBytes makes b the bytes of l, which has none yet.
func (l *Live) setBytes(b []byte) {
	l.data = unsafe.Pointer(unsafe.SliceData(b))
	l.state.Or(uint64(len(b))<<lenShift | hasBytes)
}

// slice returns the bytes of l in the state s, which says that there are some,
// or that l is the zero Live. No append can write behind them. The slice is
// nil if that of setBytes was.
func (l *Live) slice(s uint64) []byte {
	return unsafe.Slice((*byte)(l.data), int(s>>lenShift))
}

// LiveValue returns the content of l as a V, shared and read-only. A value
// that was decoded before, or that l was made of, is returned as it is.
// Otherwise decode makes it from the bytes, and it is kept if l holds no value
// yet. A reader that asks for another type than the one that is kept gets its
// own, decoded from the bytes, just as from a backend that holds bytes alone.
// The error is that of encoding or decoding; it is not remembered.
func LiveValue[V any](l *Live, decode func([]byte) (V, error)) (V, error) {
	if l.state.Load()&hasValue != 0 {
		if v, ok := l.value.(V); ok {
			return v, nil
		}
		b, err := l.Bytes()
		if err != nil {
			var zero V
			return zero, err
		}
		return decode(b)
	}
	return decodeOnce(l, decode)
}

// decodeOnce is the slow path of LiveValue: l was made of bytes, and may have
// got a value by now.
func decodeOnce[V any](l *Live, decode func([]byte) (V, error)) (V, error) {
	if !l.claim(hasValue) {
		return LiveValue(l, decode)
	}
	defer l.release()
	v, err := decode(l.slice(l.state.Load()))
	if err != nil {
		var zero V
		return zero, err
	}
	l.value = v
	l.state.Or(hasValue)
	return v, nil
}

// claim returns true if the caller must compute the missing form, and release
// l afterwards. It returns false if l has that form, or has got it while
// others computed it.
func (l *Live) claim(form uint64) bool {
	for {
		s := l.state.Load()
		switch {
		case s&form != 0:
			return false
		case s&computing != 0:
			l.wait()
		case l.state.CompareAndSwap(s, s|computing):
			return true
		}
	}
}

// release ends what claim began, also if the form could not be computed. One of
// those who wait then tries.
func (l *Live) release() {
	if l.state.And(^uint64(computing|awaited))&awaited == 0 {
		return
	}
	waits.Lock()
	done := waits.of[l]
	delete(waits.of, l)
	waits.Unlock()
	if done != nil {
		close(done)
	}
}

// waits has a channel for each Live that is awaited. Two hardly ever want the
// same missing form at once, so a Live has no room for a channel of its own.
var waits = struct {
	sync.Mutex
	of map[*Live]chan struct{}
}{of: make(map[*Live]chan struct{})}

// wait returns when l is no longer being computed, or somewhat earlier. The
// channel is there before release, which needs the lock, looks for it.
func (l *Live) wait() {
	waits.Lock()
	if l.state.Or(awaited)&computing == 0 {
		waits.Unlock()
		return
	}
	done := waits.of[l]
	if done == nil {
		done = make(chan struct{})
		waits.of[l] = done
	}
	waits.Unlock()
	<-done
}

// LiveStore is a Store that keeps entries in the process and hands out the
// entry itself: no copy, and no decoding after the first.
type LiveStore interface {
	Store

	// GetLive returns the entry of key, or the bare ErrNotFound.
	GetLive(ctx context.Context, key string) (*Live, error)

	// SetLive stores l itself, with the meaning of Set for everything else.
	SetLive(ctx context.Context, key string, l *Live, ttl time.Duration) error
}

// LiveAtStore is a LiveStore for callers that have read the clock themselves.
// Reading it is a good part of what a hit in memory costs, and one reading
// then serves all who need one.
type LiveAtStore interface {
	LiveStore

	// GetLiveAt is GetLive at the time now, which was taken by time.Now or
	// computed from such a time, so that it has a monotonic clock reading.
	// What expires by now is absent, but not removed. A store whose clock is
	// not that of the process declines.
	GetLiveAt(ctx context.Context, key string, now time.Time) (*Live, error)
}

// GetLive reads an entry. If s implements LiveStore, it calls s.GetLive.
// Otherwise it calls s.Get and makes a Live of the bytes.
func GetLive(ctx context.Context, s Store, key string) (*Live, error) {
	if err := checkStore("getlive", s); err != nil {
		return nil, err
	}
	if s, ok := s.(LiveStore); ok {
		l, err := s.GetLive(ctx, key)
		if !declined(err) {
			return l, err
		}
	}
	b, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return LiveBytes(b), nil
}

// GetLiveAt reads an entry at the time now. If s implements LiveAtStore, it
// calls s.GetLiveAt. Otherwise the store reads its own clock, which is later,
// in a call of GetLive.
func GetLiveAt(ctx context.Context, s Store, key string, now time.Time) (*Live, error) {
	if s, ok := s.(LiveAtStore); ok {
		l, err := s.GetLiveAt(ctx, key, now)
		if !declined(err) {
			return l, err
		}
	}
	return GetLive(ctx, s, key)
}

// SetLive stores an entry. If s implements LiveStore, it calls s.SetLive.
// Otherwise it calls s.Set with the bytes of l. If l cannot be encoded nothing
// is stored, what was there before stays, and the error is ErrInvalid and that
// of encoding.
func SetLive(ctx context.Context, s Store, key string, l *Live, ttl time.Duration) error {
	const op = "setlive"
	if err := checkStore(op, s); err != nil {
		return err
	}
	if l == nil {
		return Errorf(op, key, ErrInvalid, "the Live is nil")
	}
	if s, ok := s.(LiveStore); ok {
		if err := s.SetLive(ctx, key, l, ttl); !declined(err) {
			return err
		}
	}
	if err := Check(ctx, op, key); err != nil {
		return err
	}
	b, err := l.Bytes()
	if err != nil {
		return Errorf(op, key, ErrInvalid, "encode: %w", err)
	}
	return s.Set(ctx, key, b, ttl)
}
