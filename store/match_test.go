package store_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, prefix string
		yes, no         []string
	}{
		{"user:*", "user:", []string{"user:", "user:1", "user:a/b\n\xff"}, []string{"user", "xuser:1", "User:1"}},
		{"*", "", []string{"", "a", "\n"}, nil},
		{"a?c", "a", []string{"abc", "aéc", "a/c", "a\xffc"}, []string{"ac", "abbc"}},
		{"a[b-d]e", "a", []string{"abe", "ade"}, []string{"aae", "ae", "abbe"}},
		{"a[!b-d]e", "a", []string{"aae", "a/e"}, []string{"abe"}},
		{"[a-]", "", []string{"a", "-"}, []string{"b"}},
		{"[-a]", "", []string{"a", "-"}, []string{"b"}},
		{"[]", "", nil, nil},
		{"[a^]", "", []string{"a", "^"}, []string{"b"}},
		{`[\]a]`, "", []string{"]", "a"}, []string{`\`}},
		{"[.*]", "", []string{".", "*"}, []string{"a"}},
		{`a\*b`, "a*b", []string{"a*b"}, []string{"aab", `a\*b`}},
		{"a.c+(d)|e$", "a.c+(d)|e$", []string{"a.c+(d)|e$"}, []string{"abc+(d)|e$"}},
		{"ключ:*", "ключ:", []string{"ключ:1"}, []string{"ключ"}},
		{"", "", []string{""}, []string{"a"}},
	} {
		m, err := store.Glob(test.pattern)
		if test.pattern == "[]" {
			if !errors.Is(err, store.ErrInvalid) {
				t.Errorf("Glob(%q): %v", test.pattern, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Glob(%q): %v", test.pattern, err)
			continue
		}
		if m.Prefix() != test.prefix {
			t.Errorf("Glob(%q).Prefix() = %q, want %q", test.pattern, m.Prefix(), test.prefix)
		}
		for _, key := range test.yes {
			if !m.Match(key) {
				t.Errorf("Glob(%q) does not match %q", test.pattern, key)
			}
		}
		for _, key := range test.no {
			if m.Match(key) {
				t.Errorf("Glob(%q) matches %q", test.pattern, key)
			}
		}
	}
	for _, bad := range []string{"[", "[a", "[!", "[]a]", `a\`, "[z-a]", "\xff", `[a\`} {
		if _, err := store.Glob(bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Glob(%q): %v; want ErrInvalid", bad, err)
		}
	}
}

// plainGlob is the meaning of * and ? alone, written without regexp.
func plainGlob(pattern, key string) bool {
	switch {
	case pattern == "":
		return key == ""
	case pattern[0] == '*':
		return plainGlob(pattern[1:], key) || key != "" && plainGlob(pattern, key[1:])
	case key == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == key[0]) && plainGlob(pattern[1:], key[1:])
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "aXbYc")
	f.Add("**", "")
	f.Add(`[!a-c]\*`, "d*")
	f.Fuzz(func(t *testing.T, pattern, key string) {
		m, err := store.Glob(pattern)
		if err != nil {
			return
		}
		if m.Match(key) && !strings.HasPrefix(key, m.Prefix()) {
			t.Errorf("Glob(%q) matches %q without its prefix %q", pattern, key, m.Prefix())
		}
		ascii := func(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 126 }) < 0 }
		if len(pattern) > 12 || len(key) > 24 || strings.ContainsAny(pattern, `[\`) || !ascii(pattern) || !ascii(key) {
			return
		}
		if got, want := m.Match(key), plainGlob(pattern, key); got != want {
			t.Errorf("Glob(%q) on %q: %v, want %v", pattern, key, got, want)
		}
	})
}

func TestRegexp(t *testing.T) {
	for _, test := range []struct{ expr, prefix, yes, no string }{
		{`^user:\d+$`, "user:", "user:1", "user:x"},
		{`\Auser:`, "user:", "user:x", "xuser:"},
		{`user:`, "", "a user: b", "usr"},
		{`^(?i)user:`, "", "USER:1", "x"},
		{`(?m)^b`, "", "a\nb", "a"},
		{`^a|b`, "", "xb", "x"},
		{`^a?b`, "", "b", "xb"},
		{`^ab*`, "a", "a", "b"},
		{`^`, "", "", "none"},
	} {
		m := store.Regexp(regexp.MustCompile(test.expr))
		if m.Prefix() != test.prefix {
			t.Errorf("%s: prefix %q, want %q", test.expr, m.Prefix(), test.prefix)
		}
		if !m.Match(test.yes) || test.no != "none" && m.Match(test.no) {
			t.Errorf("%s: match of %q is %v, of %q %v", test.expr, test.yes, m.Match(test.yes), test.no, m.Match(test.no))
		}
	}
}

func TestMatching(t *testing.T) {
	ctx := t.Context()
	k := newKeys()
	for i := range 1200 {
		must(t, k.Set(ctx, fmt.Sprintf("user:%d", i), fmt.Append(nil, i), 0))
	}
	must(t, k.Set(ctx, "page:1", nil, 0))
	r := storetest.NewRecorder(k)

	glob, err := store.Glob("user:*7")
	must(t, err)
	values, err := store.GetMatching(ctx, r, glob)
	if len(values) != 120 || string(values["user:17"]) != "17" || err != nil {
		t.Errorf("GetMatching: %d values, %v", len(values), err)
	}
	if c := r.Calls()[0]; c.Op != "keys" || c.Key() != "user:" {
		t.Errorf("the scan was not narrowed: %v", c)
	}
	n, err := store.DeleteMatching(ctx, r, store.MatchFunc(func(key string) bool { return strings.HasPrefix(key, "user:") }))
	if n != 1200 || err != nil {
		t.Errorf("DeleteMatching = %d, %v", n, err)
	}
	if got := k.keys(); len(got) != 1 {
		t.Errorf("%d keys are left", len(got))
	}

	for _, empty := range []store.Match{{}, store.Regexp(nil), store.MatchFunc(nil)} {
		if _, err := store.DeleteMatching(ctx, k, empty); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("an empty Match: %v", err)
		}
		if _, err := store.GetMatching(ctx, k, empty); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("an empty Match: %v", err)
		}
		if empty.Match("") {
			t.Error("an empty Match selects a key")
		}
	}
	if _, err := store.DeleteMatching(ctx, newMap(), glob); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("on a store without Keys: %v", err)
	}
}
