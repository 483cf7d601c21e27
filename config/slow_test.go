package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What is written to be slow is not: each of these took many seconds where work
// grew with the square of the size.
func TestLargeInput(t *testing.T) {
	many := func(head, format string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := range 2000 {
			fmt.Fprintf(&b, format, i, i+1)
		}
		return b.String()
	}
	for _, test := range []struct{ about, name, text string }{
		{"JSON in one line", "f.json", `{"a":[` + strings.Repeat("1,", 256<<10) + `1]}`},
		{"lines before a mistake", "f.yaml", strings.Repeat("a:\n", 100<<10) + "["},
		{"brackets", "f.yaml", strings.Repeat("[", 100_000)},
		{"defaults in defaults", "f.yaml", "default: '" + strings.Repeat("${A:-", 100_000) + strings.Repeat("}", 100_000) + "'"},
		{"unknown layers", "f.yaml", many("stores:\n", "  s%d: {layers: [zzzzzzz%[1]d, qqqqqqq%[2]d]}\n")},
		{"a chain of layers", "f.yaml", many("stores:\n  s2000: {url: 'memory:'}\n  near: {url: 'memory:'}\n", "  s%d: {layers: [near, s%d]}\n")},
		{"a chain of parents", "f.yaml", many("stores:\n  main: {url: 'memory:'}\nregions:\n  r2000: {}\n", "  r%d: {parent: r%d}\n")},
		{"a ring of parents", "f.yaml", many("stores:\n  main: {url: 'memory:'}\nregions:\n  r2000: {parent: r0}\n", "  r%d: {parent: r%d}\n")},
	} {
		start := time.Now()
		_, err := parseTest([]byte(test.text), test.name, func(string) (string, bool) { return "", false })
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: it took %v", test.about, took)
		}
		if err != nil && len(err.Error()) > 64<<10 {
			t.Errorf("%s: the error has %d bytes", test.about, len(err.Error()))
		}
	}
}
