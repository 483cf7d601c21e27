package conformance

import (
	"math"
	"slices"
	"strings"

	"github.com/cairncache/cairn/store"
)

// oddKeys holds, by what is odd about them, keys that backends, protocols,
// file systems and escaping schemes have got wrong. Those of one entry differ
// only in what it names. max is the longest key that is allowed.
func oddKeys(max int) map[string][]string {
	var single []string
	for i := range 256 {
		single = append(single, string([]byte{byte(i)}))
	}
	long := strings.Repeat("k", max-1)
	return map[string][]string{
		"SingleBytes": single,
		"Case":        {"key", "Key", "KEY", "kEY", "straße", "STRASSE", "ı", "i", "I", "İ"},
		"ControlBytes": {
			"ab", "a b", " ab", "ab ", "a\tb", "a\nb", "a\r\nb", "a\x00b", "ab\x00", "\x00ab", "a\x1fb", "a\x7fb", "a\x85b", "a\u00a0b", "a\u200bb", "a\ufeffb",
			"get k\r\nset x 0 0 1\r\nv\r\n", "k 0 0 1 noreply",
		},
		"Unicode": {
			"\xff", "\xfe", "\xff\xfe", "\xc3", "\xc3\x28", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\ufffd", "é", "e\u0301", "ﬁ", "fi", "日本語", "👩‍👩‍👧", "\u202eabc",
		},
		"Patterns": {
			"*", "?", "a*", "a?", "a[b]", "ab", "[ab]", "[!a]", "[^a]", "a\\*", "\\", "\\\\", "{a,b}", "{user}:1", "{user}:2", "user:{1}", "}{", "{}", "%", "%%", "%s", "%2F", "%00", "^a$", "a.b", "$k", "#{k}",
		},
		"Paths": {
			"/", "//", "a/b", "a//b", "/a", "a/", "a", ".", "..", "../a", "a/../b", "a/./b", "./a", "~", "~/a", "C:\\a", "a:b", "a::b", ":", ":a", "a:", "a|b", "a;b", "con", "nul", "a.tmp", ".lock", "-", "--help", "a,b", "a=b", "a&b", "'", "\"", "`", "<a>",
		},
		"LongTails": {
			strings.Repeat("k", 249), strings.Repeat("k", 250), strings.Repeat("k", 251), strings.Repeat("k", 250) + "a", strings.Repeat("k", 250) + "b",
			strings.Repeat("k", 255), strings.Repeat("k", 256), strings.Repeat("k", 257), strings.Repeat("/", 250) + "a", strings.Repeat("é", 125) + "b",
			long, long + "a", long + "b", "a" + long, "b" + long,
		},
		"Escapes": {
			"a b", "a%20b", "a+b", "a%2520b", "a_b", "a-b", "a\\x20b", "a\\ b", "YSBi", "a\\u0020b", "a%00b", "a\\0b", "61206200", "a=20b",
		},
	}
}

// square writes keys as the rows of a square, and returns the rows and then the
// columns. Any two keys are in different blocks of one of both, in their order:
// so a case may work on the keys of a block at once, on the blocks one after
// another, and yet see what any key does to any later one.
func square(keys []string) (both [2][][]string) {
	side := int(math.Ceil(math.Sqrt(float64(len(keys)))))
	both[0], both[1] = make([][]string, side), make([][]string, side)
	for i, key := range keys {
		both[0][i/side] = append(both[0][i/side], key)
		both[1][i%side] = append(both[1][i%side], key)
	}
	return both
}

// keptApart makes the case that the odd keys of this name are all different.
func keptApart(name string) func(*trial) {
	return func(t *trial) {
		for _, blocks := range square(oddKeys(t.suite.opts.MaxKey)[name]) {
			t.keepsApart(blocks)
		}
	}
}

// keepsApart checks that the keys of each block are not those of the later ones.
func (t *trial) keepsApart(blocks [][]string) {
	missing := func(key string) { t.Get(key).miss() }
	there := func(key string) { t.Get(key).is("value of " + key) }
	for _, block := range blocks {
		t.eachOf(block, missing)
		t.eachOf(block, func(key string) { t.Set(key, "value of "+key, store.Forever).ok() })
	}
	t.eachOf(slices.Concat(blocks...), there)
	for _, block := range blocks {
		t.eachOf(block, there)
		t.eachOf(block, func(key string) { t.Delete(key).ok() })
		t.eachOf(block, missing)
	}
}

var keyCases = group("Key",
	rule("SingleBytes", "Every byte is a key, and a key of its own.", keptApart("SingleBytes")),

	rule("Case", "Keys that differ in case alone, or that some language's rules fold together, are different: else one user reads another's entry.", keptApart("Case")),

	rule("ControlBytes", "Spaces, line ends, NUL and other control bytes are part of the key. Stripped they make two keys one; passed on to a text protocol they let a key carry a command.", keptApart("ControlBytes")),

	rule("Unicode", "A key is bytes: it need not be valid UTF-8 and is not normalised.", keptApart("Unicode")),

	rule("Patterns", "Characters with a meaning in globs, formats and cluster slots stand for themselves: deleting the key * deletes one entry.", keptApart("Patterns")),

	rule("Paths", "Slashes, dots and names that are special to some file system stand for themselves: no key reaches outside the store.", keptApart("Paths")),

	rule("LongTails", "Keys up to the greatest length are told apart by their last byte, also past the 250 bytes that some backends take. A cut or unchecked hashed key answers with another key's value.", keptApart("LongTails")),

	rule("Escapes", "A key that looks like the escaped form of another one is not that one. Keys are mapped one to one, or an attacker picks the entry that he reads.", keptApart("Escapes")),

	rule("Empty", "The empty key is ErrInvalid from every method, and nothing is stored under it: it is a bug of the caller, and on a shared server it is the bare prefix.", func(t *trial) {
		t.everyKeyed(func(c *client, m method) {
			m.call(c, "").fails(store.ErrInvalid)
		})
		t.Get("other").miss()
		t.holds()
	}),

	rule("TooLong", "A key that is too long is ErrInvalid from every method and nothing is stored: not under the key, and not under what a cut would leave of it.", func(t *trial) {
		most := t.suite.opts.MaxKey
		for _, length := range []int{most + 1, store.MaxKeyLen + 1, 1 << 16, 1 << 20} {
			key := strings.Repeat("k", length)
			t.everyKeyed(func(c *client, m method) {
				m.call(c, key).fails(store.ErrInvalid)
			})
		}
		for _, length := range []int{250, 255, 256, most} {
			t.Get(strings.Repeat("k", length)).miss()
		}
		t.Get("other").miss()
		t.holds()
	}),
)

// oddSample is some of every sort of odd key, sorted.
func oddSample(max int) []string {
	var sample []string
	for _, keys := range oddKeys(max) {
		sample = append(sample, keys...)
	}
	slices.Sort(sample)
	return slices.Compact(sample)
}
