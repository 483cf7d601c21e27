package memo

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// theKey is the key of k in namespace app for the function f.
func theKey[K any](t *testing.T, k K) string {
	t.Helper()
	e, err := newKeyEncoder[K]("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := e.key(k)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeySameValue(t *testing.T) {
	now := time.Now()
	type (
		before struct {
			A int
			B string
		}
		after struct {
			B keyName
			A int64
			_ bool
		}
	)
	shared := &keyPoint{1, 2}
	large, small := map[string]int{}, make(map[string]int, 1000)
	for i := range 100 {
		large[fmt.Sprint(i)] = i
		small[fmt.Sprint(99-i)] = 99 - i
	}
	for _, c := range []struct{ what, a, b string }{
		{"renamed type, fields in another order, integers of another size", theKey(t, before{1, "x"}), theKey(t, after{"x", 1, true})},
		{"location", theKey(t, now.UTC()), theKey(t, now.In(time.FixedZone("x", 7200)))},
		{"monotonic clock", theKey(t, now), theKey(t, now.Round(0))},
		{"location in a field", theKey(t, keyQuery{since: now}), theKey(t, keyQuery{since: now.UTC().Round(0)})},
		{"pointers to equal values", theKey(t, []*keyPoint{shared, shared}), theKey(t, []*keyPoint{{1, 2}, {1, 2}})},
		{"capacity", theKey(t, make([]int, 2, 100)), theKey(t, make([]int, 2))},
		{"map made in another order", theKey(t, large), theKey(t, small)},
		{"equal keys of a map", theKey(t, map[*int]string{new(int): "a", new(int): "b"}), theKey(t, map[*int]string{new(int): "b", new(int): "a"})},
		{"embedded field and named field", theKey(t, struct{ keyPoint }{}), theKey(t, struct{ keyPoint keyPoint }{})},
		{"alias", theKey[interface{ Error() string }](t, keyColorError(1)), theKey[error](t, keyColorError(1))},
	} {
		if c.a != c.b {
			t.Errorf("%s: %s and %s", c.what, c.a, c.b)
		}
	}
}

func TestKeyPrefixesAreApart(t *testing.T) {
	spaces := map[string]*keySpace{}
	for _, p := range [][3]string{
		{"1"},
		{"10"},
		{"1", "0"},
		{"1", "", "0"},
		{"1:"},
		{"1%3A"},
		{"", "1"},
		{"", "", "1"},
		{"1", "user"},
		{"1", "user", "1"},
		{"1", "user", "10"},
		{"1", "user@1"},
		{"1:user"},
		{"1:user:"},
		{"1:user", "x"},
		{"1", "user:x"},
		{"1", "users"},
		{"", "1:user"},
		{"1@user"},
		{},
	} {
		s, err := newKeySpace(p[0], p[1], p[2])
		if err != nil {
			t.Fatal(err)
		}
		if spaces[s.prefix] != nil {
			t.Errorf("%q has the prefix %s of another", p, s.prefix)
		}
		spaces[s.prefix] = &s
	}
	long := strings.Repeat("0", 300)
	for prefix := range spaces {
		for _, s := range spaces {
			for _, text := range []string{"", "0", ":", "0:", "user:", "@1:", "#", long} {
				if key := s.raw(text); strings.HasPrefix(key, prefix) != (s.prefix == prefix) {
					t.Errorf("prefix %s covers the key %s of %s", prefix, key, s.prefix)
				}
			}
		}
	}
}

// A plain key that looks like a hashed one is not one.
func TestKeyHashedClassIsApart(t *testing.T) {
	s, err := newKeySpace("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	hashed := s.raw(strings.Repeat("a", 300))
	if lookalike := s.raw(strings.TrimPrefix(hashed, s.prefix)); lookalike == hashed {
		t.Errorf("the key %s stands for two texts", hashed)
	}
	if want := len(s.prefix) + hashedHead + 1 + 64; len(hashed) != want {
		t.Errorf("%s has %d bytes, want %d", hashed, len(hashed), want)
	}
	for _, prefix := range []int{150, 190, 197, 198, 500, 1000} { // the head is what there is
		s, err := newKeySpace(strings.Repeat("n", prefix-3), "f", "")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for n := range 60 {
			key := s.raw(strings.Repeat("a", n))
			if seen[key] || !strings.HasPrefix(key, s.prefix) || len(key) > max(maxPlainKey, len(s.prefix)+hashedHead+65) {
				t.Errorf("prefix of %d, text of %d: %s", prefix, n, key)
			}
			seen[key] = true
		}
	}
}

// TestKeysAcrossProcesses holds that nothing random of a process, such as the
// seed of its maps or its addresses, gets into a key.
func TestKeysAcrossProcesses(t *testing.T) {
	const asChild = "CAIRN_TEST_PRINT_KEYS"
	keys := func() []byte {
		var b bytes.Buffer
		for _, golden := range goldenKeys {
			fmt.Fprintln(&b, golden.make())
		}
		everything := map[string]any{}
		for i, v := range oddKeyValues() {
			everything[fmt.Sprint(i)] = v
			fmt.Fprintln(&b, theKey(t, v))
			if i%10 == 0 {
				fmt.Fprintln(&b, theKey(t, everything))
			}
		}
		return b.Bytes()
	}()
	if os.Getenv(asChild) != "" {
		fmt.Printf("%s%s", asChild, keys)
		return
	}
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKeysAcrossProcesses$")
		child.Env = append(os.Environ(), asChild+"=1", "GORACE=atexit_sleep_ms=0")
		out, err := child.Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, printed, _ := bytes.Cut(out, []byte(asChild)); !bytes.HasPrefix(printed, keys) {
			t.Errorf("this process makes the keys\n%s\nand another\n%s", keys, printed)
		}
	}
}

func TestKeysConcurrently(t *testing.T) {
	odd, err := newKeyEncoder[any]("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	values := oddKeyValues()
	want := make([]string, len(values))
	for i, v := range values {
		want[i] = theKey(t, v)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range values {
				i = (i*7 + g*31) % len(values)
				if key, err := odd.key(values[i]); key != want[i] {
					t.Errorf("key %s, error %v, want %s", key, err, want[i])
				}
				// a type that no one has seen yet is inspected by all at once
				if key := theKey(t, map[[3]keyName][]*keyList[keyGUID]{{}: {{}}}); key == "" {
					t.Error("no key")
				}
				if _, err := odd.key(math.NaN()); err == nil {
					t.Error("no error for NaN")
				}
			}
		})
	}
	wg.Wait()
}

// A CacheKey may use the encoder that it is called by.
func TestKeyReentrant(t *testing.T) {
	e, err := newKeyEncoder[nestedKey]("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	want := `app:f:k"app:f:k%22app:f:k%2522%2522%22"`
	if key, err := e.key(nestedKey{e, 2}); key != want || err != nil {
		t.Errorf("key %s, error %v, want %s", key, err, want)
	}
}

type nestedKey struct {
	encoder *keyEncoder[nestedKey]
	depth   int
}

func (n nestedKey) CacheKey() string {
	if n.depth == 0 {
		return ""
	}
	key, err := n.encoder.key(nestedKey{n.encoder, n.depth - 1})
	if err != nil {
		return err.Error()
	}
	return key
}

// A panic in a method of the caller's passes through and spoils nothing.
func TestKeyPanic(t *testing.T) {
	e, err := newKeyEncoder[map[string]*panicKey]("app", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		func() {
			defer func() {
				if recover() != errPanicKey {
					t.Error("no panic")
				}
			}()
			_, _ = e.key(map[string]*panicKey{"a": {}, "b": {panics: true}})
		}()
		want := `app:f:map("a":&k"","b":nil)`
		if key, err := e.key(map[string]*panicKey{"a": {}, "b": nil}); key != want || err != nil {
			t.Errorf("key %s, error %v, want %s", key, err, want)
		}
	}
}

var errPanicKey = errors.New("panic")

type panicKey struct{ panics bool }

func (p panicKey) CacheKey() string {
	if p.panics {
		panic(errPanicKey)
	}
	return ""
}
