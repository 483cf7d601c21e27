package main

import (
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf8"
)

// A progress is a line on a terminal that is overwritten. On anything else it
// shows nothing.
type progress struct {
	terminal *os.File // nil if there is none
	last     time.Time
}

func newProgress(w io.Writer) *progress { return &progress{terminal: terminalOf(w)} }

// show overwrites the line, but not more often than can be read.
func (p *progress) show(text string) {
	if p.terminal == nil || time.Since(p.last) < 50*time.Millisecond {
		return
	}
	p.last = time.Now()
	// In the last column some terminals begin a new line.
	io.WriteString(p.terminal, "\r"+clip(text, widthOf(p.terminal)-1)+"\x1b[K")
}

// clear removes the line. What is written next stands in its place.
func (p *progress) clear() {
	if p.terminal != nil {
		io.WriteString(p.terminal, "\r\x1b[K")
	}
}

// terminalOf returns w if it is a terminal, and else nil.
func terminalOf(w io.Writer) *os.File {
	if s, ok := w.(*screen); ok {
		return s.terminal
	}
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if _, ok := columns(f); !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return f
}

const (
	usualWidth = 80
	leastWidth = 40
)

// widthOf is the width of a terminal in columns, or what $COLUMNS says, or 80;
// never less than 40, as nothing here fits into less.
func widthOf(terminal *os.File) int {
	width := 0
	if terminal != nil {
		width, _ = columns(terminal)
	}
	if width <= 0 {
		width, _ = strconv.Atoi(os.Getenv("COLUMNS"))
	}
	if width <= 0 {
		width = usualWidth
	}
	return max(width, leastWidth)
}

// clip cuts a text that is wider than width.
func clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
