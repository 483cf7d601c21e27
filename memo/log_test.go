package memo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// logged is a line, its attributes written one after another.
type logged struct {
	at    time.Time
	level slog.Level
	text  string
	attrs string
	left  uint64
}

// recorder is a slog.Handler that keeps what it is given.
type recorder struct {
	mu    sync.Mutex
	lines []logged
	then  func() // called after each line, if not nil
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	line := logged{at: time.Now(), level: record.Level, text: record.Message}
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "repeated" {
			line.left = a.Value.Uint64()
		}
		line.attrs += " " + a.String()
		return true
	})
	line.attrs = strings.TrimPrefix(line.attrs, " ")
	r.mu.Lock()
	r.lines = append(r.lines, line)
	r.mu.Unlock()
	if r.then != nil {
		r.then()
	}
	return nil
}

// take returns the lines since the last call.
func (r *recorder) take() []logged {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func newRecordedLog() (*operatorLog, *recorder) {
	r := new(recorder)
	return newOperatorLog(slog.New(r)), r
}

var errDown = store.Errorf("get", "app:user:secret", store.ErrUnavailable, "connection refused")

func TestLogLines(t *testing.T) {
	for _, test := range []struct {
		log   func(context.Context, *operatorLog)
		level slog.Level
		attrs string
	}{
		{
			func(ctx context.Context, l *operatorLog) { l.storeFailed(ctx, "user", "get", errDown) },
			slog.LevelWarn, `func=user op=get error=connection refused`,
		},
		{
			func(ctx context.Context, l *operatorLog) { l.decodeFailed(ctx, "user", errors.New("it was cut")) },
			slog.LevelWarn, `func=user error=it was cut`,
		},
		{
			func(ctx context.Context, l *operatorLog) { l.encodeFailed(ctx, "user", errors.New("too deep")) },
			slog.LevelWarn, `func=user error=too deep`,
		},
		{
			func(ctx context.Context, l *operatorLog) {
				l.refreshFailed(ctx, "user", &Error{"load", "user", "app:user:secret", errors.New("no database")})
			},
			slog.LevelWarn, `func=user error=no database`,
		},
		{
			func(ctx context.Context, l *operatorLog) { l.refreshFailed(ctx, "user", (*store.Error)(nil)) },
			slog.LevelWarn, `func=user error=an error of type *store.Error, which panicked`,
		},
		{
			func(ctx context.Context, l *operatorLog) { l.mismatch(ctx, "user") },
			slog.LevelError, `func=user`,
		},
		{
			func(ctx context.Context, l *operatorLog) { l.hookPanicked(ctx, "Trace") },
			slog.LevelError, `hook=Trace`,
		},
	} {
		l, r := newRecordedLog()
		test.log(t.Context(), l)
		test.log(t.Context(), l) // left out
		lines := r.take()
		if len(lines) != 1 {
			t.Errorf("%s: %d lines, want 1", test.attrs, len(lines))
			continue
		}
		got := lines[0]
		if got.level != test.level || got.attrs != test.attrs || !strings.HasPrefix(got.text, "memo: ") {
			t.Errorf("%v %q %s\nwant %v with %s", got.level, got.text, got.attrs, test.level, test.attrs)
		}
	}
}

func TestLogRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		l, r := newRecordedLog()
		begin := time.Now()
		for range 251 { // one every 100 ms: 25 s
			l.storeFailed(ctx, "user", "get", errDown)
			time.Sleep(100 * time.Millisecond)
		}
		lines := r.take()
		if len(lines) != 3 {
			t.Fatalf("%d lines in 25 s, want 3: %v", len(lines), lines)
		}
		for i, want := range []uint64{0, 99, 99} {
			if at := lines[i].at.Sub(begin); at != time.Duration(i)*logInterval {
				t.Errorf("line %d after %v", i, at)
			}
			if lines[i].left != want {
				t.Errorf("line %d says that %d were left out, want %d", i, lines[i].left, want)
			}
		}
		if strings.Contains(lines[0].attrs, "repeated") {
			t.Errorf("the first line says repeated: %s", lines[0].attrs)
		}

		// The first after a quiet time is written at once, with what was left
		// out before it.
		time.Sleep(time.Hour)
		l.storeFailed(ctx, "user", "get", errDown)
		if lines := r.take(); len(lines) != 1 || lines[0].left != 50 {
			t.Errorf("after an hour: %v, want one line with 50 repeated", lines)
		}
		// And the next after quiet has nothing to add.
		time.Sleep(logInterval)
		l.storeFailed(ctx, "user", "get", errDown)
		if lines := r.take(); len(lines) != 1 || lines[0].left != 0 {
			t.Errorf("after %v: %v, want one line with nothing repeated", logInterval, lines)
		}
		time.Sleep(logInterval - 1)
		l.storeFailed(ctx, "user", "get", errDown)
		if lines := r.take(); len(lines) != 0 {
			t.Errorf("within %v: %v", logInterval, lines)
		}
	})
}

// Kinds and functions have lines of their own, operations do not.
func TestLogRateIsPerKindAndFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		l, r := newRecordedLog()
		for range 3 {
			l.storeFailed(ctx, "user", "get", errDown)
			l.storeFailed(ctx, "user", "set", errDown)
			l.storeFailed(ctx, "order", "get", errDown)
			l.refreshFailed(ctx, "user", errDown)
			l.mismatch(ctx, "user")
			l.hookPanicked(ctx, "user")
		}
		if lines := r.take(); len(lines) != 5 {
			t.Errorf("%d lines, want 5: %v", len(lines), lines)
		}
	})
}

// Each event is in a line, or counted by a later one.
func TestLogConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const goroutines, rounds = 8, 500
		l, r := newRecordedLog()
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range rounds {
					l.storeFailed(t.Context(), "user", "get", errDown)
					time.Sleep(logInterval / 2) // at every second one all may write
				}
			})
		}
		wg.Wait()
		time.Sleep(logInterval)
		l.storeFailed(t.Context(), "user", "get", errDown)
		told := uint64(0)
		var last time.Time
		for _, line := range r.take() {
			told += 1 + line.left
			if since := line.at.Sub(last); since < logInterval {
				t.Errorf("a line %v after another", since)
			}
			last = line.at
		}
		if told != goroutines*rounds+1 {
			t.Errorf("lines tell of %d events, want %d", told, goroutines*rounds+1)
		}
	})
}

// Of those who come when a line may be written, one writes it.
func TestLogAdmitsOne(t *testing.T) {
	l, _ := newRecordedLog()
	quiet := &l.line(lineID{&storeEvent, "user"}).next
	var writing atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10_000 {
				if _, ok := l.admit(&storeEvent, "user"); !ok {
					continue
				}
				if n := writing.Add(1); n != 1 {
					t.Errorf("%d lines at once", n)
				}
				writing.Add(-1)
				quiet.Store(0)
			}
		})
	}
	wg.Wait()
}

func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		l, r := newRecordedLog()
		const functions = 3 * maxLines
		failAll := func() {
			for i := range functions {
				l.storeFailed(ctx, strconv.Itoa(i), "get", errDown)
			}
		}
		failAll()
		failAll()
		if n := len(r.take()); n != maxLines+1 {
			t.Errorf("%d lines, want %d", n, maxLines+1)
		}
		l.decodeFailed(ctx, "user", errDown)
		l.decodeFailed(ctx, "order", errDown)
		if n := len(r.take()); n != 1 {
			t.Errorf("%d lines of another kind, want 1", n)
		}
		if n := len(l.lines); n > maxLines+6 {
			t.Errorf("%d lines are known", n)
		}
		time.Sleep(logInterval)
		failAll()
		lines := r.take()
		told := uint64(0)
		for _, line := range lines {
			told += 1 + line.left
		}
		if len(lines) != maxLines+1 || told != 3*functions-maxLines-1-(functions-maxLines-1) {
			t.Errorf("%d lines tell of %d events", len(lines), told)
		}
	})
}

func TestLogHandlerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newRecordedLog()
		r.then = func() { panic("handler") }
		l.storeFailed(t.Context(), "user", "get", errDown)
		l.refreshFailed(t.Context(), "user", errDown)
		if n := len(r.take()); n != 2 {
			t.Errorf("%d lines, want 2", n)
		}
	})
}

// A handler that uses the Memo may bring about the next event.
func TestLogHandlerCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newRecordedLog()
		r.then = func() {
			l.storeFailed(t.Context(), "user", "set", errDown)
			l.storeFailed(t.Context(), "order", "get", errDown)
		}
		l.storeFailed(t.Context(), "user", "get", errDown)
		if n := len(r.take()); n != 2 {
			t.Errorf("%d lines, want 2", n)
		}
	})
}

// A handler that does not return holds up nobody else.
func TestLogHandlerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newRecordedLog()
		release := make(chan struct{})
		r.then = func() { <-release }
		for _, fn := range []string{"user", "order", "user"} {
			go l.storeFailed(t.Context(), fn, "get", errDown)
		}
		synctest.Wait()
		l.storeFailed(t.Context(), "user", "get", errDown)
		if n := len(r.take()); n != 2 {
			t.Errorf("%d lines, want 2", n)
		}
		close(release)
	})
}

func TestLogDefault(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	l := newOperatorLog(nil)
	for _, fn := range []string{"user", "order"} { // it is looked up each time
		var out bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
		l.storeFailed(t.Context(), fn, "get", errDown)
		want := `level=WARN msg="memo: the store has failed" func=` + fn + ` op=get error="connection refused"`
		if !strings.Contains(out.String(), want) {
			t.Errorf("logged %q, want %q", out.String(), want)
		}
	}
}

func TestLogAllocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no time passes
		l, _ := newRecordedLog()
		ctx := t.Context()
		l.storeFailed(ctx, "user", "get", errDown)
		if n := testing.AllocsPerRun(100, func() {
			l.storeFailed(ctx, "user", "get", errDown)
		}); n != 0 {
			t.Errorf("an event that is left out makes %v allocations", n)
		}
	})
}

// The stack of a panic in the background is nowhere else.
func TestLogStack(t *testing.T) {
	l, r := newRecordedLog()
	l.refreshFailed(t.Context(), "user", &Error{"load", "user", "app:user:secret", &PanicError{Value: "boom", Stack: []byte("goroutine 1")}})
	if lines := r.take(); len(lines) != 1 || lines[0].attrs != "func=user error=panic: boom stack=goroutine 1" {
		t.Errorf("logged %v", lines)
	}
}

// BenchmarkLogLeftOut is an event that gets no line.
func BenchmarkLogLeftOut(b *testing.B) {
	ctx := context.Background()
	l := newOperatorLog(slog.New(slog.DiscardHandler))
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.storeFailed(ctx, "user", "get", errDown)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.storeFailed(ctx, "user", "get", errDown)
			}
		})
	})
}
