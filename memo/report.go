package memo

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// reportStore tells of a failure of the store, to which it belongs that a
// deadline passed while it was asked. A miss is none, nor is a call that was
// cancelled.
func (m *Memo) reportStore(ctx context.Context, c *counters, name, op string, err error) {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, store.ErrNotFound) {
		return
	}
	c.add(storeErrors, 1)
	m.log.storeFailed(ctx, name, op, err)
	emit(ctx, m, m.trace.StoreError, StoreErrorInfo{name, op, err})
}

func (f *Func[K, V]) reportStore(ctx context.Context, op string, err error) {
	f.memo.reportStore(ctx, f.counters, f.name, op, err)
}

func (f *Func[K, V]) reportDecode(ctx context.Context, err error) {
	f.counters.add(decodeErrors, 1)
	f.memo.log.decodeFailed(ctx, f.name, err)
	emit(ctx, f.memo, f.memo.trace.DecodeError, DecodeErrorInfo{f.name, err})
}

func (f *Func[K, V]) reportEncode(ctx context.Context, err error) {
	f.counters.add(encodeErrors, 1)
	f.memo.log.encodeFailed(ctx, f.name, err)
	emit(ctx, f.memo, f.memo.trace.EncodeError, EncodeErrorInfo{f.name, err})
}

func (f *Func[K, V]) reportETag(ctx context.Context, err error) {
	emit(ctx, f.memo, f.memo.trace.ETagError, ETagErrorInfo{f.name, err})
}

// countLoad counts a load that has ended. A value that is not modified was
// loaded, too.
func (f *Func[K, V]) countLoad(took time.Duration, err error) {
	f.counters.add(loadNanoseconds, uint64(took))
	switch {
	case err == nil, errors.Is(err, ErrNotModified):
		f.counters.add(loadReturned, 1)
	case errors.Is(err, store.ErrNotFound):
		f.counters.add(loadAbsent, 1)
	default:
		f.counters.add(loadFailed, 1)
	}
}

// countHit counts a fresh value that was answered.
func (f *Func[K, V]) countHit(at *site) {
	if at.live {
		f.counters.add(hitMemory, 1)
	} else {
		f.counters.add(hitStore, 1)
	}
}

// countRead counts the bytes of an entry that was read.
func (f *Func[K, V]) countRead(at *site, live *store.Live) {
	if at.live {
		return
	}
	if b, err := live.Bytes(); err == nil {
		f.counters.add(bytesRead, uint64(len(b)))
	}
}

// countWritten counts the bytes of an entry that was written.
func (f *Func[K, V]) countWritten(at *site, live *store.Live) {
	if at.live {
		return
	}
	if b, err := live.Bytes(); err == nil {
		f.counters.add(bytesWritten, uint64(len(b)))
	}
}

// Stats returns what has happened in the function since it was made, or its
// Stats were reset.
func (f *Func[K, V]) Stats() Stats { return f.counters.snapshot() }

// Stats returns what has happened in all functions of m, and in m itself.
func (m *Memo) Stats() Stats {
	sum := m.counters.snapshot()
	for _, f := range m.functions() {
		sum = sum.Add(f.counts().snapshot())
	}
	return sum
}

// FuncStats returns what has happened in each function, by its name.
func (m *Memo) FuncStats() map[string]Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	stats := make(map[string]Stats, len(m.funcs))
	for name, f := range m.funcs {
		stats[name] = f.counts().snapshot()
	}
	return stats
}

// PauseStats counts nothing more, until ResumeStats.
func (m *Memo) PauseStats() { m.eachCounters(func(c *counters) { c.pause() }, true) }

// ResumeStats counts again.
func (m *Memo) ResumeStats() { m.eachCounters(func(c *counters) { c.resume() }, false) }

// ResetStats begins all Stats at zero.
func (m *Memo) ResetStats() {
	m.counters.reset()
	for _, f := range m.functions() {
		f.counts().reset()
	}
}

func (m *Memo) eachCounters(do func(*counters), paused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = paused // for functions that are wrapped later
	do(m.counters)
	for _, f := range m.funcs {
		do(f.counts())
	}
	for _, f := range m.keyed {
		do(f.counts())
	}
}
