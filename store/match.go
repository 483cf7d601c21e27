package store

import (
	"context"
	"maps"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Match selects keys: by a pattern (Glob), a regular expression (Regexp) or a
// function (MatchFunc). It knows the literal text that every key it selects
// begins with, so that a scan can be narrowed. The zero Match selects nothing
// and is refused by GetMatching and DeleteMatching.
type Match struct {
	prefix string
	match  func(string) bool
}

// Match reports whether key is selected.
func (m Match) Match(key string) bool {
	return m.match != nil && strings.HasPrefix(key, m.prefix) && m.match(key)
}

// Prefix is the literal text that every selected key begins with.
func (m Match) Prefix() string { return m.prefix }

// MatchFunc selects the keys for which f reports true. f may be called from
// several goroutines.
func MatchFunc(f func(key string) bool) Match { return Match{match: f} }

// Regexp selects the keys in which re finds a match; anchor it with ^ and $ to
// match whole keys. re is read as by regexp.Compile. A nil re gives the zero
// Match.
func Regexp(re *regexp.Regexp) Match {
	if re == nil {
		return Match{}
	}
	return Match{anchoredPrefix(re.String()), re.MatchString}
}

// anchoredPrefix is the literal text after a leading ^ or \A, if there is any.
func anchoredPrefix(expr string) string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	re = re.Simplify()
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	literal := re.Sub[1]
	if literal.Op != syntax.OpLiteral || literal.Flags&syntax.FoldCase != 0 {
		return ""
	}
	return string(literal.Rune)
}

// Glob selects the keys that match the pattern as a whole, case-sensitively.
// In it
//
//	text     stands for itself
//	*        for any text, also none; the slash is a character like any other
//	?        for one character
//	[a-z]    for one character of a set, and [!a-z] for one that is not in it
//	\*       for the character after the backslash
//
// A pattern with an unclosed or empty set, a range that ends before it begins,
// or a backslash at its end is ErrInvalid.
func Glob(pattern string) (Match, error) {
	var (
		expr    strings.Builder
		prefix  strings.Builder
		literal = true // still in the text before the first wildcard
	)
	invalid := func(what string) (Match, error) {
		return Match{}, Errorf("glob", pattern, ErrInvalid, "%s; write \\ before a character that stands for itself", what)
	}
	expr.WriteString(`\A(?s:`)
	for rest := pattern; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		c := rest[:size]
		rest = rest[size:]
		switch c {
		case "*":
			expr.WriteString(".*")
			literal = false
		case "?":
			expr.WriteString(".")
			literal = false
		case "[":
			set, after, problem := globSet(rest)
			if problem != "" {
				return invalid(problem)
			}
			expr.WriteString(set)
			rest = after
			literal = false
		case `\`:
			if rest == "" {
				return invalid("the pattern ends in a backslash")
			}
			_, size := utf8.DecodeRuneInString(rest)
			c = rest[:size]
			rest = rest[size:]
			fallthrough
		default:
			if literal {
				prefix.WriteString(c)
			}
			expr.WriteString(quoteRune(c))
		}
	}
	expr.WriteString(`)\z`)
	re, err := regexp.Compile(expr.String())
	if err != nil {
		return invalid("the pattern has a character that is not valid UTF-8, or a range that ends before it begins")
	}
	return Match{prefix.String(), re.MatchString}, nil
}

// globSet translates what follows a [ up to its ] into a set of a regular
// expression, and returns what comes after it.
func globSet(s string) (set, rest, problem string) {
	var b strings.Builder
	b.WriteByte('[')
	if after, ok := strings.CutPrefix(s, "!"); ok {
		b.WriteByte('^')
		s = after
	}
	for n := 0; s != ""; n++ {
		_, size := utf8.DecodeRuneInString(s)
		c := s[:size]
		s = s[size:]
		switch {
		case c == "]" && n == 0:
			return "", "", "the pattern has an empty set []"
		case c == "]":
			b.WriteByte(']')
			return b.String(), s, ""
		case c == `\` && s != "":
			_, size := utf8.DecodeRuneInString(s)
			c = s[:size]
			s = s[size:]
			b.WriteString(quoteRune(c))
		case c == "-" && n > 0 && !strings.HasPrefix(s, "]"):
			b.WriteByte('-')
		default:
			b.WriteString(quoteRune(c))
		}
	}
	return "", "", "the pattern has an unclosed set ["
}

// quoteRune quotes one character for use in and outside a set.
func quoteRune(c string) string {
	if len(c) == 1 && strings.Contains(`\.+*?()|[]{}^$-&~#`, c) {
		return `\` + c
	}
	return c
}

// GetMatching returns the entries whose keys m selects, on every store that
// can list its keys; on another one it returns an error matching
// errors.ErrUnsupported. If it fails it returns what it has together with an
// error. An entry that comes or goes meanwhile may be there or not.
func GetMatching(ctx context.Context, s Store, m Match) (map[string][]byte, error) {
	const op = "getmatching"
	if m.match == nil {
		return nil, Errorf(op, "", ErrInvalid, "the Match is empty; make it with Glob, Regexp or MatchFunc")
	}
	values := make(map[string][]byte)
	batch := make([]string, 0, deleteBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		found, err := GetMany(ctx, s, batch)
		maps.Copy(values, found)
		batch = batch[:0]
		return err
	}
	for key, err := range Keys(ctx, s, m.prefix) {
		if err != nil {
			return values, err
		}
		if !m.Match(key) {
			continue
		}
		if batch = append(batch, key); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return values, err
			}
		}
	}
	return values, flush()
}

// DeleteMatching deletes the entries whose keys m selects, on every store that
// can list its keys, and returns how many keys that were; on another one it
// returns an error matching errors.ErrUnsupported. If it fails, some of the
// entries beyond n may be deleted too. An entry that comes meanwhile may stay.
func DeleteMatching(ctx context.Context, s Store, m Match) (n int, err error) {
	if m.match == nil {
		return 0, Errorf("deletematching", "", ErrInvalid, "the Match is empty; make it with Glob, Regexp or MatchFunc")
	}
	return deleteKeys(ctx, s, m.prefix, m.Match)
}
