package memo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// operatorLog tells an operator what needs to be looked at. It says so at most
// once in logInterval for each kind of event and function; a line says how many
// others were left out since the one before. The handler is called outside
// locks and may use the Memo. A panic in it is dropped.
//
// No line has a key or a value in it; see publicText and codecText.
type operatorLog struct {
	logger *slog.Logger // nil for slog.Default() at each use
	start  time.Time

	mu    sync.RWMutex
	lines map[lineID]*line
}

const (
	logInterval = 10 * time.Second

	// maxLines bounds the memory. Functions beyond it share a line.
	maxLines = 1024
)

// lineID is what has a line of its own.
type lineID struct {
	event *event
	name  string // of the function, or the hook
}

// line is when it may be written next, and what was left out until then.
type line struct {
	next atomic.Int64 // nanoseconds after operatorLog.start
	left atomic.Uint64
}

// event is a kind of line. Its level is Warn if callers get what they would
// without it, only later, and Error if there is a fault in the program.
type event struct {
	level   slog.Level
	message string
	text    func(error) string // of the error, for all to see
}

var (
	storeEvent    = event{slog.LevelWarn, "memo: the store has failed", publicText}
	decodeEvent   = event{slog.LevelWarn, "memo: an entry cannot be read, and counts as absent", codecText}
	encodeEvent   = event{slog.LevelWarn, "memo: a result or an argument cannot be encoded, so nothing is stored", codecText}
	refreshEvent  = event{slog.LevelWarn, "memo: a value could not be refreshed in the background", publicText}
	mismatchEvent = event{slog.LevelError, "memo: a function returned another result than what is stored; it cannot be memoized as it is, or needs another version", nil}
	hookEvent     = event{slog.LevelError, "memo: a hook has panicked", nil}
)

// describe makes attributes of an error, whose methods may panic.
func (e *event) describe(err error) (attrs []slog.Attr) {
	defer func() {
		if recover() != nil {
			attrs = []slog.Attr{slog.String("error", fmt.Sprintf("an error of type %T, which panicked", err))}
		}
	}()
	attrs = append(attrs, slog.String("error", e.text(err)))
	if p := (*PanicError)(nil); errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	return attrs
}

// newOperatorLog makes one that writes to l, or to what slog.Default() returns
// each time if l is nil.
func newOperatorLog(l *slog.Logger) *operatorLog {
	return &operatorLog{logger: l, start: time.Now(), lines: make(map[lineID]*line)}
}

// storeFailed tells that a method of the store has failed for a function.
func (l *operatorLog) storeFailed(ctx context.Context, fn, op string, err error) {
	if left, ok := l.admit(&storeEvent, fn); ok {
		l.write(ctx, &storeEvent, left, err, slog.String("func", fn), slog.String("op", op))
	}
}

// decodeFailed tells that an entry of a function cannot be read.
func (l *operatorLog) decodeFailed(ctx context.Context, fn string, err error) {
	l.failed(ctx, &decodeEvent, fn, err)
}

// encodeFailed tells that a result or an argument of a function cannot be
// encoded.
func (l *operatorLog) encodeFailed(ctx context.Context, fn string, err error) {
	l.failed(ctx, &encodeEvent, fn, err)
}

// refreshFailed tells that a function, called in the background, has failed.
// The line has what the function said, as nobody else is told.
func (l *operatorLog) refreshFailed(ctx context.Context, fn string, err error) {
	l.failed(ctx, &refreshEvent, fn, err)
}

// mismatch tells that verifying a hit has found another result.
func (l *operatorLog) mismatch(ctx context.Context, fn string) {
	l.failed(ctx, &mismatchEvent, fn, nil)
}

// hookPanicked tells that a hook has panicked.
func (l *operatorLog) hookPanicked(ctx context.Context, what string) {
	if left, ok := l.admit(&hookEvent, what); ok {
		l.write(ctx, &hookEvent, left, nil, slog.String("hook", what))
	}
}

func (l *operatorLog) failed(ctx context.Context, e *event, fn string, err error) {
	if left, ok := l.admit(e, fn); ok {
		l.write(ctx, e, left, err, slog.String("func", fn))
	}
}

// admit reports whether a line may be written now, and if so how many were left
// out since the one before. It allocates only for a new line.
func (l *operatorLog) admit(e *event, name string) (left uint64, ok bool) {
	of := l.line(lineID{e, name})
	now := int64(time.Since(l.start))
	next := of.next.Load()
	if now < next || !of.next.CompareAndSwap(next, now+int64(logInterval)) {
		of.left.Add(1)
		return 0, false
	}
	return of.left.Swap(0), true
}

func (l *operatorLog) line(id lineID) *line {
	l.mu.RLock()
	found := l.lines[id]
	l.mu.RUnlock()
	if found != nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines[id] == nil && len(l.lines) >= maxLines {
		id.name = "" // the line of all others
	}
	found = l.lines[id]
	if found == nil {
		found = new(line)
		l.lines[id] = found
	}
	return found
}

// write writes a line.
func (l *operatorLog) write(ctx context.Context, e *event, left uint64, err error, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	if err != nil {
		attrs = append(attrs, e.describe(err)...)
	}
	if left > 0 {
		attrs = append(attrs, slog.Uint64("repeated", left))
	}
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(ctx, e.level, e.message, attrs...)
}
