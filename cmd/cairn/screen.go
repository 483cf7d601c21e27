package main

import (
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A screen is a terminal that shows text and obeys none: what a program has
// stored could else colour it, move about in it or give it a title.
type screen struct {
	terminal *os.File
	rest     []byte // a character that has begun
}

func (s *screen) Write(b []byte) (int, error) {
	text := append(s.rest, b...)
	end := len(text)
	for i := max(0, end-utf8.UTFMax+1); i < end; i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			end = i
		}
	}
	s.rest = text[end:]
	if _, err := s.terminal.WriteString(visible(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close shows what is left. The terminal stays open.
func (s *screen) Close() error {
	_, err := s.terminal.WriteString(visible(string(s.rest)))
	s.rest = nil
	return err
}

// visible is text in which all but lines, tabs and what can be printed is
// written as in a Go string.
func visible(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == '\n' || r == '\t' || unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[:size])
		} else {
			b.WriteString(inside(strconv.Quote(text[:size])))
		}
		text = text[size:]
	}
	return b.String()
}
