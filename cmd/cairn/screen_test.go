package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\tb\nä█\ufffd":        "a\tb\nä█\ufffd",
		"\x1b[31mred":           `\x1b[31mred`,
		"a\x9b31m":              `a\x9b31m`,
		"\u009b31m\u202e\x7f\r": `\u009b31m\u202e\x7f\r`,
		"\x00\"\\":              `\x00"\`,
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := printable("a\x9b31m"); got != `"a\x9b31m"` {
		t.Errorf("a key is shown as %q", got)
	}
}

// Characters may be cut in pieces by a buffer.
func TestScreen(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := &screen{terminal: file}
	const text = "aä█\U0001F600\x1b\xe2\x96b\xe2\x96"
	for i := range len(text) {
		if n, err := io.WriteString(s, text[i:i+1]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file.Name())
	if want := "aä█\U0001F600\\x1b\\xe2\\x96b\\xe2\\x96"; string(got) != want || err != nil {
		t.Errorf("shown as %q, want %q (%v)", got, want, err)
	}
	file.Close()
	if _, err := io.WriteString(s, "x"); err == nil {
		t.Error("no error when nothing can be shown")
	}
}
