package config

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	for text, want := range map[string][2]string{ // the value, and what is shown
		"":                         {"", ""},
		"plain $NAME $ {A} $$ }":   {"plain $NAME $ {A} $$ }", ""},
		"$${A}":                    {"${A}", ""},
		"$${A} ${A}":               {"${A} 1", "${A}"},
		"${A}":                     {"1", "${A}"},
		"a${A}b${A}":               {"a1b1", "${A}${A}"},
		"${EMPTY}":                 {"", ""},
		"${EMPTY:-x}":              {"x", ""},
		"${UNSET:-}":               {"", ""},
		"${UNSET:-$${x}":           {"${x", ""},
		"${UNSET:-a:-b}c}":         {"a:-bc}", ""},
		"${UNSET:-${UNSET:-${A}}}": {"1", "${A}"},
		"${A:-${UNSET}}":           {"1", "${A}"},
		"${A:-${REC}}":             {"1", "${A}"},
		"${A:-${UNSET:-${UNSET}}}": {"1", "${A}"},
		"${A:-u:hun}ter2":          {"1ter2", "${A}"},  // what is between may be secret
		"${REC}":                   {"${A}", "${REC}"}, // not looked at
		nested(11):                 {"x", ""},
	} {
		value, shown, err := expand(text, expandLookup)
		if value != want[0] || shown != want[1] || err != nil {
			t.Errorf("%s: %q shown as %q, %v; want %q", text, value, shown, err, want)
		}
	}
	for text, want := range map[string]string{
		"${UNSET}":            "the variable UNSET is not set",
		"${UNSET:-${UNSET2}}": "the variable UNSET2 is not set",
		"${":                  "behind ${ comes the name",
		"${1A}":               "behind ${ comes the name",
		"${A":                 "${A is followed neither",
		"${A-x}":              "${A is followed neither",
		"${A:-x":              "${A:- has no }",
		"${A:-${A:-x}":        "${A:- has no }",
		"${A:-${}}":           "behind ${ comes the name",
		nested(12):            "defaults are nested more than 10 deep",
		nested(100_000):       "defaults are nested more than 10 deep",
	} {
		if _, _, err := expand(text, expandLookup); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func nested(n int) string { return strings.Repeat("${UNSET:-", n-1) + "x" + strings.Repeat("}", n-1) }

func expandLookup(name string) (string, bool) {
	value, ok := map[string]string{"A": "1", "EMPTY": "", "REC": "${A}"}[name]
	return value, ok
}
