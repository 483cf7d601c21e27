package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cairncache/cairn/store"
)

// A Config that a program has written has no lines, but all else is checked.
func TestCheckProgram(t *testing.T) {
	stores := map[string]Store{"main": {URL: "memory:"}}
	for want, c := range map[string]*Config{
		"config: stores: there are no stores": {},
		`config: stores.pages.layers[1]: no store named "shard" (did you mean "shared"?)`: {Stores: map[string]Store{
			"local": {URL: "memory:"}, "shared": {URL: "memory:"}, "pages": {Layers: []string{"local", "shard"}},
		}},
		"config: stores.main.ttl: -1s is negative":                                 {Stores: map[string]Store{"main": {URL: "memory:", TTL: -1e9}}},
		"config: stores.main.ttl: it is store.Forever; leave it out":               {Stores: map[string]Store{"main": {URL: "memory:", TTL: store.Forever}}},
		"config: stores.main.timeout: -1ns is negative":                            {Stores: map[string]Store{"main": {URL: "memory:", Timeout: -1}}},
		"config: stores.main.max_ttl: -1ns is negative":                            {Stores: map[string]Store{"main": {URL: "memory:", MaxTTL: -1}}},
		`config: stores: the name "Main" has upper-case`:                           {Stores: map[string]Store{"Main": {URL: "memory:"}}},
		"config: stores: a name has lower-case letters":                            {Stores: map[string]Store{"redis://:secret@h": {URL: "memory:"}}},
		"config: regions: a name is empty":                                         {Stores: stores, Regions: map[string]Region{"": {}}},
		"config: regions.r.stale: -5ns is negative; leave it out to inherit, or":   {Stores: stores, Regions: map[string]Region{"r": {Stale: -5}}},
		"config: regions.r.jitter: NaN is not a fraction":                          {Stores: stores, Regions: map[string]Region{"r": {Jitter: math.NaN()}}},
		`config: stores.main.url: "redis://xxxxx@h:xxxxx": a port is not a number`: {Stores: map[string]Store{"main": {URL: "redis://user:secret@h:x"}}},
		`config: default: no store named "mian" (did you mean "main"?)`:            {Default: "mian", Stores: stores},
		"config: default: it is not given, and several stores are no other's":      {Stores: map[string]Store{"a": {URL: "memory:"}, "b": {URL: "memory:"}}},
		`config: regions.r.store: no store named "x" (there are: main)`:            {Stores: stores, Regions: map[string]Region{"r": {Store: "x"}}},
		"config: regions.r.parent: the parents go in a circle: r → r":              {Stores: stores, Regions: map[string]Region{"r": {Parent: "r"}}},
		"config: stores.main: it has neither a url nor layers; give it one of the": {Stores: map[string]Store{"main": {}}},
	} {
		err := c.check()
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got  %v\nwant %s", err, want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

// An error is shown at the nearest place that is known.
func TestErrorf(t *testing.T) {
	c, err := parseTest([]byte("stores:\n  main:\n    url: 'memory:'\n"), "c.yaml", lookup)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"stores.main.url":       "config c.yaml:3:10: stores.main.url: closed",
		"stores.main.layers[1]": "config c.yaml:2:3: stores.main.layers[1]: closed",
		"stores.other.url":      "config c.yaml:1:1: stores.other.url: closed",
		"":                      "config c.yaml:1:1: closed",
	} {
		closed := errors.New("closed")
		err := c.errorf(path, "%w", closed)
		if err.Error() != want || !errors.Is(err, closed) || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	c.source.name = ""
	if got := c.errorf("", "wrong").Error(); got != "config:1:1: wrong" {
		t.Errorf("a source without a name: %s", got)
	}
}

// What an adapter says of a URL is shown, unless a variable has a part in it:
// then only what cannot be the variable's.
func TestURLError(t *testing.T) {
	const (
		veiled  = "it cannot be opened, for a reason that may show"
		invalid = `config c.yaml:1:25: stores.main.url: "${X}": `
	)
	for _, test := range []struct{ url, x, text, want string }{
		{"redis://h?a=b", "", "a is bad", `config c.yaml:1:25: stores.main.url: "redis://h?a=b": a is bad`},
		{"${UNSET:-redis://:secret@h?a=b}", "", "a is bad", `config c.yaml:1:25: stores.main.url: "redis://xxxxx@h?a=b": a is bad`}, // which stands in the file
		{"${X}", "redis://h?a=secret", "anything", invalid + veiled},
		{"redis://h?a=${X}", "secret", "anything", invalid + veiled},
		{"${X}", "redis://h?a=secret", `scheme "redis" is not registered; import _ "x"`, invalid + `scheme "redis" is not registered; import _ "x"`},
		{"${X}", "secret:?a=b", `unknown scheme "secret" (registered: memory)`, invalid + `unknown scheme (registered: memory)`},
		{"${X}", "secret:6379", `unknown scheme "secret" (write redis:// or memcache:// before a host and port; registered: memory)`, invalid + `unknown scheme (write redis://`},
		{"${X}", "secret:?a=b", `unknown scheme "other" (registered: secret)`, invalid + veiled},
		{"${X}", "memory: | redis://h?a=secret", "layers are not registered; import _ \"x\"", invalid + "layers are not registered"},
	} {
		text := "stores: { main: { url: '" + test.url + "' } }"
		c, err := parseTest([]byte(strings.Replace(text, "url:", " url:", 1)), "c.yaml", func(name string) (string, bool) { return test.x, name == "X" })
		if err != nil {
			t.Fatal(err)
		}
		url := c.Stores["main"].URL
		err = c.urlError("stores.main.url", url, store.Errorf("open", store.RedactURL(url), errors.ErrUnsupported, "%s", test.text))
		if !strings.HasPrefix(err.Error(), test.want) || !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, store.ErrInvalid) {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// What is wrong with the form of a URL is shown, but not what a variable holds.
func TestURLErrorOfForm(t *testing.T) {
	for x, want := range map[string]string{
		"redis://:secret/1@h":         "an @ stands after the host",
		"redis://h:6379secret":        "a port is not a number",
		"redis://h:98765":             "it is refused for something that a variable holds",
		"redis://h?secret=1&secret=2": "it is refused for something that a variable holds",
		"redis://h?a=1#secret":        "a # has no meaning here",
		"secret":                      "it does not begin with a scheme and a colon",
	} {
		_, err := parseTest([]byte(`stores: { main: { url: "${X}" } }`), "c.yaml", func(string) (string, bool) { return x, true })
		if err == nil || !strings.Contains(err.Error(), `stores.main.url: "${X}": `+want) {
			t.Errorf("%s: %v, want %s", x, err, want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "98765") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// A value that the program has put in the place of one with variables is shown
// as any other.
func TestURLErrorAfterChange(t *testing.T) {
	c, err := parseTest([]byte("stores: { main: { url: '${X}' } }\nregions: { r: { jitter: '${Y}' } }"), "c.yaml", func(name string) (string, bool) {
		return map[string]string{"X": "memory:", "Y": "0.5"}[name], true
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Stores["main"] = Store{URL: "redis://u:secret@h:x"}
	c.Regions["r"] = Region{Jitter: 7}
	got := fmt.Sprint(c.check())
	for _, want := range []string{`"redis://xxxxx@h:`, "regions.r.jitter: 7 is not a fraction"} {
		if !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("CONFIG_TEST_URL", "redis://user:secret@h/1")
	path := filepath.Join(t.TempDir(), "c.yml")
	if err := os.WriteFile(path, []byte("stores: { main: { url: \"${CONFIG_TEST_URL}\" } }"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Stores["main"].URL != "redis://user:secret@h/1" {
		t.Errorf("Load: %+v, %v", c, err)
	}
	if c, err := Load(path + ".missing"); c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of no file: %v, %v", c, err)
	}
	if c, err := Load(t.TempDir()); c != nil || err == nil || !strings.HasPrefix(err.Error(), "config: read ") {
		t.Errorf("Load of a folder: %v, %v", c, err)
	}
	broken := errors.New("broken")
	if c, err := Parse(iotest.ErrReader(broken), "c.yaml"); c != nil || !errors.Is(err, broken) {
		t.Errorf("Parse of what cannot be read: %v, %v", c, err)
	}
	if c, err := Parse(strings.NewReader(strings.Repeat("#", maxSize+1)), "c.yaml"); c != nil || !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Parse of what is too large: %v, %v", c, err)
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("CONFIG_TEST_STORES_MY_STORE_URL", "memory:")
	t.Setenv("CONFIG_TEST_STORES_MY_STORE_TTL", "5m")
	c, err := FromEnv("CONFIG_TEST")
	if want := (Store{URL: "memory:", TTL: 300e9}); err != nil || c.Stores["my_store"].URL != want.URL || c.Stores["my_store"].TTL != want.TTL {
		t.Errorf("FromEnv: %+v, %v", c, err)
	}
	for _, prefix := range []string{"", "CAIRN_", "_CAIRN", "1CAIRN", "CAI RN", "CAIRN="} {
		if c, err := FromEnv(prefix); c != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("FromEnv(%q): %v, %v", prefix, c, err)
		}
	}
}

// What is not of a Config is told a prefix that is another one.
func TestPrefixAlone(t *testing.T) {
	for prefix, want := range map[string]string{"APP": "APP_CACHE", "APP_CACHE": "APP_CAIRN", "CACHE": "CAIRN"} {
		_, err := fromEnv(prefix, []string{prefix + "_TTL=5m"}, lookup)
		if err == nil || !strings.HasSuffix(err.Error(), "with a prefix for the cache alone, such as "+want) {
			t.Errorf("%s: %v, want %s", prefix, err, want)
		}
	}
}

// Nothing but the variables with the prefix and those that a file names is
// asked for.
func TestVariablesRead(t *testing.T) {
	asked := make(map[string]bool)
	_, err := fromEnv("CAIRN", []string{"CAIRN_CONFIG=testdata/right/full.yaml"}, func(name string) (string, bool) {
		asked[name] = true
		return "", false
	})
	if err != nil || len(asked) != 1 || !asked["UNSET"] {
		t.Errorf("asked for %v, %v", asked, err)
	}
}
