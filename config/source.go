package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairncache/cairn/store"
)

// A source is where a Config was read from, so that what is found wrong later
// can be shown there. The zero source is that of a Config which a program has
// written.
//
// The parts of a Config have paths, such as stores.pages.layers[1].
type source struct {
	name   string              // of the file, or empty
	at     map[string]position // by path
	hidden map[string]hidden   // by path, texts that variables have a part in
}

// hidden is a value that errors do not show, and what they show instead.
type hidden struct{ value, text string }

// A position is a line and a column, both from 1, or a variable of FromEnv.
type position struct {
	line, column int
	variable     string
}

// A lineCounter finds the positions of offsets in data, each after the one
// before.
type lineCounter struct {
	data  []byte
	lines int // that end before from
	from  int // where the line begins that was reached
}

func (l *lineCounter) position(offset int) position {
	l.lines += bytes.Count(l.data[l.from:offset], []byte("\n"))
	l.from += bytes.LastIndexByte(l.data[l.from:offset], '\n') + 1
	return position{line: l.lines + 1, column: utf8.RuneCount(l.data[l.from:offset]) + 1}
}

// find returns the position of a path, or else of the nearest thing around it.
func (s *source) find(path string) position {
	for {
		if at, ok := s.at[path]; ok || path == "" {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// A problem is one thing that is wrong with a Config.
type problem struct {
	file string
	position
	path string
	err  error
}

// Error begins with the place, so that an editor or a terminal can go there.
func (p *problem) Error() string {
	place := "config"
	switch {
	case p.variable != "" && strings.Trim(p.variable, nameLetters+"*") == "":
		return place + ": " + p.variable + ": " + p.err.Error() // the name says the path
	case p.variable != "":
		return place + ": " + strconv.Quote(p.variable) + ": " + p.err.Error()
	case p.line > 0:
		place += strings.TrimSuffix(" "+p.file, " ") + fmt.Sprintf(":%d:%d", p.line, p.column)
	}
	if p.path != "" {
		place += ": " + p.path
	}
	return place + ": " + p.err.Error()
}

func (p *problem) Unwrap() []error { return []error{store.ErrInvalid, p.err} }

// errorf makes the error that something is wrong at a path, which is empty for
// the whole. It matches store.ErrInvalid and what the format wraps.
func (c *Config) errorf(path, format string, args ...any) error {
	return &problem{c.source.name, c.source.find(path), path, fmt.Errorf(format, args...)}
}

// urlError is the error of store.Open or store.ParseURL for the URL at a path.
// Of one that variables have a part in, it shows the text with the variables,
// and the reason only if it has nothing of theirs.
func (c *Config) urlError(path string, err error) error {
	shown, reason := "", err
	if e := (*store.Error)(nil); errors.As(err, &e) {
		shown, reason = e.Key, e.Err
	}
	if h, ok := c.source.hidden[path]; ok {
		shown = h.text
		if h.in(reason.Error()) {
			reason = &veiled{reason}
		}
	} else if !strings.Contains(shown, ":") { // it may be a password in the wrong place
		return c.errorf(path, "%w", reason)
	}
	return c.errorf(path, "%q: %w", shown, reason)
}

// in reports whether a text may have a word of the value, other than those that
// errors have by themselves.
func (h hidden) in(text string) bool {
	notWord := func(r rune) bool { return r < 0x80 && !strings.ContainsRune(nameLetters, r) }
	words := strings.FieldsFunc(strings.ToLower(text), notWord)
	unescaped, _ := url.PathUnescape(h.value) // as a text shows it
	for _, word := range strings.FieldsFunc(strings.ToLower(h.value+" "+unescaped), notWord) {
		if !slices.Contains(ownWords, word) && slices.Contains(words, word) {
			return true
		}
	}
	return strings.Contains(text, "…") // which cuts words
}

var ownWords = strings.Fields("redis memory memcache disk host port localhost password 6379 11211")

// A veiled error is not shown.
type veiled struct{ err error }

func (v *veiled) Error() string {
	return "it is refused for something that a variable holds, which is not shown; cairn ping -store with the same URL tells more"
}
func (v *veiled) Unwrap() error { return v.err }

// maxProblems is how many are shown at once.
const maxProblems = 20

// join returns all problems in the order of the lines as one error, or nil.
func join(errs []error) error {
	slices.SortStableFunc(errs, func(a, b error) int {
		var p, q *problem
		if !errors.As(a, &p) || !errors.As(b, &q) {
			return 0
		}
		return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column), cmp.Compare(p.variable, q.variable))
	})
	if more := len(errs) - maxProblems; more > 0 {
		errs = append(errs[:maxProblems:maxProblems], fmt.Errorf("config: and %d more", more))
	}
	return errors.Join(errs...)
}
