package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
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
	hidden map[string]hidden   // by path, values that variables have a part in
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
	data           []byte
	at             int // the offset that was reached
	lines, columns int // before it
}

func (l *lineCounter) position(offset int) position {
	part := l.data[l.at:offset]
	if n := bytes.Count(part, []byte("\n")); n > 0 {
		l.lines, l.columns = l.lines+n, 0
		part = part[bytes.LastIndexByte(part, '\n')+1:]
	}
	l.at, l.columns = offset, l.columns+utf8.RuneCount(part)
	return position{line: l.lines + 1, column: l.columns + 1}
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

// shown returns what errors show instead of the value at a path, if variables
// have a part in it. The program may have replaced it since.
func (s *source) shown(path, value string) (text string, ok bool) {
	h, ok := s.hidden[path]
	return h.text, ok && h.value == value
}

// A failure is not the fault of the Config, but has a place there.
type failure struct{ *problem }

func (f *failure) Unwrap() error { return f.err }

// urlError is the error of store.Open or store.ParseURL for the URL at a path.
// It matches store.ErrInvalid if err does.
func (c *Config) urlError(path, url string, err error) error {
	p := &problem{c.source.name, c.source.find(path), path, c.urlReason(path, url, err)}
	if !errors.Is(err, store.ErrInvalid) {
		return &failure{p}
	}
	return p
}

// urlReason is err with the URL as errors show it. Where variables have a part
// in the URL, it shows their names, and nothing that an adapter says: it may
// repeat anything.
func (c *Config) urlReason(path, url string, err error) error {
	shown, reason := "", err
	if e := (*store.Error)(nil); errors.As(err, &e) {
		shown, reason = e.Key, e.Err
	}
	if names, ok := c.source.shown(path, url); ok {
		return fmt.Errorf("%q: %w", names, &veiled{veil(url, reason), reason})
	}
	if !strings.Contains(shown, ":") { // it may be a password in the wrong place
		return reason
	}
	return fmt.Errorf("%q: %w", shown, reason)
}

// A veiled error shows a text of its own.
type veiled struct {
	text string
	err  error
}

func (v *veiled) Error() string { return v.text }
func (v *veiled) Unwrap() error { return v.err }

// veil says why a URL is refused, without anything that a variable may hold.
func veil(url string, reason error) string {
	var errno syscall.Errno
	switch u, err := store.ParseURL(url); {
	case err != nil:
		// What is said of the same URL without its letters is said of its form.
		if e := (*store.Error)(nil); errors.As(parseForm(url), &e) && e.Err.Error() == reason.Error() {
			return reason.Error()
		}
	case errors.As(reason, &errno):
		return "it cannot be opened: " + errno.Error() + "; what a variable holds is not shown"
	default:
		if text := schemeProblem(u, reason.Error()); text != "" {
			return text
		}
		if !errors.Is(reason, store.ErrInvalid) {
			return "it cannot be opened, for a reason that may show what a variable holds; cairn ping -store with the same URL tells it"
		}
	}
	return "it is refused for something that a variable holds, which is not shown; cairn ping -store with the same URL tells more"
}

// parseForm is the error of a URL in which each letter and digit is another.
func parseForm(url string) error {
	_, err := store.ParseURL(strings.Map(func(r rune) rune {
		switch {
		case '0' <= r && r <= '9':
			return '1'
		case unicode.IsLetter(r) || r > unicode.MaxASCII:
			return 'a'
		}
		return r
	}, url))
	return err
}

// schemeProblem is what package store says of schemes that nobody has
// registered, or "". One that nobody knows may be anything, and is not shown.
func schemeProblem(u *store.URL, reason string) string {
	for _, layer := range append(u.Layers(), u) {
		scheme := strconv.Quote(layer.Scheme)
		switch rest, unknown := strings.CutPrefix(reason, "unknown scheme "+scheme+" "); {
		case unknown:
			return "unknown scheme " + rest
		case strings.HasPrefix(reason, "scheme "+scheme+" is not registered; import _ ") || strings.HasPrefix(reason, "layers are not registered; import _ "):
			return reason
		}
	}
	return ""
}

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
