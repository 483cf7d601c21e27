package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} and ${NAME:-default} in a value, where $${ stands for
// ${ itself. As in a shell, the default is for a variable that is unset or
// empty, and may hold further ones. What a variable holds is not looked at.
//
// If variables have a part in the value, shown is what errors show instead:
// their names, as in ${REDIS_URL}, and nothing of what stands between them, which
// may be secret in any part.
func expand(text string, lookup func(string) (string, bool)) (value, shown string, err error) {
	e := &expander{rest: text, lookup: lookup}
	value = e.text(0, false)
	return value, e.shown.String(), e.err
}

type expander struct {
	rest   string
	lookup func(string) (string, bool)
	shown  strings.Builder
	err    error // the first
}

// maxDefaults is how deep defaults may hold others.
const maxDefaults = 10

// text reads to the end, or to the } of a default. A skipped default is read,
// but its variables may be unset.
func (e *expander) text(depth int, skip bool) string {
	var b strings.Builder
	for e.err == nil && e.rest != "" && (depth == 0 || e.rest[0] != '}') {
		switch {
		case strings.HasPrefix(e.rest, "$${"):
			b.WriteString("${")
			e.rest = e.rest[3:]
		case strings.HasPrefix(e.rest, "${"):
			e.rest = e.rest[2:]
			b.WriteString(e.variable(depth, skip))
		default:
			b.WriteByte(e.rest[0])
			e.rest = e.rest[1:]
		}
	}
	return b.String()
}

// variable reads what follows ${.
func (e *expander) variable(depth int, skip bool) string {
	name := e.rest[:len(e.rest)-len(strings.TrimLeft(e.rest, nameLetters))]
	if name == "" || strings.ContainsRune(digits, rune(name[0])) {
		e.fail("behind ${ comes the name of a variable; write $${ for a ${ that stands for itself")
		return ""
	}
	e.rest = e.rest[len(name):]
	value, ok := e.lookup(name)
	if value != "" && !skip {
		e.shown.WriteString("${" + name + "}")
	}
	switch {
	case strings.HasPrefix(e.rest, "}"):
		if !ok && !skip {
			e.fail("the variable %s is not set; set it, or write ${%[1]s:-…} with a default", name)
		}
	case strings.HasPrefix(e.rest, ":-") && depth == maxDefaults:
		e.fail("defaults are nested more than %d deep", maxDefaults)
	case strings.HasPrefix(e.rest, ":-"):
		e.rest = e.rest[2:]
		if other := e.text(depth+1, skip || value != ""); value == "" {
			value = other
		}
		if e.err == nil && e.rest == "" {
			e.fail("${%s:- has no } at its end", name)
		}
	default:
		e.fail("${%s is followed neither by } nor by :- and a default", name)
	}
	if e.err == nil {
		e.rest = e.rest[1:]
	}
	return value
}

func (e *expander) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

const (
	digits      = "0123456789"
	nameLetters = digits + "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
