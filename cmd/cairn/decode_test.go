package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
)

// What is nested deeply is printed as it is: indented it would fill the disk.
func TestDecodeIndentBomb(t *testing.T) {
	t.Parallel()
	bomb := strings.Repeat("[", 9000) + strings.Repeat("1,", 5000) + "1" + strings.Repeat("]", 9000)
	raw := storedText(t, bomb)
	for _, args := range []string{"decode", "decode -json"} {
		r := cairn(t, "", raw, strings.Fields(args)...)
		if r.code != exitOK || len(r.stdout) > 2*len(bomb) || !strings.Contains(r.stdout, bomb) {
			t.Errorf("%s: exit code %d, %d bytes: %s", args, r.code, len(r.stdout), r.stderr)
		}
	}
	for text, size := range map[string]int{`{"a":[1,"\\\"[[[["]}`: 40, `"[[[["`: 6} {
		if !indentable([]byte(text), size) || indentable([]byte(text), len(text)-1) {
			t.Errorf("%s: the size when indented is another", text)
		}
	}
}

// An entry of a few bytes must not take the memory of the machine.
func TestDecodeBomb(t *testing.T) {
	t.Parallel()
	raw := storedText(t, `"`+strings.Repeat("x", 1<<20)+`"`)
	if len(raw) > 1000 {
		t.Fatalf("it has %d bytes", len(raw))
	}
	for args, code := range map[string]int{"": exitOK, "-max 2MiB": exitOK, "-max 1MiB": exitError, "-max 1MiB -json": exitError, "-max 0B": exitUsage} {
		r := cairn(t, "", raw, append([]string{"decode"}, strings.Fields(args)...)...)
		if r.code != code || code != exitOK && !strings.Contains(r.stderr, "-max") {
			t.Errorf("decode %s: exit code %d: %s", args, r.code, r.stderr)
		}
	}
}

// storedText is the entry of a memoized function that returns that JSON.
func storedText(t *testing.T, payload string) string {
	t.Helper()
	url := "disk:" + t.TempDir()
	m, err := memo.New(open(t, url), &memo.Options{Namespace: "app", Policy: memo.Policy{TTL: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	f, err := memo.Wrap(m, "f", func(context.Context, int) (json.RawMessage, error) { return json.RawMessage(payload), nil },
		&memo.FuncOptions[int, json.RawMessage]{Compression: &memo.Compression{With: compress.Zstd()}})
	if err == nil {
		_, err = f.Get(t.Context(), 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cairn(t, url, "", "get", "app:f:1").stdout
}
