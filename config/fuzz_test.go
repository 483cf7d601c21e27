package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// planted is in no error, wherever it stands as a password or in a variable.
const planted = "zq9hunterzq9"

func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("%v does not match store.ErrInvalid", err)
	}
	if strings.Contains(err.Error(), planted) {
		t.Errorf("the error shows the secret: %v", err)
	}
}

const maxFuzzed = 2000 // bytes

func FuzzParse(f *testing.F) {
	for _, folder := range []string{"right", "wrong"} {
		files, _ := filepath.Glob("testdata/" + folder + "/*")
		for _, file := range files {
			data, _ := os.ReadFile(file)
			if ext := filepath.Ext(file); ext != ".txt" && ext != ".env" && len(data) < maxFuzzed {
				f.Add(string(data), ext == ".json")
			}
		}
	}
	f.Fuzz(func(t *testing.T, data string, json bool) {
		if len(data) > maxFuzzed {
			t.Skip("it is slow")
		}
		name := "f.yaml"
		if json {
			name = "f.json"
		}
		for _, value := range []string{planted, "redis://user:" + planted + "@h:x", "memory:?ttl=" + planted, ""} {
			c, err := parseTest([]byte(data), name, func(string) (string, bool) { return value, true })
			checkError(t, err)
			if err == nil && c.check() != nil {
				t.Errorf("what was read is refused: %v", c.check())
			}
		}
	})
}

func FuzzURL(f *testing.F) {
	f.Add("redis://user", "@localhost:6379/0?prefix=a")
	f.Add("redis+cluster://", "@h1:6379,h2:x")
	f.Add("redis://", "/1@h")
	f.Add("memory: | redis://", "#@h")
	f.Add("redis://h?password=a&b", "%zz@h")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsRune(before+after, 0) {
			t.Skip("neither a variable nor YAML has it")
		}
		// What is before the password is a scheme and a name at least.
		url := "redis://" + before + ":" + planted + "@" + after
		c := &Config{Stores: map[string]Store{"main": {URL: url, Prefix: "a", TTL: 1}}}
		checkError(t, c.check())
		_, err := fromEnv("CAIRN", []string{"CAIRN_URL=" + url, "CAIRN_STORES_OTHER_TTL=" + url}, lookup)
		checkError(t, err)
		named := func(string) (string, bool) { return url, true }
		for _, data := range []string{
			`stores: { main: { url: "${X}", ttl: "${X}" }, "b": { layers: ["${X}", "${X}a"], coherence: "${X}" } }`,
			`{ "stores": { "main": { "url": "a${X}", "ttl": "1${X}" } }, "regions": { "r": { "jitter": "${X}", "store": "${X}" } } }`,
		} {
			_, err := parseTest([]byte(data), "f.yaml", named)
			checkError(t, err)
		}
		// A URL that an adapter refuses, with whatever it shows.
		c, err = parseTest([]byte(`stores: { main: { url: "${X}" } }`), "f.yaml", func(string) (string, bool) { return "redis://h?a=" + planted, true })
		if err != nil {
			t.Fatal(err)
		}
		checkError(t, c.urlError("stores.main.url", store.Errorf("open", "redis://h?a="+planted, store.ErrInvalid, "a: %q is bad", planted)))
	})
}

func FuzzFromEnv(f *testing.F) {
	f.Add("URL", "redis://:"+planted+"@h:x")
	f.Add("STORES_MAIN_URL", "memory:?ttl=5")
	f.Add("STORES_MAIN_LAYERS", "a,b,,redis://:"+planted+"@h")
	f.Add("STORES_MAIN_MAX_TTL", "redis://:"+planted+"@h")
	f.Add("REGIONS_A_B_STALE", "off")
	f.Add("STORE_A", "")
	f.Add("CONFIG", "testdata/right/full.yaml")
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.Contains(name, planted) || strings.Contains(name, "CONFIG") && !strings.HasPrefix(value, "testdata/right/") {
			t.Skip("a name is no secret, and other files are not ours")
		}
		if strings.Contains(value, planted) && !strings.Contains(value, ":"+planted+"@") {
			t.Skip("no password")
		}
		c, err := fromEnv("CAIRN", []string{"CAIRN_STORES_MAIN_URL=redis://user:" + planted + "@h", "CAIRN_" + name + "=" + value}, lookup)
		if err != nil && strings.Contains(name, "CONFIG") {
			return // of the file
		}
		checkError(t, err)
		if err == nil && c.check() != nil {
			t.Errorf("what was read is refused: %v", c.check())
		}
	})
}
