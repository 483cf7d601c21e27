package memcache

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	s := &Store{prefix: "app:"}
	full := strings.Repeat("k", maxNative-len(s.prefix))
	for _, key := range []string{"user:42", "ключ", "%20", "a~b", "\x80\xff", full} {
		if n := s.name(key); n.native != s.prefix+key || n.hashed {
			t.Errorf("name(%q) = %+v, want it as it is", key, n)
		}
	}
	for _, key := range []string{"a b", " ", "a\r\nb", "\x00", "\x7f", "~", "~generation0", full + "k", strings.Repeat("\n", 4096)} {
		n := s.name(key)
		if !n.hashed || n.inHeader() != key {
			t.Errorf("name(%q) = %+v, want it hashed", key, n)
		}
		if len(n.native) > maxNative || !isPlain(n.native) || !strings.HasPrefix(n.native, "app:~") {
			t.Errorf("name(%q) has the native key %q", key, n.native)
		}
	}
	if n := s.name("two words"); !strings.HasPrefix(n.native, "app:~two_words~") {
		t.Errorf("a hashed key does not show its beginning: %q", n.native)
	}
	longest := &Store{prefix: strings.Repeat("p", maxPrefix)}
	if n := longest.name(strings.Repeat(" ", 4096)); len(n.native) > maxNative {
		t.Errorf("with the longest prefix a native key has %d bytes", len(n.native))
	}
}

// FuzzName looks for two keys with one native key, and for a native key that
// is one of the generation's.
func FuzzName(f *testing.F) {
	s := &Store{prefix: "p"}
	s.generation.init(&s.client, s.prefix)
	f.Add("a", "b")
	f.Add("two words", strings.TrimPrefix(s.name("two words").native, s.prefix))
	f.Add("a b", "a_b")
	f.Add(strings.Repeat("k", 250), strings.Repeat("k", 251))
	for _, key := range s.generation.keys {
		f.Add(key, strings.TrimPrefix(key, s.prefix))
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" {
			return
		}
		x, y := s.name(a), s.name(b)
		if a != b && x.native == y.native {
			t.Errorf("%q and %q are both stored at %q", a, b, x.native)
		}
		for _, key := range s.generation.keys {
			if x.native == key {
				t.Errorf("%q is stored at a key of the generation, %q", a, key)
			}
		}
		if len(x.native) > maxNative || !isPlain(x.native) {
			t.Errorf("%q has the native key %q", a, x.native)
		}
	})
}
